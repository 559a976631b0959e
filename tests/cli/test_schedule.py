"""What `lldtool schedule` can't do is one line."""

import pytest
from conftest import PLANS, SAMPLES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (PLANS / "resnet50.json",),
            "there is no schedule: the length of the training is not known",
        ),
        (
            (SAMPLES / "resnet50.py", "--at", "0,x"),
            "--at 0,x: expected numbers separated by commas",
        ),
        ((SAMPLES / "resnet50.py", "--at", "9" * 5000), "expected numbers separated by commas"),
        (
            (SAMPLES / "resnet50.py", "--epoch-length", "2", "--dataset-size", "3"),
            "--epoch-length and --dataset-size exclude each other",
        ),
    ],
)
def test_what_it_cannot_do_is_said(cli, arguments, message):
    result = cli("schedule", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err

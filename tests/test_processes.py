"""lldtool as the tests run it, forked from a process with imports, is what a user starts."""

import pytest
from conftest import PLANS, lldtool_process

SAMPLE = "sample_configs/vit-base_layer-decay.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        f"inspect {SAMPLE}",
        f"inspect {SAMPLE} --format json",
        f"explain {SAMPLE} --keys",
        f"diff {SAMPLE} sample_configs/beit-base.py",
        f"check {SAMPLE} sample_configs/traps.py",
        f"schedule {SAMPLE} --epoch-length 10 --epochs 2",
        f"report {PLANS / 'traps.json'}",
        "inspect nowhere.py",
    ],
)
def test_a_forked_lldtool_prints_what_a_new_one_prints(command):
    forked, new = (lldtool_process(*command.split(), forked=forked) for forked in (True, False))
    assert forked == new
    assert new.out or new.err

"""The text of a config in a checkpoint: read as mmengine wrote it, and compared."""

import math
from pathlib import Path

import pytest
from mmengine.config import Config

from lldtool.analysis.entry_changes import differing
from lldtool.checkpoint import Checkpoint
from lldtool.checkpoint.training_config import UNREADABLE, dumped_entries
from lldtool.config.edit import DELETE


def entries_of(text):
    return dumped_entries(Checkpoint(Path("x.pth"), "x.pth", "zip", {"meta": {"cfg": text}}))


CONFIG = {
    "a": 1,
    "optim_wrapper": {
        "optimizer": {"type": "AdamW", "lr": 1e-3, "betas": (0.9, 0.999), "eps": -1e-8},
        "paramwise_cfg": {"custom_keys": {".ln": {"decay_mult": 0.0}, "a b": {}}},
        "clip_grad": None,
    },
    "param_scheduler": [{"type": "LinearLR", "end": 5}, {"type": "CosineAnnealingLR"}],
    "infinite": [math.inf, -math.inf, True, "text", (), ((1,), [2])],
}


def test_the_entries_are_those_that_mmengine_wrote():
    assert entries_of(Config(CONFIG).pretty_text) == CONFIG


def test_what_is_no_literal_is_unreadable():
    text = "a = 1\nb = [1, open('x')]\nc = dict(**{'d': f()})\nd = dict({'x': 1}, y=2)\nimport os\n"
    found = entries_of(text)
    assert found == {"a": 1, "b": UNREADABLE, "c": UNREADABLE, "d": {"x": 1, "y": 2}}


@pytest.mark.parametrize("text", [None, 7, "", "a = (", "x" * 10, "a = " + "[" * 10_000, "\0"])
def test_what_is_no_config_has_no_entries(text):
    assert entries_of(text) == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": (1, 2)}, {"a": [1, 2]}, []),
        ({"a": None}, {}, []),
        ({"type": "AdamW"}, {"type": "torch.optim.AdamW"}, []),
        ({"type": "AdamW"}, {"type": "SGD"}, [(("type",), "AdamW", "SGD")]),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, [(("a", "c"), DELETE, 1), (("a", "b"), 1, DELETE)]),
        ({}, {"a": {"b": 1}}, [(("a",), DELETE, {"b": 1})]),
        (
            {"s": [{"type": "A", "x": 1}, {"type": "B"}]},
            {"s": [{"type": "A", "x": 2}, {"type": "B"}]},
            [(("s", "0", "x"), 1, 2)],
        ),
        ({"s": [{"type": "A"}]}, {"s": []}, [(("s",), [{"type": "A"}], [])]),
    ],
)
def test_what_differs_is_found_by_its_path(old, new, expected):
    assert list(differing(old, new)) == expected

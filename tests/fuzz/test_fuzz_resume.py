"""Resuming from changed checkpoints: a result, or an error of one line; nothing runs."""

import copy
import random
from dataclasses import replace

import pytest
from conftest import TINY_VIT
from fuzz.sweeps import NUMBERS, sweep
from hypothesis import strategies as st
from resuming import COSINE, announced, save, written

from lldtool.checkpoint import OpaqueValue, TensorInfo, read_checkpoint
from lldtool.errors import LldtoolError
from lldtool.output.formats import written as laid_out
from lldtool.output.resume_document import resume_document, resume_json

VALUES = [
    None, True, -1, 0, 1, 10**30, float("nan"), float("inf"), -0.5, "x", "\ud800", b"x", (), [], {},
    [1], {"a": 1}, OpaqueValue("a.B"), TensorInfo((2, 3), "float32"), TensorInfo((), "float32"),
    TensorInfo((2**62, 2**62), "float32"),
]  # fmt: skip


def paths(content, path=()):
    """The keys that lead to each entry, of long lists the first ones."""
    keys = content if isinstance(content, dict) else range(min(3, len(content)))
    for key in keys:
        yield (*path, key)
        if isinstance(content[key], (dict, list)):
            yield from paths(content[key], (*path, key))


def changed(content, rng):
    """The content with a few other values."""
    content = copy.deepcopy(content)
    own = {key: content[key] for key in content if key != "state_dict"}
    for _ in range(rng.choice([1, 1, 2, 3])):
        every = list(paths(own))
        # The state has an entry for each of many tensors.
        of_state = [path for path in every if path[:2] == ("optimizer", "state")]
        others = [path for path in every if path[:2] != ("optimizer", "state")]
        *path, last = rng.choice(of_state if rng.random() < 0.1 else others)
        inside = content
        for key in path:
            inside = inside[key]
        if rng.random() < 0.2:
            del inside[last]
        else:
            inside[last] = copy.deepcopy(rng.choice(VALUES))
        own = {key: content[key] for key in content if key != "state_dict"}
    return content


@pytest.mark.parametrize("number", NUMBERS)
def test_a_changed_checkpoint_is_resumed_from_or_an_error(number, tmp_path, monkeypatch):
    path = written(tmp_path, "config.py", TINY_VIT + COSINE)
    file = save(path, tmp_path)
    good = read_checkpoint(file)

    @sweep(number, st.integers(0, 2**32))
    def holds(seed):
        bad = replace(good, content=changed(good.content, random.Random(seed)))
        for module in ("resuming", "loading"):
            monkeypatch.setattr(f"lldtool.dryrun.{module}.read_checkpoint", lambda *_: bad)
        message = ""
        try:
            found = announced(path, file)
            assert laid_out(resume_document(found), "table")
            assert resume_json(found)
        except LldtoolError as error:
            message = str(error)
        assert len(message.splitlines()) <= 1

"""Changed checkpoints: they are read, or there is one line that says why not; nothing runs."""

import io
import pickle
import random
import time
import tracemalloc
import zipfile
from functools import cache

import pytest
import torch
from checkpoints import CONTENTS, nothing_runs, safetensors, saved, saved_as_tar, zipped
from fuzz.sweeps import NUMBERS, sweep
from hypothesis import strategies as st

from lldtool.checkpoint import read_checkpoint
from lldtool.checkpoint.plans import plan_of_checkpoint
from lldtool.errors import LldtoolError
from lldtool.plan import plan_from_json, plan_to_json
from lldtool.versions import lldtool_version

OPCODES = [
    getattr(pickle, name) for name in pickle.__all__ if isinstance(getattr(pickle, name), bytes)
]
#: Globals that a changed pickle may call, where one was named.
GLOBALS = [
    b"posix\nsystem", b"builtins\neval", b"builtins\ngetattr", b"collections\nOrderedDict",
    b"torch._utils\n_rebuild_tensor_v2", b"torch._utils\n_rebuild_sparse_tensor", b"torch\nSize",
    b"torch._tensor\n_rebuild_from_type_v2", b"numpy._core.multiarray\nscalar", b"numpy\ndtype",
    b"numpy._core.multiarray\n_reconstruct", b"numpy._core.numeric\n_frombuffer", b"builtins\nset",
    b"_codecs\nencode", b"torch\nFloatStorage", b"torch\nfloat32", b"copyreg\n_reconstructor",
]  # fmt: skip
SECONDS, MEGABYTES = 10, 64


@cache
def pickles():
    """The pickles of real checkpoints."""
    files = [saved(make(), pickle_protocol=n) for make in CONTENTS.values() for n in (2, 4)]
    return [zipfile.ZipFile(io.BytesIO(data)).read("archive/data.pkl") for data in files]


@cache
def files():
    """Real checkpoints of each format."""
    weights = {"state_dict": {f"layers.{i}.weight": torch.zeros(2, 3) for i in range(4)}}
    entry = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    return [
        *(saved(make()) for make in CONTENTS.values()),
        *(saved(CONTENTS[n](), _use_new_zipfile_serialization=False) for n in ("tensors", "SGD")),
        zipped(pickles()[0], compression=zipfile.ZIP_DEFLATED),
        saved_as_tar(weights),
        safetensors({"__metadata__": {"format": "pt"}, "a": entry}, bytes(24)),
    ]


def changed(data, rng):
    """The bytes with a few changes."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        rng.choice([_flip, _cut_off, _cut_out, _repeat, _put_opcode, _put_global, _put_number])(
            data, rng
        )
    return bytes(data)


def _place(data, rng):
    """A place in the data; most of what decides is in the first bytes and the last."""
    size = rng.choice([16, 600, len(data)])
    place = rng.randrange(max(1, min(size, len(data))))
    return place if rng.random() < 0.7 else max(0, len(data) - 1 - place)


def _flip(data, rng):
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _cut_off(data, rng):
    if rng.random() < 0.3:
        del data[_place(data, rng) :]


def _cut_out(data, rng):
    start = _place(data, rng)
    del data[start : start + rng.choice([1, 2, 8, 100])]


def _repeat(data, rng):
    start, at = _place(data, rng), _place(data, rng)
    data[at:at] = data[start : start + rng.choice([1, 8, 100])] * rng.choice([1, 2, 1000])


def _put_opcode(data, rng):
    start = _place(data, rng)
    data[start : start + rng.choice([0, 1])] = rng.choice(OPCODES)


def _put_global(data, rng):
    start = data.find(b"c", _place(data, rng))
    end = data.find(b"\n", data.find(b"\n", start) + 1)
    if 0 <= start < end < start + 80:
        data[start + 1 : end] = rng.choice(GLOBALS)


def _put_number(data, rng):
    start, size = _place(data, rng), rng.choice([1, 2, 4, 8])
    data[start : start + size] = rng.choice([b"\xff", b"\x00", b"\x7f", b"\x80"]) * size


def plan_or_message(path):
    """The plan of a checkpoint, or the error."""
    try:
        checkpoint = read_checkpoint(path)
        repr(checkpoint.content)
        return plan_of_checkpoint(checkpoint)
    except LldtoolError as error:
        return str(error)


def check(data, path):
    """Read the file: within bounds of time and memory, and without running anything."""
    path.write_bytes(data)
    lldtool_version()  # which looks for it once
    tracemalloc.start()
    began = time.perf_counter()
    with nothing_runs():
        found = plan_or_message(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if isinstance(found, str):
        assert found.isprintable()
    else:
        plan_from_json(plan_to_json(found))
    assert time.perf_counter() - began < SECONDS
    assert peak < MEGABYTES << 20


@pytest.mark.parametrize("number", NUMBERS)
def test_a_changed_checkpoint_is_read_or_an_error(number, tmp_path):
    @sweep(number, st.integers(0, len(files()) - 1), st.integers(0, 2**32))
    def holds(index, seed):
        check(changed(files()[index], random.Random(seed)), tmp_path / "checkpoint.pth")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_changed_pickle_in_an_archive_is_read_or_an_error(number, tmp_path):
    @sweep(number, st.integers(0, len(pickles()) - 1), st.integers(0, 2**32))
    def holds(index, seed):
        data = changed(pickles()[index], random.Random(seed))
        check(zipped(data), tmp_path / "checkpoint.pth")

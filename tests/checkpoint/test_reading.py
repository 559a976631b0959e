"""Checkpoints are read as `torch.load` reads them."""

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import pytest
import torch
from checkpoints import CONTENTS, WAYS, as_read, safetensors, saved, saved_as_tar, zipped
from conftest import TINY_VIT
from mmengine.config import Config
from runners import runner_of

from lldtool.checkpoint import TensorInfo, read_checkpoint
from lldtool.errors import LldtoolError
from lldtool.files import is_checkpoint

#: What a state_dict of old torch could have.
WEIGHTS = {"fc.weight": torch.ones(3, 2), "fc.bias": torch.ones(3)}
INFOS = {"fc.weight": TensorInfo((3, 2), "float32"), "fc.bias": TensorInfo((3,), "float32")}
#: A dict with a text, bytes and an integer, as Python 2 pickles them.
PYTHON_2 = b"\x80\x02}q\x00(U\x01aT\x01\x00\x00\x00bU\x02\xff\x00I1099511627776\nu."


def read(data, folder):
    path = folder / "checkpoint.pth"
    path.write_bytes(data)
    return read_checkpoint(path, "checkpoint.pth")


def check_as_loaded(checkpoint):
    """Compare with what torch loads: -0.0 is not 0.0, True not 1, and NaN is NaN."""
    content, loaded = checkpoint.content, torch.load(checkpoint.path, weights_only=False)
    for key in loaded:
        assert repr(content[key]) == repr(as_read(loaded[key])), key
    assert list(content) == list(loaded)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CONTENTS)
def test_what_torch_saves_is_read_as_torch_loads_it(name, way, tmp_path):
    if name == "new tensors" and way.startswith("legacy"):
        pytest.skip("torch doesn't load them")
    checkpoint = read(saved(CONTENTS[name](), **WAYS[way]), tmp_path)
    assert checkpoint.format == way.split()[0]
    check_as_loaded(checkpoint)


def test_what_mmengine_saves_is_read_as_torch_loads_it(tmp_path):
    (tmp_path / "config.py").write_text(TINY_VIT)
    runner = runner_of(
        Config.fromfile(tmp_path / "config.py"),
        tmp_path / "run",
        default_hooks={"checkpoint": {"type": "CheckpointHook"}},
        custom_hooks=[{"type": "EMAHook"}],
        param_scheduler=[
            {"type": "LinearLR", "start_factor": 0.1, "end": 1, "by_epoch": False},
            {"type": "CosineAnnealingLR", "T_max": 2},
        ],
    )
    runner.train()
    path = tmp_path / "run" / "epoch_1.pth"
    checkpoint = read_checkpoint(path)
    check_as_loaded(checkpoint)
    state_dict = torch.load(path, weights_only=False)["state_dict"]
    assert checkpoint.content["state_dict"]._metadata == state_dict._metadata
    assert checkpoint.state_dict == as_read(dict(state_dict))
    assert checkpoint.meta["epoch"] == 1
    assert "mmengine.logging.history_buffer.HistoryBuffer" in checkpoint.globals
    groups = checkpoint.content["optimizer"]["param_groups"]
    assert [group["lr"] for group in groups] == [
        group["lr"] for group in runner.optim_wrapper.optimizer.param_groups
    ]


def test_what_torch_saved_before_0_1_10_is_read(tmp_path):
    checkpoint = read(saved_as_tar({"state_dict": WEIGHTS, "epoch": 3}), tmp_path)
    assert checkpoint.format == "tar"
    check_as_loaded(checkpoint)


def test_a_header_of_safetensors_is_read(tmp_path):
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
        "b": {"dtype": "I64", "shape": [], "data_offsets": [12, 20]},
        "c": {"dtype": "F8_E4M3", "shape": [0], "data_offsets": [20, 20]},
    }
    checkpoint = read(safetensors(header, bytes(20)), tmp_path)
    assert checkpoint.format == "safetensors"
    assert checkpoint.content["__metadata__"] == {"format": "pt"}
    assert checkpoint.state_dict == {
        "a": TensorInfo((2, 3), "bfloat16"),
        "b": TensorInfo((), "int64"),
        "c": TensorInfo((0,), "float8_e4m3fn"),
    }


def test_texts_of_python_2_are_read(tmp_path):
    assert read(zipped(PYTHON_2), tmp_path).content == {"a": "b", b"\xff\x00": 1 << 40}


@pytest.mark.parametrize("nesting", [None, "state_dict", "model", "module", "ema_state_dict"])
def test_weights_are_found_in_what_they_are_nested_in(nesting, tmp_path):
    content = WEIGHTS if nesting is None else {"epoch": 1, nesting: WEIGHTS}
    checkpoint = read(saved(content), tmp_path)
    assert checkpoint.nesting == nesting
    assert checkpoint.state_dict == INFOS


def test_files_are_told_by_their_suffix(tmp_path):
    names = ("a.pth", "a.pt", "a.CKPT", "a.bin", "a.safetensors", "a.py", "a.json", "pth")
    assert [is_checkpoint(tmp_path / name) for name in names] == [True] * 5 + [False] * 3


def test_neither_torch_nor_numpy_is_imported(tmp_path):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(saved(CONTENTS["plain values"]()))
    script = (
        "import sys; from pathlib import Path; from lldtool.checkpoint import read_checkpoint\n"
        "read_checkpoint(Path(sys.argv[1]))\n"
        "print([name for name in sys.modules if name in ('torch', 'numpy', 'mmengine')])"
    )
    command = [sys.executable, "-c", script, path]
    assert subprocess.check_output(command, text=True) == "[]\n"


def test_long_logs_are_not_kept(tmp_path):
    content = read(saved({"log": "x" * 300_000, "packed": b"x" * 300_000}), tmp_path).content
    assert repr(content) == (
        "{'log': OpaqueValue(name='builtins.str'), 'packed': OpaqueValue(name='builtins.bytes')}"
    )


def changed(data, old, new):
    assert old in data
    return data.replace(old, new, 1)


def two_pickles(names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"N.")
    return file.getvalue()


def with_entry(offset, value):
    """An archive whose directory says something else about its first entry, the pickle."""
    data = bytearray(zipped(b"N."))
    start = data.index(b"PK\x01\x02") + offset
    data[start : start + len(value)] = value
    return bytes(data)


ZIP, LEGACY = saved(WEIGHTS), saved(WEIGHTS, _use_new_zipfile_serialization=False)
TENSOR = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
DAMAGED = "not a checkpoint: it is damaged or cut off"
ARCHIVE = "not a checkpoint: its zip archive"
NOT_WRITTEN = "not a checkpoint: torch.save did not write it"
BROKEN = {
    "empty": (b"", "not a checkpoint: it is empty"),
    "text": (b"hello\n" * 100, NOT_WRITTEN),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "not a checkpoint: it is stored by Git LFS; run git lfs pull",
    ),
    "another pickle": (b"\x80\x04N.", NOT_WRITTEN),
    "zip cut off": (ZIP[:-30], f"{ARCHIVE} is damaged or cut off: File is not a zip file"),
    "wrong checksum": (
        changed(ZIP, b"fc.weight", b"fc.wEIGHT"),
        f"{ARCHIVE} is damaged or cut off: Bad CRC-32 for file 'archive/data.pkl'",
    ),
    "encrypted": (
        with_entry(8, b"\1"),
        "not a checkpoint: its data.pkl is encrypted, or compressed in a rare way",
    ),
    "zip bomb": (
        with_entry(24, b"\xfe\xff\xff\xff"), "not a checkpoint: its data.pkl is larger than 1 GiB"
    ),
    "bzip2": (
        zipped(b"N.", compression=zipfile.ZIP_BZIP2),
        "not a checkpoint: its data.pkl is encrypted, or compressed in a rare way",
    ),
    "absolute path": (zipped(b"N.", "/data.pkl"), f"{ARCHIVE} has no data.pkl in a folder"),
    "path to above": (zipped(b"N.", "../data.pkl"), f"{ARCHIVE} has no data.pkl in a folder"),
    "deep path": (zipped(b"N.", "a/../data.pkl"), f"{ARCHIVE} has no data.pkl in a folder"),
    "two folders": (
        two_pickles(["a/data.pkl", "b/data.pkl"]),
        f"{ARCHIVE} has several data.pkl in a folder",
    ),
    "two of a name": (
        two_pickles(["a/data.pkl", "a/data.pkl"]),
        f"{ARCHIVE} has several data.pkl in a folder",
    ),
    "legacy, no storages": (LEGACY[:-4], "not a checkpoint: it is cut off"),
    "legacy, cut off": (LEGACY[:200], "not a checkpoint: its pickle is cut off"),
    "tar": (saved_as_tar({})[:1024], DAMAGED),
    "tar, dimensions": (
        changed(saved_as_tar(WEIGHTS), struct.pack("<i4xq", 2, 3), struct.pack("<i4xq", -9, 3)),
        "not a checkpoint: a tensor has -9 dimensions",
    ),
    "legacy, key": (
        b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {}))
        + b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n)" + b"2\x86" * 90 + b"NK\x01tQ.",
        "not a checkpoint: a tensor's storage is not as torch.save writes it",
    ),
    "safetensors, no end": (safetensors(TENSOR), "not a checkpoint: it is cut off, or longer than "
                            "its header says"),
    "safetensors, huge": (
        b"\xff" * 8 + b"{}", "not a checkpoint: its header is too long"
    ),
    "safetensors, deep": (safetensors(b'{"a":' * 100_000), DAMAGED),
    "safetensors, shape": (
        safetensors({"a": TENSOR["a"] | {"shape": [-1]}}),
        "not a checkpoint: a tensor has an invalid shape",
    ),
    "model": (
        saved(torch.nn.Linear(1, 1)),
        "holds a 'torch.nn.modules.linear.Linear' instead of tensors (save the state_dict() of a "
        "model, not the model)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_an_error_of_one_line(name, tmp_path):
    data, message = BROKEN[name]
    with pytest.raises(LldtoolError) as error:
        read(data, tmp_path)
    assert str(error.value) == f"checkpoint.pth: {message}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "No such file or directory"),
        (os.mkdir, "Is a directory"),
        (os.mkfifo, "it is a named pipe"),
    ],
)
def test_a_file_that_can_not_be_read_is_an_error(make, message, tmp_path):
    make(tmp_path / "checkpoint.pth")
    with pytest.raises(LldtoolError, match=f"can't read the checkpoint: {message}"):
        read_checkpoint(tmp_path / "checkpoint.pth")

"""Checkpoints as torch saves them, and what lldtool should read of them."""

import collections
import contextlib
import datetime
import encodings.cp437
import encodings.utf_32_be
import encodings.utf_32_le  # noqa: F401  # so that decoding imports none of them
import io
import json
import pathlib
import pickle
import struct
import sys
import tarfile
import zipfile

import numpy as np
import torch
from torch import nn

from lldtool.checkpoint import OpaqueValue, TensorInfo

#: How `torch.save` may be asked to write.
WAYS = {
    **{f"zip {n}": {"pickle_protocol": n} for n in (1, 2, 3, 4, 5)},
    **{
        f"legacy {n}": {"pickle_protocol": n, "_use_new_zipfile_serialization": False}
        for n in (2, 4)
    },
}


class Anything:
    """A class that a checkpoint may have an object of."""

    def __init__(self):
        self.inside = [1, 2]


class Table(dict):
    """A dict of a class of its own."""


def tensors():
    """Tensors of each kind."""
    base = torch.arange(24, dtype=torch.float32)
    marked, attributed = nn.Parameter(torch.ones(3)), torch.ones(2)
    marked.no_weight_decay, attributed.note = True, "x"
    dtypes = "float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128"
    return {
        **{name: torch.zeros(2, 3, dtype=getattr(torch, name)) for name in dtypes.split()},
        "view": base.view(4, 6)[1:, ::2],
        "transposed": base.view(2, 12).t(),
        "same storage": base,
        "scalar": torch.tensor(1.5),
        "empty": torch.empty(0, 4),
        "gradient": torch.zeros(1, requires_grad=True),
        "parameter": nn.Parameter(torch.ones(2, 2)),
        "frozen": nn.Parameter(torch.ones(2, 2), requires_grad=False),
        "marked": marked,
        "attributed": attributed,
        "meta": torch.empty(5, 7, device="meta", dtype=torch.float16),
        "sparse": torch.eye(3, 4).to_sparse(),
        "csr": torch.eye(3, 4).to_sparse_csr(),
        "quantized": torch.quantize_per_tensor(torch.ones(4, 2), 0.1, 0, torch.qint8),
        "channels": torch.quantize_per_channel(
            torch.ones(4, 2), torch.ones(4), torch.zeros(4), 0, torch.quint8
        ),
    }


def new_tensors():
    """Tensors of dtypes that have no storages of their own; torch loads no legacy file of them."""
    names = ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2")
    return {name: torch.zeros(2, 3, dtype=getattr(torch, name)) for name in names}


def plain_values():
    """Values of Python, torch and numpy that need no tensor."""
    shared = (0.9, 0.999)
    return {
        "integers": [0, -1, 255, 256, 65536, -(2**31), 2**31, 2**63, -(2**200)],
        "floats": [0.1, -0.0, 5e-324, 1e308, float("inf"), float("-inf"), float("nan")],
        "texts": ["", "é模型", "\ud800", "a\nb\\n'\"", "x" * 1000, b"", b"\x00\xff"],
        "flags": [None, True, False, (), [], {}, ((1,), [2])],
        "shared": [shared, shared],
        "keys": {1: "a", 1.5: "b", None: "c", (1, "x"): "d", b"k": "e"},
        "sets": [set(), {1, 2}, frozenset({"a"})],
        "complex": 1 - 2j,
        "bytearray": bytearray(b"abc"),
        "default": collections.defaultdict(list, {"a": [1]}),
        "counts": [collections.Counter([3, 5, 5]), collections.Counter()],
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
        "torch": [torch.Size([2, 3]), torch.device("cuda", 1), torch.device("cpu"), torch.bfloat16],
        "scalars": [
            np.float64(0.1), np.float32(0.1), np.float16(0.5), np.int64(-5), np.uint8(200),
            np.bool_(True), np.str_("naïve"), np.bytes_(b"ab"), np.complex64(1 + 2j),
        ],
        "arrays": [
            np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(24).reshape(2, 3, 4)),
            np.arange(3, dtype=">i4"), np.array(["a", "bcd"]), np.array([b"x", b"yz"]),
            np.array([True, False]), np.array([], dtype="f2"), np.zeros((0, 3)),
            np.array([1 + 2j]), np.array(["a", None], dtype=object), np.array(2.5),
        ],
        "large": np.zeros(100_000),
        "objects": [
            Anything(), Table(a=1), pathlib.PurePosixPath("a/b"), datetime.date(2024, 1, 2),
            Anything, np.datetime64("2024-01-02"), slice(3),
            np.array([(1, 2.0)], dtype="i4,f8"), np.zeros(2, dtype="M8[s]"),
        ],
    }  # fmt: skip


def training(optimizer_class, **options):
    """What a training loop of one's own saves after two steps."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    average = torch.optim.swa_utils.AveragedModel(model)
    optimizer = optimizer_class(
        [{"params": [p], "lr": 0.1 / (i + 3), "name": n}
         for i, (n, p) in enumerate(model.named_parameters())], **options
    )  # fmt: skip
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7)
    for _ in range(2):
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        scheduler.step()
        average.update_parameters(model)
    return {
        "state_dict": model.state_dict(),
        "ema_state_dict": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "scaler": torch.amp.GradScaler("cpu", init_scale=1024.0).state_dict(),
        "rng": torch.get_rng_state(),
        "epoch": 2,
    }


CONTENTS = {
    "tensors": tensors,
    "new tensors": new_tensors,
    "plain values": plain_values,
    "AdamW": lambda: training(torch.optim.AdamW, lr=0.1),
    "SGD": lambda: training(torch.optim.SGD, lr=0.1, momentum=0.9),
}


def saved(content, **how):
    """The bytes of a checkpoint."""
    file = io.BytesIO()
    torch.save(content, file, **how)
    return file.getvalue()


def saved_as_tar(content):
    """The bytes of a checkpoint, of float32 tensors, as torch wrote them before 0.1.10."""
    storages, tensors, root = io.BytesIO(), io.BytesIO(), io.BytesIO()
    found = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, torch.Tensor):
                found.append(value)
                return 1000 + len(found) - 1
            return None

    Pickler(root, 2).dump(content)
    pickle.dump(len(found), storages, 2)
    pickle.dump(len(found), tensors, 2)
    for key, tensor in enumerate(found):
        pickle.dump((key, "cpu", torch.FloatStorage), storages, 2)
        storages.write(struct.pack("<q", tensor.numel()) + tensor.numpy().tobytes())
        pickle.dump((1000 + key, key, torch.FloatTensor), tensors, 2)
        numbers = [*tensor.shape, *tensor.stride(), 0]
        tensors.write(struct.pack(f"<i4x{len(numbers)}q", tensor.dim(), *numbers))
    pickle.dump([], storages, 2)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, part in {"storages": storages, "tensors": tensors, "pickle": root}.items():
            info = tarfile.TarInfo(name)
            info.size = len(part.getvalue())
            archive.addfile(info, io.BytesIO(part.getvalue()))
    return file.getvalue()


def as_read(value):
    """What lldtool should read for a value that torch has loaded."""
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return TensorInfo(tuple(value.shape), dtype, value.requires_grad)
    if isinstance(value, collections.Counter):
        return as_read(dict(value))
    if type(value) in (dict, collections.OrderedDict, collections.defaultdict):
        kind = dict if isinstance(value, collections.defaultdict) else type(value)
        return kind((key, as_read(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(map(as_read, value))
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (torch.device, torch.dtype)):
        return str(value).removeprefix("torch.")
    if isinstance(value, np.datetime64):
        return OpaqueValue("numpy.generic")
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        small = value.nbytes <= 8192 and value.dtype.kind not in "VM"
        return (
            (value.tolist() if value.shape else [value.item()])
            if small
            else [OpaqueValue("numpy.ndarray")]
        )
    if isinstance(value, bytearray):
        return bytes(value)
    if type(value) in (int, float, bool, str, bytes, complex, set, frozenset, type(None)):
        return value
    kind = value if isinstance(value, type) else type(value)
    return OpaqueValue(f"{kind.__module__}.{kind.__qualname__}")


def zipped(data, name="archive/data.pkl", **how):
    """The bytes of a zip archive as `torch.save` writes it, with this pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **how) as archive:
        archive.writestr(name, data)
        archive.writestr("archive/byteorder", "little")
    return file.getvalue()


def safetensors(header, data=b""):
    """The bytes of a safetensors file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


_audited = []


@contextlib.contextmanager
def nothing_runs():
    """Fail where code is imported, compiled or run, or a process started."""
    events = []
    _audited.append(events)
    try:
        yield
    finally:
        _audited.pop()
    assert events == []


def _audit(event, arguments):
    if _audited and event.startswith(
        ("import", "compile", "exec", "os.", "subprocess.", "pickle.")
    ):
        _audited[-1].append((event, arguments))


sys.addaudithook(_audit)

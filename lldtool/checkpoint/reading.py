"""Read a checkpoint with an unpickler that knows tensors and plain data, and nothing else."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

from lldtool.checkpoint.contents import Checkpoint, OpaqueValue, TensorInfo
from lldtool.errors import LldtoolError

_DTYPES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


def read_checkpoint(path: Path, name: str | None = None) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: the file.
        name: the file as the user named it.

    Raises:
        LldtoolError: it can't be read, or is no checkpoint.
    """
    name = name or str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next(e for e in archive.namelist() if e.endswith("/data.pkl"))
            content = _Unpickler(io.BytesIO(archive.read(entry))).load()
    except (OSError, zipfile.BadZipFile, StopIteration, pickle.UnpicklingError) as error:
        raise LldtoolError(f"not a checkpoint: {error}", config=name) from error
    return Checkpoint(path, name, "zip", content)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        return lambda *_: OpaqueValue(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return pid[1]


def _tensor(storage: Any, _offset: int, size: Any, *_others: Any) -> TensorInfo:
    return TensorInfo(tuple(size), str(storage))

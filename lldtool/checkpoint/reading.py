"""Read a checkpoint in any format of torch or safetensors, without its tensors."""

from __future__ import annotations

import errno
import io
import os
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from lldtool.checkpoint.contents import Checkpoint, Format, OpaqueValue
from lldtool.checkpoint.formats import (
    Content,
    read_legacy,
    read_safetensors,
    read_tar,
    read_zip,
)
from lldtool.errors import LldtoolError
from lldtool.files import refuse_pipe

#: The most bytes to read at once; the directory of a checkpoint's archive is smaller.
_MOST_BYTES = 1 << 24
_READERS: Mapping[Format, Callable[[io.BufferedReader], Content]] = {
    "zip": read_zip,
    "tar": read_tar,
    "safetensors": read_safetensors,
    "legacy": read_legacy,
}
#: What the readers raise for damaged files.
_DAMAGES = (
    ArithmeticError, EOFError, LookupError, RecursionError, TypeError, ValueError, struct.error
)  # fmt: skip


class _Reader(io.BufferedReader):
    """A file that refuses to read too much at once, or to seek before its start."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MOST_BYTES:
            raise pickle.UnpicklingError("it is damaged, or torch.save did not write it")
        return super().read(_MOST_BYTES if size is None or size < 0 else size)

    def seek(self, target: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(target, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise pickle.UnpicklingError("it is damaged or cut off") from error


def read_checkpoint(path: Path, name: str | None = None) -> Checkpoint:
    """Read a checkpoint without running its code or reading its tensors.

    Args:
        path: the file.
        name: the file as the user named it.

    Raises:
        LldtoolError: it can't be read, or is not a checkpoint.
    """
    name = name or str(path)
    try:
        refuse_pipe(path)
        with _Reader(io.FileIO(path)) as file:
            stored_as = _format(file.read(512))
            file.seek(0)
            content, names = _READERS[stored_as](file)
    except pickle.UnpicklingError as error:
        raise LldtoolError(f"not a checkpoint: {error}", config=name) from error
    except OSError as error:
        reason = error.strerror or error
        raise LldtoolError(f"can't read the checkpoint: {reason}", config=name) from error
    except MemoryError as error:
        raise LldtoolError("can't read the checkpoint: out of memory", config=name) from error
    except _DAMAGES as error:
        raise LldtoolError("not a checkpoint: it is damaged or cut off", config=name) from error
    if isinstance(content, OpaqueValue):
        raise LldtoolError(
            f"holds a {content.name!r:.200} instead of tensors",
            config=name,
            hint="save the state_dict() of a model, not the model",
        )
    return Checkpoint(path, name, stored_as, content, tuple(names))


def _format(head: bytes) -> Format:
    """Return the format of a file by its first bytes.

    Raises:
        UnpicklingError: the format is unknown.
    """
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    if head[257:262] == b"ustar":
        return "tar"
    if head[8:9] == b"{":
        return "safetensors"
    if head.startswith(b"version https://git-lfs"):
        raise pickle.UnpicklingError("it is stored by Git LFS; run git lfs pull")
    if head.startswith((b"\x80", b"L")):
        return "legacy"
    raise pickle.UnpicklingError("it is empty" if not head else "torch.save did not write it")

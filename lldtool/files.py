"""Reading the files that a user names."""

from __future__ import annotations

import errno
import os
from pathlib import Path

#: The file names that are taken for checkpoints end with one of these.
CHECKPOINT_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint, by its suffix."""
    return path.suffix.lower() in CHECKPOINT_SUFFIXES


def read_bytes(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        OSError: it can't be read, or is a named pipe, which may never be written to. What a shell
            puts in the place of `<(command)` has no name and is read.
    """
    refuse_pipe(path)
    return path.read_bytes()


def refuse_pipe(path: Path) -> None:
    """Raise an OSError for a named pipe."""
    if Path(os.path.realpath(path)).is_fifo():
        raise OSError(errno.EINVAL, "it is a named pipe", str(path))

"""Read checkpoints without torch, without running their code, and without the tensors' bytes."""

from lldtool.checkpoint.contents import (
    CHECKPOINT_SUFFIXES,
    Checkpoint,
    OpaqueValue,
    TensorInfo,
    is_checkpoint,
)
from lldtool.checkpoint.reading import read_checkpoint

__all__ = [
    "CHECKPOINT_SUFFIXES",
    "Checkpoint",
    "OpaqueValue",
    "TensorInfo",
    "is_checkpoint",
    "read_checkpoint",
]

"""Read checkpoints without torch, without running their code, and without the tensors' bytes."""

from lldtool.checkpoint.contents import Checkpoint, OpaqueValue, TensorInfo
from lldtool.checkpoint.reading import read_checkpoint

__all__ = ["Checkpoint", "OpaqueValue", "TensorInfo", "read_checkpoint"]

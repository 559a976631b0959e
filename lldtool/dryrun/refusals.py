"""Notes on checkpoints that lldtool can read but `torch.load` refuses."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from lldtool.checkpoint import Checkpoint, OpaqueValue
from lldtool.text import quoted
from lldtool.versions import installed_version

#: The environment variable that makes torch load any checkpoint.
_VARIABLE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def refusal_note(checkpoint: Checkpoint) -> str | None:
    """Return a note if `torch.load` refuses a checkpoint, else None.

    Since torch 2.6 it only loads plain weights, and mmengine's own checkpoints contain a
    `HistoryBuffer`. Recent versions of torch read safetensors, with the package of that name.
    """
    import torch

    refuses = f"torch {torch.__version__} refuses to load {quoted(checkpoint.name)}"
    if checkpoint.format == "safetensors":
        # torch has no way to ask for this, and `torch.load` itself may be patched here.
        code = getattr(torch.serialization.load, "__code__", None)
        if code is not None and ".safetensors" not in code.co_consts:
            return f"{refuses}: it can't read safetensors"
        is_installed = installed_version("safetensors") is not None
        return None if is_installed else f"{refuses}: pip install safetensors"
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    is_allowed = os.environ.get(_VARIABLE, "").lower() in ("1", "y", "yes", "true")
    refused = next(_opaque(checkpoint.content), None)
    if refused is None or is_allowed or version < (2, 6):
        return None
    kind = refused.rpartition(".")[2]
    return f"{refuses}, which holds a {kind}: set {_VARIABLE}=1 if you trust the file"


def _opaque(content: object) -> Iterator[str]:
    """Yield the class names of values that are neither tensors nor plain data."""
    if isinstance(content, OpaqueValue):
        yield content.name
    elif isinstance(content, (list, tuple)):
        for item in content:
            yield from _opaque(item)
    elif isinstance(content, Mapping):
        for item in content.values():
            yield from _opaque(item)

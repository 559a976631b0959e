"""Checkpoints that torch refuses to load, as it takes plain weights only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from lldtool.checkpoint import Checkpoint, OpaqueValue
from lldtool.text import quoted

#: What makes torch load whatever a checkpoint holds.
_VARIABLE = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def refusal_note(checkpoint: Checkpoint) -> str | None:
    """Return a note where training's `torch.load` refuses a checkpoint; None where it does not.

    Source: `torch.load`, whose `weights_only` is True by default since torch 2.6. mmengine's own
    checkpoints hold a `HistoryBuffer`.
    """
    import torch

    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    is_allowed = os.environ.get(_VARIABLE, "").lower() in ("1", "y", "yes", "true")
    refused = next(_opaque(checkpoint.content), None)
    if refused is None or is_allowed or version < (2, 6):
        return None
    return (
        f"torch {torch.__version__} refuses to load {quoted(checkpoint.name)}, which holds a "
        f"{refused.rpartition('.')[2]}: set {_VARIABLE}=1 if you trust the file"
    )


def _opaque(content: object) -> Iterator[str]:
    """Yield the classes of all that is neither a tensor nor plain data."""
    if isinstance(content, OpaqueValue):
        yield content.name
    elif isinstance(content, (list, tuple)):
        for item in content:
            yield from _opaque(item)
    elif isinstance(content, Mapping):
        for item in content.values():
            yield from _opaque(item)

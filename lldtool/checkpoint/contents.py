"""The content of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

#: How a checkpoint is stored.
Format = Literal["zip", "legacy", "tar", "safetensors"]
#: Keys that the weights of a model may be stored under, in the order in which they are tried.
NESTINGS = ("state_dict", "model", "module", "ema_state_dict")


@dataclass(frozen=True)
class TensorInfo:
    """A tensor without its values. `dtype` is named as in a plan: `float32`."""

    shape: tuple[int, ...]
    dtype: str
    requires_grad: bool = False


@dataclass(frozen=True)
class OpaqueValue:
    """An object that is not read; `name` is the full name of its class."""

    name: str


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint: plain data, `TensorInfo` and `OpaqueValue`.

    `name` is the file as the user named it. `globals` are the full names of the classes and
    functions that the file refers to, which `torch.load` would import.
    """

    path: Path
    name: str
    format: Format
    content: Any
    globals: tuple[str, ...] = ()

    def entry(self, key: str) -> Any:
        """Return an entry at the top level; None where there is none."""
        return self.content.get(key) if isinstance(self.content, Mapping) else None

    @property
    def nesting(self) -> str | None:
        """The key that the weights are stored under; None if they are at the top level."""
        return next((key for key in NESTINGS if isinstance(self.entry(key), Mapping)), None)

    @property
    def state_dict(self) -> dict[str, TensorInfo]:
        """The tensors of the model by name, unwrapped from whatever they are nested in."""
        found = self.content if self.nesting is None else self.entry(self.nesting)
        items = found.items() if isinstance(found, Mapping) else ()
        return {str(name): value for name, value in items if isinstance(value, TensorInfo)}

    @property
    def meta(self) -> Mapping[str, Any]:
        """What mmengine records about the training: `epoch`, `iter`, `cfg` (text), versions."""
        found = self.entry("meta")
        return found if isinstance(found, Mapping) else {}

    @property
    def epoch_length(self) -> int | None:
        """The iterations of an epoch; None of a training by iterations, which counts no epochs."""
        hub = self.entry("message_hub")
        noted = hub.get("runtime_info") if isinstance(hub, Mapping) else None
        noted = noted if isinstance(noted, Mapping) else {}
        finished = self.meta.get("epoch"), self.meta.get("iter")
        if not isinstance(finished[0], int) or finished[0] <= 0:
            return None
        for epochs, iterations in ((noted.get("max_epochs"), noted.get("max_iters")), finished):
            if isinstance(epochs, int) and isinstance(iterations, int) and iterations >= epochs > 0:
                return iterations // epochs if iterations % epochs == 0 else None
        return None

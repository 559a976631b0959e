"""Where the values of a model's tensors are from when training starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: From where a tensor starts: a checkpoint was loaded into it (`pretrained`), or resumed from
#: (`resumed`); a checkpoint has it in another shape, so it was not loaded (`mismatched`); or no
#: checkpoint has it, so it starts from its initialisation (`missing`).
Start = Literal["pretrained", "resumed", "mismatched", "missing"]


@dataclass(frozen=True)
class Buffer:
    """A persistent buffer of the model; `start` and `checkpoint_shape` as in `Parameter`."""

    name: str
    shape: tuple[int, ...]
    numel: int
    dtype: str
    start: Start | None = None
    checkpoint_shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Loaded:
    """A checkpoint that training loads before its first step.

    `by` names the entry of the config that asks for it; `module` is the module that it is loaded
    into, "" for the model itself, and `prefix` the option of `init_cfg`. `tensors` and `buffers`
    count the parameters and buffers that it gives their values. `unexpected` are the tensors of the
    file, of those under the prefix, that the model has no place for. `classes` counts those that
    the file was trained for, and `other_classes` says how those of the training data differ; None
    where either is not known, or none differs.
    """

    checkpoint: str
    by: Literal["load_from", "init_cfg"] = "load_from"
    module: str = ""
    prefix: str | None = None
    tensors: int = 0
    buffers: int = 0
    unexpected: tuple[str, ...] = ()
    classes: int | None = None
    other_classes: str | None = None

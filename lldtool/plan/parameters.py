"""Parameters with the settings that the optimizer gives them, and the reasons for those."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from lldtool.plan.starts import Start

#: Traits of a parameter. It belongs to a normalization layer;
NORM = "norm"
#: the model's `no_weight_decay()` or `no_weight_decay_keywords()` names it;
NO_WEIGHT_DECAY = "no_weight_decay"
#: it does not require a gradient;
FROZEN = "frozen"
#: `model.train()` freezes it, after the optimizer was built;
FROZEN_BY_TRAIN = "frozen_by_train"
#: an `init_weights()` freezes it, after the optimizer was built;
FROZEN_BY_INIT_WEIGHTS = "frozen_by_init_weights"
#: its BatchNorm layer updates its running statistics during training.
UPDATES_STATISTICS = "updates_statistics"

#: Whether the optimizer changes a parameter of its groups when there is a gradient, or why not:
#: `frozen` does not require a gradient, `frozen_by_train` no longer does once `model.train()` or
#: `init_weights()` was called, and `zero_lr` has lr 0, which no scheduler raises.
State = Literal["trained", "frozen", "frozen_by_train", "zero_lr"]
#: What a constructor calls a layer: its depth, or a name.
LayerId = int | float | str


@dataclass(frozen=True)
class Reason:
    """Why one setting has its value.

    `rule` names the rule that fired (`custom_key`, `norm_decay_mult`, `layer_decay`, …) or is
    `constructor`: the constructor's own code set the value, lldtool can't say why. `mult` is the
    factor on the base setting; `key` the custom key, or the option with the rate of a layer decay.
    `beats` names the rules that it overrides, a custom key as `custom_key:.bias`, and `would_give`
    lists in the same order the value that each would give; `misses` names the keys and options
    that did not match. `max_layer_id` goes with `layer_decay`, whose multiplier is
    rate^(max_layer_id − layer_id − 1).
    """

    rule: str
    key: str | None = None
    mult: float | None = None
    beats: tuple[str, ...] = ()
    would_give: tuple[float, ...] = ()
    misses: tuple[str, ...] = ()
    max_layer_id: int | None = None


@dataclass(frozen=True)
class Reasons:
    """The reason of each setting that a rule can decide."""

    lr: Reason = Reason("constructor")
    weight_decay: Reason = Reason("constructor")


class _Named:
    name: str

    @property
    def top_level_module(self) -> str:
        """The first part of the name: `backbone` of `backbone.layers.0.ln1.weight`."""
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Parameter(_Named):
    """One named tensor of the model, with the settings of its param group.

    `lr`, `lr_scale` and `weight_decay` are None where the optimizer has no such setting. `group`
    is the index in `optimizer.param_groups`, `extras` are the entries of the group that are neither
    settings nor the optimizer's defaults, `traits` the constants above, from `NORM` on. `state` is
    derived from traits and lr where it is not given, as in a plan that lldtool 0.1 saved.
    `optimizer` is the key of its optimizer in an OptimWrapperDict, None where there is one
    optimizer; a parameter of two optimizers is listed twice. `start` is None where no checkpoint is
    loaded, or where it is not known; `checkpoint_shape` is the shape in the checkpoint of one that
    is `mismatched`.
    """

    name: str
    shape: tuple[int, ...]
    numel: int
    dtype: str
    module_type: str
    layer_id: LayerId | None
    lr: float | None
    lr_scale: float | None
    weight_decay: float | None
    group: int
    extras: dict[str, Any] = field(default_factory=dict)
    reason: Reasons = Reasons()
    traits: tuple[str, ...] = ()
    state: State = None  # type: ignore[assignment]  # __post_init__ replaces None
    optimizer: str | None = None
    start: Start | None = None
    checkpoint_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Derive the state where it is not given."""
        if cast("State | None", self.state) is None:
            object.__setattr__(self, "state", _derived_state(self.traits, self.lr))

    @property
    def is_trained(self) -> bool:
        """Whether the optimizer changes it when there is a gradient."""
        return self.state == "trained"


def _derived_state(traits: Collection[str], lr: float | None) -> State:
    if FROZEN in traits:
        return "frozen"
    if FROZEN_BY_TRAIN in traits or FROZEN_BY_INIT_WEIGHTS in traits:
        return "frozen_by_train"
    return "zero_lr" if lr == 0 else "trained"


@dataclass(frozen=True)
class UntrainedParameter(_Named):
    """A parameter that is in no param group.

    `layer_id` is the layer that the constructor would put a frozen one in if it were trained;
    None where that is not known. `traits`, `start` and `checkpoint_shape` are as in `Parameter`.
    """

    name: str
    shape: tuple[int, ...]
    numel: int
    layer_id: LayerId | None = None
    traits: tuple[str, ...] = ()
    start: Start | None = None
    checkpoint_shape: tuple[int, ...] | None = None

"""The waist of the hourglass: what the optimizer will do to every parameter, as plain data.

A dry run makes a `Plan`; every command reads one. A plan holds numbers and strings only, so it
can be saved as JSON and read back bit for bit where no torch is installed.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from lldtool.errors import LldtoolError
from lldtool.files import read_bytes
from lldtool.text import NOT_IN_JSON, strict_json

SCHEMA_VERSION = 1

#: A parameter of a normalization layer, by its class.
NORM = "norm"
#: A parameter that the model's `no_weight_decay()` or `no_weight_decay_keywords()` names.
NO_WEIGHT_DECAY = "no_weight_decay"
#: A parameter that does not require a gradient.
FROZEN = "frozen"
#: A parameter that `model.train()` freezes, after the optimizer was built.
FROZEN_BY_TRAIN = "frozen_by_train"
#: A parameter that some `init_weights()` freezes, after the optimizer was built.
FROZEN_BY_INIT_WEIGHTS = "frozen_by_init_weights"
#: A parameter of a BatchNorm layer that updates its running statistics during training.
UPDATES_STATISTICS = "updates_statistics"

#: Whether the optimizer moves a parameter of one of its groups when there is a gradient, or why
#: not: `frozen` does not require a gradient, `frozen_by_train` no longer does once `model.train()`
#: or `init_weights()` was called, and `zero_lr` has lr 0, which no scheduler raises.
State = Literal["trained", "frozen", "frozen_by_train", "zero_lr"]
#: What a constructor calls a layer: its depth, or a name.
LayerId = int | float | str


@dataclass(frozen=True)
class Reason:
    """Why one setting has its value.

    `rule` names the rule that fired (`custom_key`, `norm_decay_mult`, `layer_decay`, …) or is
    `constructor`: the constructor's own code set this, lldtool can't say why. `mult` is what it
    multiplies the base setting by; `key` the custom key, or the option with the rate of a layer
    decay. `beats` names the rules that apply as well and come later, a custom key as
    `custom_key:.bias`, and `would_give` says in the same order what the setting would be then;
    `misses` names the keys and options that were looked at and do not apply. `max_layer_id` goes
    with `layer_decay`, whose multiplier is rate^(max_layer_id − layer_id − 1).
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


@dataclass(frozen=True)
class Parameter:
    """One named tensor of the model, with the settings of its param group.

    `lr`, `lr_scale` and `weight_decay` are None where the optimizer has no such setting.
    `group` is the index in `optimizer.param_groups`. `extras` are the entries of the group that
    are neither settings nor the optimizer's defaults. `traits` are what its modules say of it:
    `NORM`, `NO_WEIGHT_DECAY`, `FROZEN`, `FROZEN_BY_TRAIN`, `FROZEN_BY_INIT_WEIGHTS` and
    `UPDATES_STATISTICS`. `state` is derived from traits and lr where it is not given, as in a plan
    that lldtool 0.1 saved. `optimizer` is the key of its optimizer in an OptimWrapperDict, None
    where there is one optimizer; a parameter in two optimizers is there twice.
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
    state: State = None  # type: ignore[assignment]  # never None once it is made
    optimizer: str | None = None

    def __post_init__(self) -> None:
        """Derive the state where it is not given."""
        if cast("State | None", self.state) is None:
            object.__setattr__(self, "state", _derived_state(self.traits, self.lr))

    @property
    def top_level_module(self) -> str:
        """The first part of the name: `backbone` of `backbone.layers.0.ln1.weight`."""
        return _top_level_module(self.name)

    @property
    def is_trained(self) -> bool:
        """Whether the optimizer moves it when there is a gradient."""
        return self.state == "trained"


def _derived_state(traits: Collection[str], lr: float | None) -> State:
    if FROZEN in traits:
        return "frozen"
    if FROZEN_BY_TRAIN in traits or FROZEN_BY_INIT_WEIGHTS in traits:
        return "frozen_by_train"
    return "zero_lr" if lr == 0 else "trained"


def _top_level_module(name: str) -> str:
    return name.partition(".")[0]


@dataclass(frozen=True)
class UntrainedParameter:
    """A parameter that is in no param group.

    `layer_id` is the layer that the constructor would put a frozen one in if it were trained;
    None where that is not known. `traits` are as in `Parameter`.
    """

    name: str
    shape: tuple[int, ...]
    numel: int
    layer_id: LayerId | None = None
    traits: tuple[str, ...] = ()

    @property
    def top_level_module(self) -> str:
        """The first part of the name, as in `Parameter`."""
        return _top_level_module(self.name)


@dataclass(frozen=True)
class Model:
    """The class of the model and of its backbone, and how many elements their parameters have.

    Of the whole model, also where a plan was narrowed to some of its parameters. `backbones` are
    the names of the modules that are backbones: `backbone`, `img_backbone`, `student.backbone`, ""
    for the model itself; None in a plan that lldtool 0.1 saved. `backbone` is the class of the
    first one that is not all frozen.
    """

    type: str
    backbone: str | None = None
    numel: int = 0
    backbone_numel: int | None = None
    backbones: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Optimizer:
    """The optimizer's class, and base lr and base weight decay as the config gives them.

    `options` are the optimizer's other defaults, given in the config or not (betas, eps, …); of
    several optimizers, the type and all defaults of each under its key. None in a plan that an
    lldtool saved which did not record them. `group_entries` are the other entries
    of param groups that its code mentions, as LARS reads `lars_exclude`, or that of a scheduler or
    hook of the config; with `lr_scale` where a constructor attached it and did not apply it.
    """

    type: str
    lr: float | None = None
    weight_decay: float | None = None
    options: dict[str, Any] | None = None
    group_entries: tuple[str, ...] = ()


@dataclass(frozen=True)
class OptimWrapper:
    """The class of the optimizer wrapper.

    `options` are its arguments but the optimizer, given in the config or not (clip_grad,
    accumulative_counts, …); None as in `Optimizer`.
    """

    type: str
    options: dict[str, Any] | None = None


@dataclass(frozen=True)
class Constructor:
    """The constructor's class and its `paramwise_cfg`, a list by its indices.

    `bases` are the classes that it inherits from. `reads` are the options that it looked for in
    `paramwise_cfg`, there or not; None where that is not known.
    """

    type: str
    paramwise_cfg: dict[str, Any] = field(default_factory=dict)
    bases: tuple[str, ...] = ()
    reads: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Name the entries of a list as `--cfg-options` does.

        Raises:
            LldtoolError: a constructor takes something else, which has no entries.
        """
        options = cast("object", self.paramwise_cfg)
        if isinstance(options, list):
            object.__setattr__(self, "paramwise_cfg", {str(i): x for i, x in enumerate(options)})
        elif not isinstance(options, dict):
            raise LldtoolError(f"optim_wrapper.paramwise_cfg is {options!r:.80}, no dict or list")


@dataclass(frozen=True)
class Layer:
    """All parameters of one optimizer with the same `layer_id`, lr and lr_scale.

    Where the constructor knows no layers, `layer_id` is None, and a layer is what one top-level
    module holds at one lr; what is trained and what is not are two layers then. `frozen` are the
    layer's frozen parameters that are in no param group.
    """

    layer_id: LayerId | None
    lr: float | None
    lr_scale: float | None
    parameters: tuple[Parameter, ...]
    frozen: tuple[UntrainedParameter, ...] = ()

    @property
    def optimizer(self) -> str | None:
        """The key of its optimizer, where there are several."""
        return self.parameters[0].optimizer if self.parameters else None

    @cached_property
    def trained(self) -> tuple[Parameter, ...]:
        """The parameters that are trained."""
        return tuple(p for p in self.parameters if p.is_trained)

    @property
    def num_tensors(self) -> int:
        """How many parameters the layer has in param groups."""
        return len(self.parameters)

    @property
    def num_trained(self) -> int:
        """How many of its parameters are trained."""
        return len(self.trained)

    @property
    def everything(self) -> tuple[Parameter | UntrainedParameter, ...]:
        """All its parameters, in param groups or not."""
        both: list[Parameter | UntrainedParameter] = [*self.parameters, *self.frozen]
        return tuple(both)

    @property
    def names(self) -> list[str]:
        """The names of all its parameters."""
        return [p.name for p in self.everything]

    @property
    def numel(self) -> int:
        """How many elements the parameters in param groups have."""
        return sum(p.numel for p in self.parameters)

    @cached_property
    def weight_decays(self) -> Counter[float | None]:
        """Weight decay -> number of trained tensors that have it."""
        return Counter(p.weight_decay for p in self.trained)


@dataclass(frozen=True)
class Plan:
    """What one config does to every parameter of its model."""

    config: str
    model: Model
    optim_wrapper: OptimWrapper
    optimizer: Optimizer
    constructor: Constructor
    parameters: tuple[Parameter, ...]
    frozen: tuple[UntrainedParameter, ...] = ()
    left_out: tuple[UntrainedParameter, ...] = ()
    notes: tuple[str, ...] = ()
    #: The config's `param_scheduler`, which changes the settings while training runs.
    param_scheduler: dict[str, Any] | tuple[Any, ...] | None = None
    #: What every lr was multiplied by after the constructor, as `Runner.scale_lr` does.
    auto_scale_lr: float = 1.0
    versions: dict[str, str | None] = field(default_factory=dict)
    lldtool_version: str = ""
    schema_version: int = SCHEMA_VERSION

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The parameters in groups, stem first; where no layers are known, in the model's order."""
        members: dict[tuple[Any, ...], list[Parameter]] = defaultdict(list)
        for p in self.parameters:
            place = _place(p) if p.layer_id is not None else (*_place(p), p.is_trained)
            members[(*place, p.lr, p.lr_scale, p.optimizer)].append(p)
        frozen = dict(self._frozen_by_place)
        layers = [
            Layer(p.layer_id, p.lr, p.lr_scale, (p, *others), tuple(frozen.pop(_place(p), ())))
            if p.layer_id is not None
            else Layer(None, p.lr, p.lr_scale, (p, *others))
            for p, *others in members.values()
        ]
        return tuple(_in_order(layers))

    @cached_property
    def layers_and_frozen(self) -> tuple[Layer, ...]:
        """The layers, and between them those of which no parameter is in a param group.

        What is frozen in a module goes before what is not; so does what no layer is known of.
        """
        present = {_place(p) for p in self.parameters if p.layer_id is not None}
        frozen = [
            Layer(own[0].layer_id, None, None, (), tuple(own))
            for place, own in self._frozen_by_place.items()
            if place not in present
        ]
        numbered = _in_order(x for x in (*frozen, *self.layers) if x.layer_id is not None)
        modules = [layer for layer in self.layers if layer.layer_id is None]
        others: list[Layer] = []
        for layer in (layer for layer in frozen if layer.layer_id is None):
            module = _place(layer.frozen[0])
            at = (i for i, own in enumerate(modules) if _place(own.everything[0]) == module)
            position = next(at, None)
            if position is None:
                others.append(layer)
            else:
                modules[position:position] = [layer]
        return (*others, *numbered, *modules)

    @cached_property
    def _frozen_by_place(self) -> dict[tuple[Any, ...], list[UntrainedParameter]]:
        """Layer or module -> the frozen parameters there that are in no param group."""
        frozen: dict[tuple[Any, ...], list[UntrainedParameter]] = defaultdict(list)
        for p in self.frozen:
            frozen[_place(p)].append(p)
        return frozen

    @cached_property
    def trained(self) -> tuple[Parameter, ...]:
        """The parameters that the optimizer moves when there is a gradient."""
        return tuple(p for p in self.parameters if p.is_trained)

    @cached_property
    def layer_ids(self) -> tuple[LayerId, ...]:
        """The layers that the constructor put parameters in, in order; none where it knows none."""
        return layer_order(p.layer_id for p in self.parameters)

    @property
    def has_layers(self) -> bool:
        """Whether the constructor gave the parameters a `layer_id`."""
        return bool(self.layer_ids)

    @cached_property
    def optimizers(self) -> dict[str, Optimizer]:
        """The optimizers by their keys, where they are several; else empty."""
        names = dict.fromkeys(p.optimizer for p in self.parameters if p.optimizer is not None)
        options = self.optimizer.options or {}
        known = {name: own for name, own in options.items() if names and isinstance(own, dict)}
        return {
            name: _optimizer_of(known.get(name, {})) for name in dict.fromkeys((*known, *names))
        }

    @cached_property
    def group_options(self) -> frozenset[str] | None:
        """The options that some optimizer has as an entry of its groups; None where not known."""
        if self.optimizer.options is None:
            return None
        if self.optimizers:
            return frozenset(name for one in self.optimizers.values() for name in one.options or ())
        return frozenset(self.optimizer.options)

    @cached_property
    def left_out_names(self) -> frozenset[str]:
        """The names of the parameters that require a gradient and are in no param group."""
        return frozenset(p.name for p in self.left_out)

    @property
    def every_parameter(self) -> Iterator[Parameter | UntrainedParameter]:
        """The parameters in some param group, the frozen ones and those left out."""
        yield from self.parameters
        yield from self.frozen
        yield from self.left_out

    def narrowed(self, names: Collection[str], note: str) -> Plan:
        """The same plan with the parameters of these names only, and a note that says so."""
        return replace(
            self,
            parameters=tuple(p for p in self.parameters if p.name in names),
            frozen=tuple(p for p in self.frozen if p.name in names),
            left_out=tuple(p for p in self.left_out if p.name in names),
            notes=(note, *self.notes),
        )


def _optimizer_of(options: Mapping[str, Any]) -> Optimizer:
    """One of several optimizers, of its type and defaults."""
    lr, weight_decay = map(options.get, ("lr", "weight_decay"))
    return Optimizer(
        str(options.get("type", "")),
        lr if isinstance(lr, (int, float)) else None,
        weight_decay if isinstance(weight_decay, (int, float)) else None,
        {k: v for k, v in options.items() if k not in ("type", "lr", "weight_decay")},
    )


def _place(p: Parameter | UntrainedParameter) -> tuple[Any, ...]:
    """The layer that a parameter is in; its top-level module where no layer is known."""
    return (0, p.layer_id) if p.layer_id is not None else (1, p.top_level_module)


def layer_order(ids: Iterable[LayerId | None]) -> tuple[LayerId, ...]:
    """Each layer id once: the numbers in order, then the names as they come, without None."""
    found = [layer_id for layer_id in dict.fromkeys(ids) if layer_id is not None]
    names = [layer_id for layer_id in found if isinstance(layer_id, str)]
    return (*sorted(x for x in found if not isinstance(x, str)), *names)


def _in_order(layers: Iterable[Layer]) -> list[Layer]:
    """The layers by `layer_order`; those without an id last, as they come."""
    unordered = list(layers)
    place = {layer_id: i for i, layer_id in enumerate(layer_order(x.layer_id for x in unordered))}
    return sorted(unordered, key=lambda x: len(place) if x.layer_id is None else place[x.layer_id])


def plan_to_json(plan: Plan) -> str:
    """The plan as JSON, a parameter to a line so that a saved plan reads well in a review.

    Floats are written as Python's `repr` has them: they read back bit for bit. The text is ASCII,
    so that no terminal or pipe can spoil it.
    """
    import msgspec

    content = {"schema_version": plan.schema_version, **plan_header(plan)}
    content |= {"layers": [_layer_row(x) for x in plan.layers]}
    content |= {"parameters": plan.parameters, "frozen": plan.frozen, "left_out": plan.left_out}
    content |= {"notes": plan.notes}
    return dump_by_line(msgspec.to_builtins(content))


def plan_header(plan: Plan) -> dict[str, Any]:
    """What a plan's JSON has about the config as a whole."""
    keys = ("config", "lldtool_version", "versions", "model", "optim_wrapper", "optimizer")
    return {
        key: getattr(plan, key)
        for key in (*keys, "constructor", "param_scheduler", "auto_scale_lr")
    }


def _layer_row(layer: Layer) -> dict[str, Any]:
    """A layer as the plan's JSON has it; a reader makes the layers from the parameters."""
    decays = sorted({p.weight_decay for p in layer.parameters if p.weight_decay is not None})
    return {
        "layer_id": layer.layer_id,
        "optimizer": layer.optimizer,
        "lr": layer.lr,
        "lr_scale": layer.lr_scale,
        "weight_decays": decays,
        "num_tensors": layer.num_tensors,
        "num_trained": layer.num_trained,
        "numel": layer.numel,
    }


def dump_by_line(content: Mapping[str, Any]) -> str:
    """JSON with an entry to a line, and an item of a list to a line."""
    lines = []
    for key, value in content.items():
        if isinstance(value, (list, tuple)) and value:
            items = ",\n".join(f"  {strict_json(item)}" for item in value)
            lines.append(f"{strict_json(key)}: [\n{items}\n ]")
        else:
            lines.append(f"{strict_json(key)}: {strict_json(value)}")
    return "{\n " + ",\n ".join(lines) + "\n}\n"


def plan_from_json(text: str | bytes, *, source: str = "plan") -> Plan:
    """Read what `plan_to_json` wrote.

    Args:
        text: the JSON, bytes of it in UTF-8.
        source: where it is from, for the error.

    Raises:
        LldtoolError: it is no JSON, no plan, or from a newer lldtool.
    """
    import msgspec

    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Five times as fast as the standard library, but knows no NaN and no infinity.
        plan = msgspec.json.decode(text, type=Plan)
        is_read = _mentions(text, '"schema_version"') and not any(
            _mentions(text, f'"{name}"') for name in NOT_IN_JSON
        )
        if is_read and 1 <= plan.schema_version <= SCHEMA_VERSION:
            return plan
    try:
        content = json.loads(text, parse_constant=str)
    except (ValueError, RecursionError) as error:
        raise LldtoolError(f"not a saved plan: {error}", config=source) from error
    if not _has_schema(content):
        raise LldtoolError("not a saved plan: no schema_version", config=source)
    version = content["schema_version"]
    if not isinstance(version, int) or version < 1:
        raise LldtoolError(f"not a saved plan: schema_version is {version!r}", config=source)
    if version > SCHEMA_VERSION:
        raise LldtoolError(
            f"a plan of schema_version {version}; this lldtool reads up to {SCHEMA_VERSION}",
            config=source,
            hint="pip install --upgrade lldtool",
        )
    try:
        return msgspec.convert(_with_numbers(content), Plan)
    except msgspec.ValidationError as error:
        raise LldtoolError(f"not a saved plan: {error}", config=source) from error


def is_plan(text: str | bytes) -> bool:
    """Whether JSON is a saved plan, rather than an mmengine config in JSON or no JSON at all."""
    if not _mentions(text, '"schema_version"'):
        return False
    try:
        return _has_schema(json.loads(text))
    except (ValueError, RecursionError):
        return False


def _mentions(text: str | bytes, part: str) -> bool:
    return part.encode() in text if isinstance(text, bytes) else part in text


#: The fields of a plan that are numbers or lists of them, and those that hold any value.
_NUMBERS = frozenset({"lr", "lr_scale", "weight_decay", "mult", "would_give", "auto_scale_lr"})
_ANY_VALUES = frozenset({"paramwise_cfg", "options", "extras", "param_scheduler"})


def _with_numbers(content: object, *, here: bool = False, below: bool = False) -> object:
    """A plan's JSON with numbers in the place of the strings that `strict_json` writes for them."""
    if isinstance(content, dict):
        return {
            key: _with_numbers(
                value, here=below or key in _NUMBERS, below=below or key in _ANY_VALUES
            )
            for key, value in content.items()
        }
    if isinstance(content, list):
        return [_with_numbers(item, here=here or below, below=below) for item in content]
    return NOT_IN_JSON.get(content, content) if here and isinstance(content, str) else content


def _has_schema(content: object) -> bool:
    return isinstance(content, dict) and "schema_version" in content


def load_plan(path: str | Path) -> Plan:
    """Read a plan that `lldtool inspect --format json` saved.

    Raises:
        LldtoolError: the file can't be read or is no plan.
    """
    try:
        text = read_bytes(Path(path))
    except OSError as error:
        reason = error.strerror or error
        raise LldtoolError(f"can't read the plan: {reason}", config=str(path)) from error
    return plan_from_json(text, source=str(path))

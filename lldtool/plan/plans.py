"""A plan and its parts: what the optimizer does to every parameter, as numbers and strings only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from lldtool.errors import LldtoolError
from lldtool.plan.parameters import LayerId, Parameter, UntrainedParameter
from lldtool.plan.schedule import Schedule, Step
from lldtool.plan.starts import Buffer, Loaded, Start

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Model:
    """The class of the model and of its backbone, and the number of elements of their parameters.

    The numbers are those of the whole model, also in a narrowed plan. `backbones` are the names of
    the backbone modules: `backbone`, `img_backbone`, `student.backbone`, "" for the model itself;
    None in a plan that lldtool 0.1 saved. `backbone` is the class of the first one that is not
    completely frozen.
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
    several optimizers, the type and all defaults of each under its key; None in a plan of an
    lldtool that did not record them. `group_entries` are the other entries of param groups that
    its code reads, as LARS does `lars_exclude`, or that a scheduler or hook of the config reads;
    with `lr_scale` where a constructor attached it and did not apply it.
    """

    type: str
    lr: float | None = None
    weight_decay: float | None = None
    options: dict[str, Any] | None = None
    group_entries: tuple[str, ...] = ()

    @classmethod
    def of_defaults(cls, defaults: Mapping[str, Any]) -> Optimizer:
        """Return one of several optimizers, given its type and all its defaults."""
        lr, weight_decay = map(defaults.get, ("lr", "weight_decay"))
        return cls(
            str(defaults.get("type", "")),
            lr if isinstance(lr, (int, float)) else None,
            weight_decay if isinstance(weight_decay, (int, float)) else None,
            {k: v for k, v in defaults.items() if k not in ("type", "lr", "weight_decay")},
        )


@dataclass(frozen=True)
class OptimWrapper:
    """The class of the optimizer wrapper, and its arguments without the optimizer.

    `options` hold those given in the config or not (clip_grad, …); None as in `Optimizer`.
    """

    type: str
    options: dict[str, Any] | None = None


@dataclass(frozen=True)
class Constructor:
    """The constructor's class and its `paramwise_cfg`; a list becomes a dict of its indices.

    `bases` are the classes that it inherits from. `reads` are the options that it looked up in
    `paramwise_cfg`, present or not; None where that is not known.

    Raises:
        LldtoolError: `paramwise_cfg` is neither a dict nor a list.
    """

    type: str
    paramwise_cfg: dict[str, Any] = field(default_factory=dict)
    bases: tuple[str, ...] = ()
    reads: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Name the entries of a list as `--cfg-options` does."""
        options = cast("object", self.paramwise_cfg)
        if isinstance(options, list):
            object.__setattr__(self, "paramwise_cfg", {str(i): x for i, x in enumerate(options)})
        elif not isinstance(options, dict):
            raise LldtoolError(f"optim_wrapper.paramwise_cfg is {options!r:.80}, no dict or list")


@dataclass(frozen=True)
class Layer:
    """All parameters of one optimizer with the same `layer_id`, lr and lr_scale.

    Where the constructor knows no layers, `layer_id` is None, and a layer holds the parameters of
    one top-level module at one lr; the trained ones and the others are two layers then. `frozen`
    are the layer's frozen parameters that are in no param group.
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
        """The number of its parameters in param groups."""
        return len(self.parameters)

    @property
    def num_trained(self) -> int:
        """The number of its parameters that are trained."""
        return len(self.trained)

    @property
    def everything(self) -> tuple[Parameter | UntrainedParameter, ...]:
        """All its parameters, in param groups or not."""
        return (*self.parameters, *self.frozen)

    @property
    def names(self) -> list[str]:
        """The names of all its parameters."""
        return [p.name for p in self.everything]

    @property
    def numel(self) -> int:
        """The number of elements of its parameters in param groups."""
        return sum(p.numel for p in self.parameters)

    @cached_property
    def weight_decays(self) -> Counter[float | None]:
        """Weight decay -> number of trained tensors that have it."""
        return Counter(p.weight_decay for p in self.trained)


@dataclass(frozen=True)
class Plan:
    """What one config does to every parameter of its model.

    `param_scheduler` is the config's, which changes the settings while training runs; `schedule` is
    how it does that, None in a plan of lldtool 0.1 and where the length of training is not known.
    `auto_scale_lr` is the factor on every lr after the constructor, as in `Runner.scale_lr`.
    `left_out` require a gradient and are in no param group. `legacy_options` are those of OpenMMLab
    0.x at the top level of the config, which mmengine ignores. `loaded` are the checkpoints that
    training starts from, in the order in which it loads them; None where that is not known.
    `buffers` are the model's where there are such checkpoints. `step` is how far the training is
    where the settings are those of its next step, as in a checkpoint; None before the first step.
    """

    config: str
    model: Model
    optim_wrapper: OptimWrapper
    optimizer: Optimizer
    constructor: Constructor
    parameters: tuple[Parameter, ...]
    frozen: tuple[UntrainedParameter, ...] = ()
    left_out: tuple[UntrainedParameter, ...] = ()
    notes: tuple[str, ...] = ()
    param_scheduler: dict[str, Any] | tuple[Any, ...] | None = None
    auto_scale_lr: float = 1.0
    schedule: Schedule | None = None
    legacy_options: tuple[str, ...] = ()
    buffers: tuple[Buffer, ...] = ()
    loaded: tuple[Loaded, ...] | None = None
    step: Step | None = None
    versions: dict[str, str | None] = field(default_factory=dict)
    lldtool_version: str = ""
    schema_version: int = SCHEMA_VERSION

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The parameters in groups, stem first; where no layers are known, in the model's order."""
        return tuple(layer for layer in self.layers_and_frozen if layer.parameters)

    @cached_property
    def layers_and_frozen(self) -> tuple[Layer, ...]:
        """The layers, and between them those of which no parameter is in a param group.

        Within a module the frozen parameters come first; modules that are frozen as a whole come
        before everything else.
        """
        members: dict[tuple[Any, ...], list[Parameter]] = defaultdict(list)
        for p in self.parameters:
            is_trained = p.layer_id is not None or p.is_trained
            members[_position(p), is_trained, p.lr, p.lr_scale, p.optimizer].append(p)
        frozen: dict[tuple[bool, LayerId], list[UntrainedParameter]] = defaultdict(list)
        for u in self.frozen:
            frozen[_position(u)].append(u)
        numbered, modules = list[Layer](), list[Layer]()
        for (position, *_), own in members.items():
            untrained = tuple(frozen.pop(position, ()))
            layer = Layer(own[0].layer_id, own[0].lr, own[0].lr_scale, tuple(own))
            if layer.layer_id is not None:
                numbered.append(replace(layer, frozen=untrained))
            else:
                modules += [Layer(None, None, None, (), untrained)] if untrained else []
                modules.append(layer)
        others = [Layer(own[0].layer_id, None, None, (), tuple(own)) for own in frozen.values()]
        numbered = [*(layer for layer in others if layer.layer_id is not None), *numbered]
        ids = enumerate(layer_order(layer.layer_id for layer in numbered))
        rank: dict[LayerId | None, int] = {layer_id: i for i, layer_id in ids}
        numbered.sort(key=lambda layer: rank[layer.layer_id])
        return (*(layer for layer in others if layer.layer_id is None), *numbered, *modules)

    @cached_property
    def trained(self) -> tuple[Parameter, ...]:
        """The parameters that the optimizer changes when there is a gradient."""
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
        """The optimizers by their keys, where there are several; else empty."""
        keys = dict.fromkeys(p.optimizer for p in self.parameters if p.optimizer is not None)
        options = (self.optimizer.options or {}) if keys else {}
        recorded = {key: own for key, own in options.items() if isinstance(own, dict)}
        return {key: Optimizer.of_defaults(recorded.get(key, {})) for key in {**recorded, **keys}}

    @cached_property
    def group_options(self) -> frozenset[str] | None:
        """The options that some optimizer has as an entry of its groups; None where not known."""
        if self.optimizer.options is None:
            return None
        optimizers = self.optimizers.values() or [self.optimizer]
        return frozenset(name for optimizer in optimizers for name in optimizer.options or ())

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

    def start_of(self, p: Parameter | UntrainedParameter) -> Start | None:
        """Return from where a parameter starts; None where that is not known.

        Where no checkpoint is loaded, all start from their initialisation.
        """
        return "missing" if self.loaded == () else p.start

    def end_lr(self, layer: Layer) -> float | None:
        """Return the lr that a layer has in the last step; None where that is not known."""
        if self.schedule is None or not layer.trained:
            return None
        group = layer.trained[0].group
        curve = self.schedule.curve_of(group, "lr")
        return None if curve is None else curve.value[-1] * curve.factor(group)

    def narrowed(self, names: Collection[str], note: str) -> Plan:
        """Return the same plan with only the parameters of these names, and a note about it."""
        return replace(
            self,
            parameters=tuple(p for p in self.parameters if p.name in names),
            frozen=tuple(p for p in self.frozen if p.name in names),
            left_out=tuple(p for p in self.left_out if p.name in names),
            notes=(note, *self.notes),
        )


def _position(p: Parameter | UntrainedParameter) -> tuple[bool, LayerId]:
    """Return the layer that a parameter is in; its top-level module where no layer is known."""
    return (False, p.top_level_module) if p.layer_id is None else (True, p.layer_id)


def layer_order(ids: Iterable[LayerId | None]) -> tuple[LayerId, ...]:
    """Return each layer id but None once: the numbers in order, then the names as they come."""
    found = [layer_id for layer_id in dict.fromkeys(ids) if layer_id is not None]
    names = [layer_id for layer_id in found if isinstance(layer_id, str)]
    return (*sorted(x for x in found if not isinstance(x, str)), *names)

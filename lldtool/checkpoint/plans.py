"""Checkpoint -> Plan: the settings of every parameter at the step where it was saved."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lldtool.checkpoint.contents import Checkpoint, TensorInfo
from lldtool.checkpoint.param_groups import (
    Group,
    NamesFrom,
    groups_of,
    have_names,
    is_buffer,
    name_doubts,
    named,
)
from lldtool.checkpoint.schedules import schedule_in
from lldtool.checkpoint.training_config import training_config
from lldtool.errors import LldtoolError
from lldtool.plan import (
    Buffer,
    Constructor,
    Model,
    Optimizer,
    OptimWrapper,
    Parameter,
    Plan,
    Reason,
    Reasons,
    State,
    Step,
    UntrainedParameter,
)
from lldtool.plan.backbones import backbones_of
from lldtool.plan.param_groups import extra_entries, layer_id_of, lr_ratio
from lldtool.text import plural
from lldtool.versions import lldtool_version

#: Where the settings of a parameter are from.
_REASON = Reason("checkpoint")
_NAMES_NOTES: Mapping[NamesFrom, str] = {
    "groups": "the names of the parameters are those in the param groups",
    "config": "the param groups have no names: these are from a dry run of the checkpoint's config",
    "order": "the param groups have no names: these are by order and shape of the weights",
}
#: What reading damaged content raises.
_DAMAGES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def has_parameter_names(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint itself tells the names of all parameters in its param groups.

    Raises:
        LldtoolError: its optimizer state can't be read.
    """
    return have_names(groups_of(checkpoint))


def plan_of_checkpoint(
    checkpoint: Checkpoint, built: Plan | None = None, *, at_start: bool = False
) -> Plan:
    """Return the plan of a training at the step where the checkpoint was saved.

    Args:
        checkpoint: with or without an optimizer; without, no parameter is in a param group.
        built: the plan of a dry run of the checkpoint's config, which knows more: the classes of
            the modules, the schedule, and the reasons for what is the same in the checkpoint.
        at_start: with the settings that the parameters had at first.

    Raises:
        LldtoolError: which parameters are in its param groups can't be told.
    """
    try:
        return _plan_of(checkpoint, built, at_start=at_start)
    except _DAMAGES as error:
        raise LldtoolError(
            "its optimizer state is not one of torch.optim", config=checkpoint.name
        ) from error


def step_of(checkpoint: Checkpoint) -> Step | None:
    """Return how far the training was; None where the checkpoint does not say so."""
    epoch, iteration = checkpoint.meta.get("epoch"), checkpoint.meta.get("iter")
    if type(epoch) is not int or type(iteration) is not int or min(epoch, iteration) < 0:
        return None
    return Step(epoch, iteration)


def _plan_of(checkpoint: Checkpoint, built: Plan | None, *, at_start: bool) -> Plan:
    config = training_config(checkpoint)
    weights = checkpoint.state_dict
    groups, names_from = named(checkpoint, groups_of(checkpoint), built)
    known = {p.name: p for p in built.parameters} if built is not None else {}
    optimizer = _optimizer(groups, _part(config, "optim_wrapper"), built)
    parameters = [
        _parameter(number, place, group, weights, optimizer.lr, known, at_start=at_start)
        for number, group in enumerate(groups)
        for place in range(len(group.names))
    ]
    order = {name: number for number, name in enumerate(weights)}
    parameters.sort(key=lambda p: order.get(p.name, len(order)))
    in_groups = {p.name for p in parameters}
    rest = {p.name: p for p in (*built.frozen, *built.left_out)} if built is not None else None
    others = {n: t for n, t in weights.items() if n not in in_groups}
    buffers = {
        n: t for n, t in others.items() if (is_buffer(n, t) if rest is None else n not in rest)
    }
    untrained = [
        replace(
            (rest or {}).get(name) or UntrainedParameter(name, (), 0),
            shape=tensor.shape,
            numel=_numel(tensor.shape),
        )
        for name, tensor in others.items()
        if name not in buffers
    ]
    made = built or _header(checkpoint, config, [n for n in weights if n not in buffers])
    everything: list[Parameter | UntrainedParameter] = [*parameters, *untrained]
    sizes = {p.name: p.numel for p in everything}
    inside = [f"{name}." if name else "" for name in made.model.backbones or ()][:1]
    backbone_numel = sum(n for name, n in sizes.items() if name.startswith(tuple(inside)))
    out = {p.name for p in untrained if not groups or p.name in made.left_out_names}
    return replace(
        made,
        config=checkpoint.name,
        model=replace(made.model, numel=sum(sizes.values()), backbone_numel=backbone_numel or None),
        optimizer=optimizer,
        parameters=tuple(parameters),
        frozen=tuple(p for p in untrained if p.name not in out),
        left_out=tuple(p for p in untrained if p.name in out),
        buffers=tuple(
            Buffer(name, tensor.shape, _numel(tensor.shape), tensor.dtype)
            for name, tensor in buffers.items()
        ),
        loaded=None,
        notes=(*_notes(checkpoint, groups, names_from, parameters), *made.notes),
        step=step_of(checkpoint) if groups and not at_start else None,
        versions=_versions(checkpoint),
        lldtool_version=lldtool_version(),
    )


def _parameter(
    number: int,
    place: int,
    group: Group,
    weights: Mapping[str, TensorInfo],
    base_lr: float | None,
    known: Mapping[str, Parameter],
    *,
    at_start: bool,
) -> Parameter:
    name, entries = group.names[place], group.entries
    (lr, initial), (weight_decay, initial_decay) = (
        (_number(entries.get(key)), _number(entries.get(f"initial_{key}", entries.get(key))))
        for key in ("lr", "weight_decay")
    )
    scale = _number(entries["lr_scale"]) if "lr_scale" in entries else lr_ratio(initial, base_lr)
    tensor = weights.get(name) or TensorInfo(group.shapes[place] or (), "")
    built = known.get(name)
    reasons = Reasons(
        built.reason.lr if built is not None and built.lr == initial else _REASON,
        built.reason.weight_decay
        if built is not None and built.weight_decay == weight_decay == initial_decay
        else _REASON,
    )
    return Parameter(
        name=name,
        shape=tensor.shape,
        numel=_numel(tensor.shape),
        dtype=tensor.dtype,
        module_type="" if built is None else built.module_type,
        layer_id=layer_id_of(entries),
        lr=initial if at_start else lr,
        lr_scale=scale,
        weight_decay=initial_decay if at_start else weight_decay,
        group=number,
        extras=_extras(group),
        reason=reasons,
        traits=() if built is None else built.traits,
        state=_state(group, place, initial) if built is None else built.state,
        optimizer=group.optimizer,
    )


def _state(group: Group, place: int, initial_lr: float | None) -> State:
    """Return the state, judged by what the optimizer keeps: nothing of what got no gradient."""
    if any(group.has_state) and not group.has_state[place]:
        return "frozen"
    return "zero_lr" if initial_lr == 0 else "trained"


def _extras(group: Group) -> dict[str, Any]:
    entries = {k: v for k, v in group.entries.items() if not str(k).startswith("initial_")}
    defaults = group.base or entries  # without defaults, which entries are extra is not known
    return {str(k): _plain(v) for k, v in extra_entries(entries, defaults).items()}


def _optimizer(
    groups: Sequence[Group], wrapper: Mapping[str, Any], built: Plan | None
) -> Optimizer:
    """Return the optimizer with its base settings, as the checkpoint or its config has them."""
    if built is not None:
        return built.optimizer
    configured = _part(wrapper, "optimizer")
    base = next((group.base for group in groups if group.base), {})
    options = {
        str(key): _plain(value)
        for key, value in base.items()
        if key not in ("params", "lr", "weight_decay") and not str(key).startswith("initial_")
    }
    lr, decay = (
        _number(base.get(f"initial_{key}", base.get(key, configured.get(key))))
        for key in ("lr", "weight_decay")
    )
    return Optimizer(str(configured.get("type", "")), lr, decay, options or None)


def _header(checkpoint: Checkpoint, config: Mapping[str, Any], names: Sequence[str]) -> Plan:
    """Return a plan with what the config says, and no parameters."""
    wrapper, model = _part(config, "optim_wrapper"), _part(config, "model")
    constructor = wrapper.get("constructor", "DefaultOptimWrapperConstructor")
    schedulers = _plain(config.get("param_scheduler"))
    return Plan(
        config="",
        model=Model(
            str(model.get("type", "")),
            _part(model, "backbone").get("type"),
            backbones=backbones_of(names),
        ),
        optim_wrapper=OptimWrapper(str(wrapper.get("type", "OptimWrapper"))),
        optimizer=Optimizer(""),
        constructor=Constructor(
            str(constructor) if config else "", _plain(_part(wrapper, "paramwise_cfg"))
        ),
        parameters=(),
        param_scheduler=tuple(schedulers) if isinstance(schedulers, list) else schedulers or None,
        schedule=schedule_in(checkpoint, config),
    )


def _notes(
    checkpoint: Checkpoint,
    groups: Sequence[Group],
    names_from: NamesFrom,
    parameters: Sequence[Parameter],
) -> Iterator[str]:
    if not groups:
        yield "the checkpoint has no optimizer state: it holds weights, and no settings"
        return
    if step_of(checkpoint) is None:
        yield "the checkpoint does not say at which step it was saved"
    yield _NAMES_NOTES[names_from]
    yield from name_doubts(checkpoint, groups)
    absent = sum(p.name not in checkpoint.state_dict for p in parameters)
    if absent:
        yield f"{plural(absent, 'parameter')} of the param groups not among the weights"


def _versions(checkpoint: Checkpoint) -> dict[str, str | None]:
    version = checkpoint.meta.get("mmengine_version")
    if not isinstance(version, str):
        return {}
    # mmengine appends the hash of whatever repository it is run in.
    return {"mmengine": re.sub(r"(unknown|[0-9a-f]{40})$", "", version)}


def _part(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return math.nan if value != value else float(value)


def _plain(value: Any) -> Any:
    """Return what JSON can hold: numbers, strings, lists, dicts; the rest by name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return "tensor" if isinstance(value, TensorInfo) else str(getattr(value, "name", value))


def _numel(sizes: Sequence[int]) -> int:
    return math.prod(sizes)

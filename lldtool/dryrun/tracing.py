"""Why each setting is what it is: an independent implementation of the constructors' rules.

A tracer recomputes, from the documented rules of one constructor, what every parameter should get
and why. `with_reasons` attaches a reason only where the recomputed float is the very same as the
constructor's; elsewhere the reason stays `constructor`.

lldtool's own tracers are the modules of `lldtool.dryrun.tracers`, each with a `TRACES` that says
which constructors it traces. A team adds the tracer of its own constructor with a module of its own
and an entry point in the group `lldtool.tracers`, named by the constructor's class::

    [project.entry-points."lldtool.tracers"]
    "my_package.optim.MyConstructor" = "my_package.lldtool_tracer:trace"
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lldtool.plan import Parameter, Reason, Reasons

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "lldtool.tracers"


@dataclass(frozen=True)
class Setup:
    """What a constructor is given, and what it made of the parameters.

    `defaults` are the optimizer's own, for settings that neither config nor constructor gives.
    """

    model: Any
    paramwise_cfg: Mapping[str, Any]
    base_lr: float | None
    base_weight_decay: float | None
    defaults: Mapping[str, Any]
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True)
class Trace:
    """What the rules give one parameter, and why."""

    lr: float | None
    weight_decay: float | None
    reasons: Reasons
    #: The depth that the lr was computed from, where it was.
    layer_id: int | None = None


#: Parameter name -> its trace; names may be missing where the rules say nothing.
Tracer = Callable[[Setup], Mapping[str, Trace]]


def traced(constructor: type, setup: Setup) -> tuple[Mapping[str, Trace] | None, str | None]:
    """Recompute the settings by the rules of the constructor.

    Args:
        constructor: the constructor's class; a subclass is traced as its nearest known base.
        setup: what it was given and what came out.

    Returns:
        Parameter name -> trace, None where no rules are known; and a note where a tracer failed:
        that costs the reasons, not the numbers.
    """
    try:
        trace = base_settings if not setup.paramwise_cfg else _tracer(constructor)
        return (None if trace is None else trace(setup)), None
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return None, f"no reasons: the tracer of {constructor.__name__} failed, {text}"


def with_reasons(
    parameters: Sequence[Parameter], traces: Mapping[str, Trace]
) -> tuple[Parameter, ...]:
    """The parameters, with a reason wherever the recomputed number is the same to the last bit."""
    return tuple(
        replace(p, reason=_verified(p, traces[p.name])) if p.name in traces else p
        for p in parameters
    )


def _tracer(constructor: type) -> Tracer | None:
    for cls in constructor.__mro__:
        name = _class_name(cls)
        if name in builtin_tracers():
            return builtin_tracers()[name]
        if name in installed_tracers():
            trace: Tracer = installed_tracers()[name].load()
            return trace
    return None


def has_builtin_tracer(constructor: type) -> bool:
    """Whether lldtool itself has rules for this very class."""
    return _class_name(constructor) in builtin_tracers()


def _class_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


@functools.cache
def builtin_tracers() -> Mapping[str, Tracer]:
    """Class of a constructor -> its tracer, for those in `lldtool.dryrun.tracers`."""
    from lldtool.dryrun import tracers

    names = [module.name for module in pkgutil.iter_modules(tracers.__path__)]
    modules = [importlib.import_module(f"{tracers.__name__}.{name}") for name in names]
    return {cls: trace for module in modules for cls, trace in module.TRACES.items()}


@functools.cache
def installed_tracers() -> Mapping[str, EntryPoint]:
    """Class of a constructor -> where its tracer is, for those of other packages."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _verified(parameter: Parameter, trace: Trace) -> Reasons:
    unknown = Reasons()
    same_layer = trace.layer_id is None or trace.layer_id == parameter.layer_id
    return Reasons(
        lr=trace.reasons.lr if same_layer and _same(trace.lr, parameter.lr) else unknown.lr,
        weight_decay=trace.reasons.weight_decay
        if _same(trace.weight_decay, parameter.weight_decay)
        else unknown.weight_decay,
    )


def _same(recomputed: float | None, actual: float | None) -> bool:
    if recomputed is None or actual is None:
        return recomputed is actual
    return float(recomputed).hex() == actual.hex()


def base_settings(setup: Setup) -> dict[str, Trace]:
    """What mmengine does without a paramwise_cfg: one group with the optimizer's settings.

    Source: mmengine `DefaultOptimWrapperConstructor.__call__`.
    """
    lr, lr_reason = base_lr(setup)
    decay, decay_reason = base_weight_decay(setup)
    trace = Trace(lr, decay, Reasons(lr_reason, decay_reason))
    return {p.name: trace for p in setup.parameters}


def base_lr(setup: Setup) -> tuple[float | None, Reason]:
    """The lr of a group that names none: the config's base lr, or the optimizer's default."""
    return _base(setup.base_lr, setup.defaults.get("lr"))


def base_weight_decay(setup: Setup) -> tuple[float | None, Reason]:
    """The weight decay of a group that names none."""
    return _base(setup.base_weight_decay, setup.defaults.get("weight_decay"))


def _base(configured: float | None, default: Any) -> tuple[float | None, Reason]:
    if configured is not None:
        return configured, Reason("base")
    value = None if default is None else float(default)
    return value, Reason("optimizer_default")


# What the tracers share.


def matching_keys(custom_keys: Mapping[str, Any], name: str) -> list[str]:
    """The custom keys that are part of a name, in the order in which they are tried.

    The longest first, and of the same length by alphabet: mmengine sorts them so.
    """
    return [k for k in sorted(sorted(custom_keys), key=len, reverse=True) if k in name]


def rule_for(
    setup: Setup, candidates: Sequence[tuple[Reason, float]], options: Iterable[str]
) -> tuple[Reason, float]:
    """The first of the rules that apply, with those that it beats and misses, and what it gives.

    Args:
        setup: whose keys and options were looked at.
        candidates: the rules that apply, the first to be taken.
        options: the options that the constructor looks at for this setting.
    """
    (first, value), *beaten = candidates
    beaten = [(reason, would) for reason, would in beaten if reason.rule != "base"]
    applying = {_name(reason) for reason, _ in candidates}
    looked_at = [f"custom_key:{key}" for key in setup.paramwise_cfg.get("custom_keys", {})]
    looked_at += [name for name in options if setup.paramwise_cfg.get(name, None) is not None]
    reason = replace(
        first,
        beats=tuple(_name(reason) for reason, _ in beaten),
        would_give=tuple(float(would) for _, would in beaten),
        misses=tuple(name for name in looked_at if name not in applying),
    )
    return reason, value


def _name(reason: Reason) -> str:
    return reason.rule if reason.key is None else f"{reason.rule}:{reason.key}"


def layer_decay(
    setup: Setup, option: str, layer_id: int, max_layer_id: int, default: float | None = None
) -> tuple[Reason, float]:
    """lr_scale = rate^(max_layer_id − layer_id − 1), as a reason and as a number."""
    rate = setup.paramwise_cfg.get(option, default)
    scale = rate ** (max_layer_id - layer_id - 1)
    key = option if option in setup.paramwise_cfg else None
    return Reason("layer_decay", key=key, mult=scale, max_layer_id=max_layer_id), scale


def decay_candidates(
    setup: Setup, keys: Iterable[str], rules: Mapping[str, bool]
) -> list[tuple[Reason, float]]:
    """The weight-decay rules that apply to a parameter, first match first, and what they give.

    Args:
        setup: with a base weight decay.
        keys: the custom keys that match.
        rules: option -> whether the parameter is of the kind that it is for.
    """
    base = setup.base_weight_decay
    assert base is not None
    custom_keys = setup.paramwise_cfg.get("custom_keys", {})
    candidates = []
    for key in keys:
        mult = custom_keys[key].get("decay_mult", 1.0)
        # Every other entry of a custom key goes into the group; this one overrides the product.
        value = custom_keys[key].get("weight_decay", base * mult)
        shown = None if "weight_decay" in custom_keys[key] else float(mult)
        candidates.append((Reason("custom_key", key=key, mult=shown), value))
    for option, applies in rules.items():
        mult = setup.paramwise_cfg.get(option, None)
        if applies and mult is not None:
            candidates.append((Reason(option, mult=float(mult)), base * mult))
    return [*candidates, (Reason("base"), base)]


def is_norm(module: Any) -> bool:
    """Whether mmengine takes a module for a normalisation layer."""
    from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm, _InstanceNorm
    from torch.nn import GroupNorm, LayerNorm

    return isinstance(module, (_BatchNorm, _InstanceNorm, GroupNorm, LayerNorm))

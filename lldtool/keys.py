"""What each custom key and option of a `paramwise_cfg` does: how much it matches and decides."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lldtool.plan import Parameter, Plan, Reason

#: The order in which mmengine's and mmpretrain's constructors look at their options.
_PRECEDENCE = (
    "norm_decay_mult",
    "bias_decay_mult",
    "dwconv_decay_mult",
    "flat_decay_mult",
    "dcn_offset_lr_mult",
    "bias_lr_mult",
)


@dataclass(frozen=True)
class Effect:
    """What leaving a key or an option out would do.

    `settings` and `extras` count the tensors whose lr, lr_scale, weight decay or layer, or else
    whose other group entries, would be different; `error` says what the constructor would raise.
    """

    settings: int = 0
    extras: int = 0
    error: str | None = None


@dataclass(frozen=True)
class Key:
    """A custom key, or another option of `paramwise_cfg` (`is_custom` false).

    `matched` and `decided` count tensors, None where no rule of lldtool's tells; `taken` counts
    those that it matched and that a custom key before it decided.
    """

    name: str
    is_custom: bool
    matched: int | None
    decided: int | None
    taken: dict[str, int] = field(default_factory=dict)
    effect: Effect = Effect()


def keys_of(plan: Plan) -> list[Key]:
    """The custom keys and options of a plan's `paramwise_cfg`, in the order of precedence."""
    options = plan.constructor.paramwise_cfg
    custom = options.get("custom_keys", {})
    names = sorted(sorted(custom), key=len, reverse=True)
    others = [name for name in _PRECEDENCE if name in options]
    others += [name for name in options if name not in (*others, "custom_keys")]
    return [_custom_key(plan, name) for name in names] + [_option(plan, name) for name in others]


def _custom_key(plan: Plan, key: str) -> Key:
    beaten = f"custom_key:{key}"
    decided = [p for p in plan.parameters if key in _deciding_keys(p)]
    taken: Counter[str] = Counter()
    for p in plan.parameters:
        if beaten in p.reason.weight_decay.beats + p.reason.lr.beats:
            taken[next(iter(_deciding_keys(p)))] += 1
    if any(_is_unexplained(p) for p in plan.parameters):
        matched = sum(key in p.name for p in plan.parameters)
        return Key(key, is_custom=True, matched=matched, decided=None)
    matched = len(decided) + sum(taken.values())
    return Key(key, is_custom=True, matched=matched, decided=len(decided), taken=dict(taken))


def _deciding_keys(parameter: Parameter) -> list[str]:
    reasons = (parameter.reason.weight_decay, parameter.reason.lr)
    return [r.key for r in reasons if r.rule == "custom_key" and r.key is not None]


def _option(plan: Plan, name: str) -> Key:
    reasons = [(p.reason.weight_decay, p.reason.lr) for p in plan.parameters]
    decided = sum(any(name in (r.rule, _rate_option(r)) for r in both) for both in reasons)
    beaten = sum(any(name in r.beats for r in both) for both in reasons)
    known = name in _PRECEDENCE or decided or beaten
    if not known or any(_is_unexplained(p) for p in plan.parameters):
        return Key(name, is_custom=False, matched=None, decided=None)
    return Key(name, is_custom=False, matched=decided + beaten, decided=decided)


def _rate_option(reason: Reason) -> str | None:
    """The option that gave the rate of a layer decay."""
    return reason.key if reason.rule == "layer_decay" else None


def _is_unexplained(parameter: Parameter) -> bool:
    rules = (parameter.reason.weight_decay.rule, parameter.reason.lr.rule)
    return "constructor" in rules


def difference(before: Plan, after: Plan) -> Effect:
    """What changed between two plans of one model."""
    now = {p.name: p for p in after.parameters}
    settings = extras = 0
    for p in before.parameters:
        other = now.pop(p.name, None)
        if other is None or _settings(p) != _settings(other):
            settings += 1
        elif p.extras != other.extras:
            extras += 1
    return Effect(settings=settings + len(now), extras=extras)


def _settings(p: Parameter) -> tuple[float | None, float | None, float | None, int | None]:
    return p.lr, p.lr_scale, p.weight_decay, p.layer_id

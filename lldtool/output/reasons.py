"""Why a setting has its value, in words and with the numbers: of one parameter, of a whole plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lldtool.plan import Parameter, Plan, Reason
from lldtool.text import layer_name, setting, value

#: Option -> why a parameter is not of the kind that it is for.
_NOT_OF_THE_KIND = {
    "dwconv_decay_mult": "not in a depth-wise convolution",
    "bias_lr_mult": "no bias, or one of a norm layer",
    "dcn_offset_lr_mult": "no offset of a deformable convolution",
}


def lr_formula(plan: Plan, parameters: Sequence[Parameter]) -> str:
    """`7.39e-6 = 0.002 × 0.65^(14−0−1)`; of several parameters with one reason, from … to.

    Args:
        plan: with the base lr and the rate.
        parameters: with the same reason.
    """
    first, reason = parameters[0], parameters[0].reason.lr
    factors = _factors(reason, plan.optimizer.lr)
    if reason.rule == "layer_decay" and reason.key is not None:
        rate = plan.constructor.paramwise_cfg.get(reason.key)
        layer = layer_name(first.layer_id) if len(parameters) == 1 else "layer"
        depth = f"{reason.max_layer_id}−{layer}−1"
        factors = [setting(plan.optimizer.lr), f"{value(rate)}^({depth})"]
    if plan.auto_scale_lr != 1:
        unscaled = None if first.lr is None else first.lr / plan.auto_scale_lr
        factors = [
            *(factors or [setting(unscaled)]),
            f"{setting(plan.auto_scale_lr)} (auto_scale_lr)",
        ]
    digits = 3 if reason.rule == "layer_decay" else 6
    left = _from_to([p.lr for p in parameters], digits)
    if plan.step is not None and reason.rule != "checkpoint":  # the reason is that of the first lr
        base = (plan.optimizer.lr or 0.0) * plan.auto_scale_lr
        initial = [None if p.lr_scale is None else base * p.lr_scale for p in parameters]
        first_lr = _from_to(initial, digits)
        left = left if left == first_lr else f"{left}, at first {first_lr}"
    return " = ".join([left, " × ".join(factors)]) if factors else left


def _from_to(numbers: Sequence[float | None], digits: int) -> str:
    """Return a number, or the least and the largest of several with three digits."""
    found = sorted({number for number in numbers if number is not None})
    if len(found) > 1:
        return f"{setting(found[0], 3)} … {setting(found[-1], 3)}"
    return setting(found[0] if found else None, digits)


def weight_decay_formula(plan: Plan, p: Parameter) -> str:
    """`0 = 0.05 × 0`."""
    factors = _factors(p.reason.weight_decay, plan.optimizer.weight_decay)
    left = setting(p.weight_decay)
    return f"{left} = {' × '.join(factors)}" if factors else left


def _factors(reason: Reason, base: float | None) -> list[str]:
    """Return what the base setting is multiplied by, where it is."""
    if reason.mult is None or reason.rule in ("no_decay", "layer_decay"):
        return []
    return [setting(base), setting(reason.mult)]


def rule_text(reason: Reason) -> str:
    """Return the rule that fired, in words."""
    if reason.rule == "custom_key":
        return f"custom key '{reason.key or ''}'"
    if reason.rule == "layer_decay" and reason.key is None:
        return "no layer_decay_rate: every layer at the base lr"
    return {
        "base": "no rule: the base setting",
        "checkpoint": "as the checkpoint has it",
        "constructor": "the constructor's own code, lldtool can't say why",
        "layer_decay": "layer decay",
        "no_decay": "one-dimensional, a bias, or a name that is never decayed",
        "optimizer_default": "the optimizer's default, the config gives none",
    }.get(reason.rule, reason.rule)


def overridden(reason: Reason) -> list[str]:
    """Return the rules that apply as well and come later, and what they would have given."""
    both = zip(reason.beats, reason.would_give, strict=False)
    return [f"{_rule_name(name)} (would give {setting(would)})" for name, would in both]


def unmatched(p: Parameter) -> list[str]:
    """Return the custom keys and options that were looked at and do not apply, and why not."""
    names = list(dict.fromkeys((*p.reason.weight_decay.misses, *p.reason.lr.misses)))
    keys = [_rule_name(name).removeprefix("custom key ") for name in names if ":" in name]
    lines = [f"{', '.join(keys)}: not in the name"] if keys else []
    options = [name for name in names if ":" not in name]
    return lines + [f"{option}: {_why_not(option, p)}" for option in options]


def _rule_name(name: str) -> str:
    """`custom_key:.ln` -> `custom key '.ln'`."""
    rule, colon, key = name.partition(":")
    return f"custom key '{key}'" if colon else rule


def _why_not(option: str, p: Parameter) -> str:
    """Return why a parameter is not of the kind that an option is for."""
    kind, last = p.module_type, p.name.rpartition(".")[2]
    if option == "norm_decay_mult":
        return f"{kind} is none of mmengine's norm layers (Batch-, Instance-, Group-, LayerNorm)"
    if option == "bias_decay_mult" and last != "bias":
        return "not called bias"
    if option == "flat_decay_mult" and len(p.shape) != 1:
        return f"{len(p.shape)}-dimensional"
    if option in ("bias_decay_mult", "flat_decay_mult"):
        return "in a deformable convolution"
    return _NOT_OF_THE_KIND.get(option, "not of its kind")


@dataclass(frozen=True)
class Cause:
    """All parameters whose setting (`lr` or `weight_decay`) has one reason."""

    setting: str
    reason: Reason
    formula: str
    parameters: tuple[Parameter, ...]


def causes(plan: Plan) -> list[Cause]:
    """The distinct reasons of what is trained, those of lr first, the most frequent first."""
    found: list[Cause] = []
    for name in ("lr", "weight_decay"):
        members: dict[tuple[object, ...], list[Parameter]] = defaultdict(list)
        for p in plan.trained:
            reason: Reason = getattr(p.reason, name)
            layered = reason.rule == "layer_decay"
            value = None if layered else getattr(p, name)
            members[(reason.rule, reason.key, None if layered else reason.mult, value)].append(p)
        ordered = sorted(members.values(), key=len, reverse=True)
        found += [
            Cause(name, getattr(ps[0].reason, name), _formula(plan, name, ps), tuple(ps))
            for ps in ordered
        ]
    return found


def _formula(plan: Plan, name: str, parameters: Sequence[Parameter]) -> str:
    if name == "weight_decay":
        return weight_decay_formula(plan, parameters[0])
    return lr_formula(plan, parameters)


def short_rule(p: Parameter) -> str:
    """Return the weight-decay rule in a word, for a narrow column."""
    reason = p.reason.weight_decay
    if reason.rule == "custom_key":
        return f"key {reason.key or ''}"
    return "" if reason.rule == "base" else reason.rule

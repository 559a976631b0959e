"""Why a setting has its value, in words and with the numbers: of one parameter, of a whole plan."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from lldtool.plan import Parameter, Plan, Reason
from lldtool.render.text import printable, setting

#: Option -> why a parameter is not of the kind that it is for.
_NOT_OF_THE_KIND = {
    "norm_decay_mult": "{type} is no norm layer",
    "bias_decay_mult": "not called bias",
    "dwconv_decay_mult": "not in a depth-wise convolution",
    "flat_decay_mult": "{ndim}-dimensional",
    "bias_lr_mult": "no bias, or one of a norm layer",
    "dcn_offset_lr_mult": "no offset of a deformable convolution",
}


def lr_formula(plan: Plan, p: Parameter) -> str:
    """`7.39e-6 = 0.002 × 0.65^(14−0−1)`."""
    scaled = "" if plan.auto_scale_lr == 1 else f" × {setting(plan.auto_scale_lr)} auto_scale_lr"
    reason, base = p.reason.lr, setting(plan.optimizer.lr)
    if reason.rule == "layer_decay":
        depth = f"{reason.max_layer_id}−{p.layer_id}−1"
        return f"{setting(p.lr, 3)} = {base} × {_rate(plan, reason)}^({depth}){scaled}"
    return f"{setting(p.lr)}{_product(reason, base)}{scaled}"


def weight_decay_formula(plan: Plan, p: Parameter) -> str:
    """`0 = 0.05 × 0`."""
    base = setting(plan.optimizer.weight_decay)
    return f"{setting(p.weight_decay)}{_product(p.reason.weight_decay, base)}"


def _product(reason: Reason, base: str) -> str:
    if reason.mult is None or reason.rule == "no_decay":
        return ""
    return f" = {base} × {setting(reason.mult)}"


def _rate(plan: Plan, reason: Reason) -> str:
    rate = plan.constructor.paramwise_cfg.get(reason.key or "", 1.0)
    return setting(rate) if isinstance(rate, (int, float)) else printable(str(rate))


def rule_text(reason: Reason) -> str:
    """The rule that fired, in words."""
    if reason.rule == "custom_key":
        return f"custom key '{printable(reason.key or '')}'"
    return {
        "base": "no rule: the base setting",
        "constructor": "the constructor's own code, lldtool can't say why",
        "layer_decay": "layer decay",
        "no_decay": "one-dimensional, a bias, or a name that is never decayed",
        "optimizer_default": "the optimizer's default, the config gives none",
    }.get(reason.rule, printable(reason.rule))


def beaten(plan: Plan, p: Parameter) -> list[str]:
    """The weight-decay rules that the one that fired beat, and what they would have given."""
    return [f"{name}: {value}" for name, value in _beaten(plan, p.reason.weight_decay)]


def _beaten(plan: Plan, reason: Reason) -> list[tuple[str, str]]:
    options, base = plan.constructor.paramwise_cfg, plan.optimizer.weight_decay
    found = []
    for name in reason.beats:
        rule, _, key = name.partition(":")
        if rule == "custom_key":
            settings = options.get("custom_keys", {}).get(key, {})
            mult, name = settings.get("decay_mult", 1.0), f"custom key '{key}'"
        else:
            mult = options.get(rule)
        would = "–" if base is None or mult is None else setting(base * mult)
        found.append((printable(name), would))
    return found


def missed(plan: Plan, p: Parameter) -> list[str]:
    """The custom keys and options that do not apply to a parameter, and why not."""
    reason = p.reason.weight_decay
    matching = {reason.key, *(b.partition(":")[2] for b in reason.beats)}
    keys = [k for k in plan.constructor.paramwise_cfg.get("custom_keys", {}) if k not in matching]
    lines = []
    if keys:
        names = ", ".join(f"'{printable(key)}'" for key in keys)
        lines.append(f"{names}: no part of the name")
    for option in (*reason.misses, *p.reason.lr.misses):
        why = _NOT_OF_THE_KIND.get(option, "not of its kind")
        why = why.format(type=printable(p.module_type), ndim=len(p.shape))
        lines.append(f"{printable(option)}: {why}")
    return lines


@dataclass(frozen=True)
class Cause:
    """All parameters whose setting (`lr` or `weight_decay`) has one reason."""

    setting: str
    reason: Reason
    formula: str
    parameters: tuple[Parameter, ...]


def causes(plan: Plan) -> list[Cause]:
    """The distinct reasons of a plan, those of lr first, the most frequent first."""
    found: list[Cause] = []
    for name in ("lr", "weight_decay"):
        members: dict[tuple[object, ...], list[Parameter]] = defaultdict(list)
        for p in plan.parameters:
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


def _formula(plan: Plan, name: str, parameters: list[Parameter]) -> str:
    first = parameters[0]
    if name == "weight_decay":
        return weight_decay_formula(plan, first)
    reason = first.reason.lr
    if reason.rule != "layer_decay":
        return lr_formula(plan, first)
    lrs = [p.lr for p in parameters if p.lr is not None]
    span = f"{setting(min(lrs), 3)} … {setting(max(lrs), 3)}"
    base, rate = setting(plan.optimizer.lr), _rate(plan, reason)
    return f"{span} = {base} × {rate}^({reason.max_layer_id}−layer−1)"


def short_rule(p: Parameter) -> str:
    """The weight-decay rule in a word, for a narrow column."""
    reason = p.reason.weight_decay
    if reason.rule == "custom_key":
        return f"key {printable(reason.key or '')}"
    return "" if reason.rule == "base" else printable(reason.rule)

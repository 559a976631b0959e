"""The words around a plan's table: what the config says, and what it comes to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from lldtool.plan import Parameter, Plan
from lldtool.text import count, plural, printable, setting, value


def header(plan: Plan) -> list[tuple[str, list[str]]]:
    """Label and items of each line above the table; the first is the config itself."""
    model = [plan.model.type, f"{count(plan.model.numel)} parameters"]
    if plan.model.backbone:
        size = count(plan.model.backbone_numel or 0)
        model.append(f"backbone {plan.model.backbone}, {size}")
    optimizer = [plan.optimizer.type]
    if plan.optimizer.lr is not None:
        optimizer.append(f"lr {setting(plan.optimizer.lr)}")
    if plan.optimizer.weight_decay is not None:
        optimizer.append(f"weight decay {setting(plan.optimizer.weight_decay)}")
    lines = [
        ("config", [plan.config]),
        ("model", model),
        ("optimizer", [*optimizer, plan.optim_wrapper.type]),
        ("constructor", [plan.constructor.type]),
        *_paramwise(plan.constructor.paramwise_cfg),
    ]
    return [(label, [printable(item) for item in items]) for label, items in lines]


def joint(label: str) -> str:
    """What stands between the items of a line with this label."""
    return ", " if label == "custom keys" else " · "


def _paramwise(options: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """The options, then the custom keys with a line for each setting that they share."""
    if not options:
        return [("", ["no paramwise_cfg: every parameter gets the base settings"])]
    plain = [f"{k} {value(v)}" for k, v in options.items() if k != "custom_keys"]
    keys = options.get("custom_keys")
    sharing: dict[str, list[str]] = defaultdict(list)
    for key, settings in keys.items() if isinstance(keys, dict) else ():
        sharing[_custom_settings(settings)].append(key)
    lines = [("", plain)] if plain else []
    return lines + [
        ("custom keys", [*names[:-1], f"{names[-1]}: {settings}"])
        for settings, names in sharing.items()
    ]


def _custom_settings(settings: object) -> str:
    if not isinstance(settings, dict):
        return value(settings)
    return ", ".join(f"{k} {value(v)}" for k, v in settings.items()) or "no option"


def totals(plan: Plan) -> list[str]:
    """The lines under the table, without the notes."""
    decayed = [p for p in plan.parameters if p.weight_decay]
    undecayed = [p for p in plan.parameters if not p.weight_decay]
    settings = {(p.lr, p.weight_decay) for p in plan.parameters}
    groups = {p.group for p in plan.parameters}
    lines = [
        f"{plural(len(plan.parameters), 'tensor')}, {_parameters(plan.parameters)}: "
        f"{len(decayed):,} decayed ({_parameters(decayed)}), "
        f"{len(undecayed):,} not ({count(sum(p.numel for p in undecayed))})",
        f"{plural(len(settings), 'distinct setting')} of lr and weight decay "
        f"in {plural(len(groups), 'param group')}",
    ]
    for what, tensors in (("frozen", plan.frozen), ("left out", plan.left_out)):
        if tensors:
            names = ", ".join(printable(t.name) for t in tensors[:3])
            more = f", and {len(tensors) - 3:,} more" if len(tensors) > 3 else ""
            total = count(sum(t.numel for t in tensors))
            lines.append(f"{plural(len(tensors), 'tensor')} {what} ({total}): {names}{more}")
    return lines


def _parameters(tensors: Sequence[Parameter]) -> str:
    return f"{count(sum(t.numel for t in tensors))} parameters"

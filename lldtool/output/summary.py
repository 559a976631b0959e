"""The words around a plan's table: what the config says, and what it comes to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lldtool.output.states import counted_word
from lldtool.plan import Optimizer, Parameter, Plan, UntrainedParameter
from lldtool.text import count, plural, printable, setting, value


def header(plan: Plan) -> list[tuple[str, list[str]]]:
    """Label and items of each line above the table; the first is the config itself."""
    model = [plan.model.type, f"{count(plan.model.numel)} parameters"]
    if plan.model.backbone:
        size = count(plan.model.backbone_numel or 0)
        model.append(f"backbone {plan.model.backbone}, {size}")
    optimizers = [
        _optimizer(one, f"{key}: {one.type or 'optimizer'}") for key, one in plan.optimizers.items()
    ] or [_optimizer(plan.optimizer, plan.optimizer.type)]
    lines = [
        ("config", [plan.config]),
        ("model", model),
        *(("optimizer", [*items, plan.optim_wrapper.type]) for items in optimizers),
        ("constructor", [plan.constructor.type]),
        *_paramwise(plan),
    ]
    return [(label, [printable(item) for item in items]) for label, items in lines]


def _optimizer(optimizer: Optimizer, title: str) -> list[str]:
    """The optimizer and its base settings."""
    items = [title]
    if optimizer.lr is not None:
        items.append(f"lr {setting(optimizer.lr)}")
    if optimizer.weight_decay is not None:
        items.append(f"weight decay {setting(optimizer.weight_decay)}")
    return items


def joint(label: str) -> str:
    """What stands between the items of a line with this label."""
    return ", " if label == "custom keys" else " · "


def _paramwise(plan: Plan) -> list[tuple[str, list[str]]]:
    """The options, then the custom keys with a line for each setting that they share."""
    options = plan.constructor.paramwise_cfg
    if not options:
        return [("", [_no_options(plan)])]
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


def _no_options(plan: Plan) -> str:
    """That there are no options, and what it comes to where the constructor needs none."""
    found = {(p.lr, p.weight_decay) for p in plan.parameters}
    lr, weight_decay = plan.optimizer.lr, plan.optimizer.weight_decay
    base = (None if lr is None else lr * plan.auto_scale_lr, weight_decay)
    says_both = lr is not None and weight_decay is not None
    is_base = found == {base} if says_both else len(found) == 1
    return "no paramwise_cfg" + (": every parameter gets the base settings" if is_base else "")


def _custom_settings(settings: object) -> str:
    if not isinstance(settings, dict):
        return value(settings)
    return ", ".join(f"{k} {value(v)}" for k, v in settings.items()) or "no option"


def totals(plan: Plan) -> list[str]:
    """The lines under the table, without the notes."""
    trained = list({p.name: p for p in plan.trained}.values())  # of two optimizers once
    decayed = [p for p in trained if p.weight_decay]
    undecayed = [p for p in trained if not p.weight_decay]
    settings = {(p.lr, p.weight_decay) for p in plan.trained}
    groups = {p.group for p in plan.parameters}
    lines = [
        f"{plural(len(trained), 'tensor')} trained, {_elements(trained)} parameters: "
        f"{len(decayed):,} decayed ({_elements(decayed)}), "
        f"{len(undecayed):,} not ({_elements(undecayed)})",
    ]
    untrained: dict[str, list[Parameter]] = defaultdict(list)
    for p in plan.parameters:
        if not p.is_trained:
            untrained[counted_word(p)].append(p)
    for word, tensors in untrained.items():
        number = plural(len(tensors), "tensor")
        lines.append(f"{number} {word}, {_elements(tensors)} parameters, in the optimizer")
    for state, rest in (("frozen", plan.frozen), ("left out", plan.left_out)):
        if rest:
            lines.append(_not_in_the_optimizer(state, rest))
    if len(trained) < len(plan.trained):
        shared = len(plan.trained) - len(trained)
        verb = "is" if shared == 1 else "are"
        lines.append(f"{plural(shared, 'tensor')} {verb} in several optimizers, and shown in each")
    if settings:
        lines.append(
            f"{plural(len(settings), 'distinct setting')} of lr and weight decay "
            f"in {plural(len(groups), 'param group')}"
        )
    return lines


def _not_in_the_optimizer(state: str, tensors: Sequence[UntrainedParameter]) -> str:
    names = ", ".join(printable(t.name) for t in tensors[:3])
    more = f", and {len(tensors) - 3:,} more" if len(tensors) > 3 else ""
    why = "frozen, not in the optimizer" if state == "frozen" else "not in the optimizer"
    total = f"{_elements(tensors)} parameters"
    return f"{plural(len(tensors), 'tensor')} {why}, {total}: {names}{more}"


def _elements(tensors: Sequence[Parameter | UntrainedParameter]) -> str:
    return count(sum(t.numel for t in tensors))

"""Plan -> what `lldtool explain` says, as text, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lldtool.analysis.keys import Effect, Key, custom_keys_of
from lldtool.output.old_lines import Line, Lines
from lldtool.output.old_terminal import notes_table, rendered
from lldtool.output.reasons import (
    beaten,
    causes,
    lr_formula,
    missed,
    rule_text,
    weight_decay_formula,
)
from lldtool.output.states import group_text, state_text, untrained
from lldtool.output.tables import markdown, markdown_table
from lldtool.plan import Parameter, Plan, UntrainedParameter, dump_by_line
from lldtool.text import layer_name, plural, printable, shape, strict_json, value

_SETTINGS = {"lr": "lr", "weight_decay": "weight decay"}


def trail(plan: Plan, p: Parameter | UntrainedParameter) -> list[tuple[str, str]]:
    """Label and text of each step from the state of a parameter to its settings."""
    steps = [("state", state_text(plan, p))]
    if isinstance(p, UntrainedParameter):
        layer = [("layer", layer_name(p.layer_id))] if p.layer_id is not None else []
        return [*steps, ("parameter", shape(p.shape)), *layer]
    steps.append(("parameter", f"{shape(p.shape)} in a {printable(p.module_type)}"))
    lr, decay = p.reason.lr, p.reason.weight_decay
    if p.optimizer is not None:
        kind = plan.optimizers[p.optimizer].type
        steps.append(("optimizer", printable(f"{p.optimizer}: {kind}" if kind else p.optimizer)))
    if p.layer_id is not None:
        top = f" (0 to {lr.max_layer_id - 1})" if lr.max_layer_id is not None else ""
        steps.append(("layer", f"{layer_name(p.layer_id)}{top}"))
    if not p.is_trained:
        return [*steps, ("param group", group_text(p))]
    steps.append(("lr", f"{lr_formula(plan, [p])}   {rule_text(lr)}"))
    steps += [("  beats", text) for text in beaten(lr)]
    steps.append(("weight decay", f"{weight_decay_formula(plan, p)}   {rule_text(decay)}"))
    steps += [("  beats", text) for text in beaten(decay)]
    steps += [("  not", text) for text in missed(p)]
    if p.extras:
        entries = ", ".join(f"{printable(k)}={value(v)}" for k, v in p.extras.items())
        steps.append(("group entry", entries))
    return steps


def explanation_text(
    plan: Plan,
    parameters: Sequence[Parameter | UntrainedParameter] | None,
    *,
    width: int,
    color: bool,
) -> str:
    """The trails of the parameters, or a line for each distinct reason where none are given."""
    body = _causes(plan) if parameters is None else [Lines(_trails(plan, parameters))]
    title = Text(printable(plan.config), style="bold", overflow="fold")
    end: list[RenderableType] = [Text(), notes_table(plan.notes)] if plan.notes else []
    return rendered(Group(title, *body, *end), width=width, color=color)


def _trails(plan: Plan, parameters: Iterable[Parameter | UntrainedParameter]) -> Iterator[Line]:
    for p in parameters:
        yield Line((), (("", ""),))
        yield Line((), ((printable(p.name), "bold"),))
        steps = trail(plan, p)
        width = max(len(label) for label, _ in steps) + 4
        previous = None
        for label, text in steps:
            shown = f"  {label if label != previous else ''}"
            yield Line(((shown.ljust(width), "dim"),), ((text, ""),))
            previous = label


def _causes(plan: Plan) -> list[RenderableType]:
    """A line for each reason, its examples under it."""
    parts: list[RenderableType] = []
    found = causes(plan)
    for name, title in _SETTINGS.items():
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(justify="right")
        grid.add_column(overflow="fold")
        for cause in (c for c in found if c.setting == name):
            line = Text.assemble((cause.formula, "green"), f"   {rule_text(cause.reason)}")
            names = [p.name for p in cause.parameters]
            grid.add_row(f"  {len(names)}", Group(line, _dim(_examples(names))))
        parts += [Text(), Text(title, style="bold"), grid]
    return [*parts, *_not_trained(plan)]


def _not_trained(plan: Plan) -> list[RenderableType]:
    """A line for each reason for which parameters are not trained."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right")
    grid.add_column(overflow="fold")
    found = untrained(plan)
    for why, names in found.items():
        grid.add_row(f"  {len(names)}", Group(Text(why), _dim(_examples(names))))
    return [Text(), Text(_NOT_TRAINED, style="bold"), grid] if found else []


_NOT_TRAINED = "not trained"


def _dim(text: str) -> Text:
    return Text(text, style="dim", overflow="ellipsis", no_wrap=True)


def _examples(parameters: Sequence[str]) -> str:
    names = [printable(name) for name in parameters]
    spread = [names[0]] if len(names) == 1 else [names[0], names[len(names) // 2]]
    return ", ".join(spread)


def explanation_markdown(
    plan: Plan, parameters: Sequence[Parameter | UntrainedParameter] | None
) -> str:
    """The same as Markdown."""
    lines = [f"### {markdown(plan.config)}", ""]
    if parameters is None:
        rows = [
            (_SETTINGS[c.setting], str(len(c.parameters)), c.formula, rule_text(c.reason),
             _examples([p.name for p in c.parameters]))
            for c in causes(plan)
        ]  # fmt: skip
        rows += [
            (_NOT_TRAINED, str(len(names)), "", why, _examples(names))
            for why, names in untrained(plan).items()
        ]
        lines += markdown_table(("setting", "tensors", "value", "reason", "for example"), rows)
    for p in parameters or ():
        lines += [f"**{markdown(p.name)}**", ""]
        lines += [f"- {label.strip()}: {markdown(text)}" for label, text in trail(plan, p)]
        lines.append("")
    lines += [f"\n> {markdown(note)}" for note in plan.notes]
    return "\n".join(lines).rstrip() + "\n"


def explanation_json(
    plan: Plan, parameters: Sequence[Parameter | UntrainedParameter] | None
) -> str:
    """The same for a script; every trail with its reasons as the plan has them."""
    import msgspec

    content: dict[str, object] = {"schema_version": 1, "config": plan.config, "notes": plan.notes}
    if parameters is None:
        content["reasons"] = [
            {"setting": c.setting, "tensors": len(c.parameters), "formula": c.formula,
             "reason": c.reason, "parameters": [p.name for p in c.parameters]}
            for c in causes(plan)
        ]  # fmt: skip
        content["not_trained"] = [
            {"why": why, "tensors": len(names), "parameters": names}
            for why, names in untrained(plan).items()
        ]
    else:
        content["parameters"] = [
            {**msgspec.to_builtins(p), "trail": [(a.strip(), b) for a, b in trail(plan, p)]}
            for p in parameters
        ]
    return dump_by_line(msgspec.to_builtins(content))


_KEY_COLUMNS = ("key or option", "matches", "decides", "without it")


#: On terminals from this width on, the value of a key stands beside it.
_ROOM_FOR_VALUES = 100


def keys_text(plan: Plan, keys: Sequence[Key], *, width: int, color: bool) -> str:
    """A line for each custom key and option, in the order of precedence."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for title in _KEY_COLUMNS:
        number = title in ("matches", "decides")
        table.add_column(
            title,
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=title != _KEY_COLUMNS[-1],
        )
    rows = _key_rows(plan, keys, values=width >= _ROOM_FOR_VALUES)
    for key, row in zip(keys, rows, strict=True):
        table.add_row(*map(Text, row), style="yellow" if key.effect == Effect() else "")
    heading = Text(printable(plan.config), style="bold", overflow="fold")
    return rendered(Group(heading, Text(), table), width=width, color=color)


def keys_markdown(plan: Plan, keys: Sequence[Key]) -> str:
    """The same as Markdown."""
    table = markdown_table(_KEY_COLUMNS, _key_rows(plan, keys, values=True))
    return "\n".join([f"### {markdown(plan.config)}", "", *table]) + "\n"


def keys_json(plan: Plan, keys: Sequence[Key]) -> str:
    """The same for a script."""
    rows = [{**asdict(key), "value": _value_of(plan, key)} for key in keys]
    content = {"schema_version": 1, "config": plan.config, "keys": rows}
    return strict_json(content, indent=1) + "\n"


def _key_rows(plan: Plan, keys: Sequence[Key], *, values: bool) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for key in keys:
        name = f"'{printable(key.name)}'" if key.is_custom else printable(key.name)
        counts = ["–" if n is None else str(n) for n in (key.matched, key.decided)]
        shown = f"{name} {value(_value_of(plan, key))}" if values else name
        rows.append((shown, *counts, _without(key)))
    return rows


def _value_of(plan: Plan, key: Key) -> object:
    options = plan.constructor.paramwise_cfg
    return (custom_keys_of(plan) if key.is_custom else options)[key.name]


def _without(key: Key) -> str:
    """What leaving a key out would do, and which keys take what it matches."""
    effect = key.effect
    if effect.error is not None:
        return f"error: {printable(effect.error)}"
    parts = []
    if effect.settings:
        parts.append(f"{plural(effect.settings, 'tensor')} with other settings")
    if effect.moved:
        parts.append(f"{plural(effect.moved, 'tensor')} in or out of the optimizer")
    if not parts and (effect.layers or effect.extras):
        lost = [
            n
            for n, c in (("no layers", effect.layers), ("other group entries", effect.extras))
            if c
        ]
        parts.append(f"no lr or weight decay changes, only {' and '.join(lost)}")
    taken = [f"'{printable(k)}' takes {n}" for k, n in key.taken.items()]
    return "; ".join([", ".join(parts) or "nothing changes", *taken])

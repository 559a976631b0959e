"""Plan -> what `lldtool explain` says, as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lldtool.keys import Effect, Key
from lldtool.plan import Parameter, Plan
from lldtool.render.reasons import (
    Cause,
    beaten,
    causes,
    lr_formula,
    missed,
    rule_text,
    weight_decay_formula,
)
from lldtool.render.tables import markdown, markdown_table
from lldtool.render.terminal import rendered
from lldtool.render.text import plural, printable, shape, value

_SETTINGS = {"lr": "lr", "weight_decay": "weight decay"}


def trail(plan: Plan, p: Parameter) -> list[tuple[str, str]]:
    """Label and text of each step from the name of a parameter to its settings."""
    steps = [("module", f"{printable(p.module_type)}, {shape(p.shape)}")]
    lr, decay = p.reason.lr, p.reason.weight_decay
    if p.layer_id is not None:
        top = f" of 0 to {lr.max_layer_id - 1}" if lr.max_layer_id is not None else ""
        steps.append(("layer", f"{p.layer_id}{top}"))
    steps.append(("lr", f"{lr_formula(plan, p)}  ({rule_text(lr)})"))
    steps.append(("weight decay", f"{weight_decay_formula(plan, p)}  ({rule_text(decay)})"))
    steps += [("beats", text) for text in beaten(plan, p)]
    steps += [("not", text) for text in missed(plan, p)]
    if p.extras:
        entries = ", ".join(f"{printable(k)}={value(v)}" for k, v in p.extras.items())
        steps.append(("also", f"{entries} in the group"))
    return steps


def explanation_text(
    plan: Plan, parameters: Sequence[Parameter] | None, *, width: int, color: bool
) -> str:
    """The trails of the parameters, or a line for each distinct reason where none are given."""
    body = _causes(plan, width) if parameters is None else _trails(plan, parameters)
    title = Text(printable(plan.config), style="bold", overflow="fold")
    return rendered(Group(title, *body), width=width, color=color)


def _trails(plan: Plan, parameters: Iterable[Parameter]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for p in parameters:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        previous = None
        for label, text in trail(plan, p):
            grid.add_row(f"  {label if label != previous else ''}", Text(text))
            previous = label
        parts += [Text(), Text(printable(p.name), style="bold", overflow="fold"), grid]
    return parts


def _causes(plan: Plan, width: int) -> list[RenderableType]:
    parts: list[RenderableType] = []
    found = causes(plan)
    digits = max((len(str(len(cause.parameters))) for cause in found), default=1)
    for name, title in _SETTINGS.items():
        parts += [Text(), Text(title, style="bold")]
        for cause in (c for c in found if c.setting == name):
            line = Text(f"  {len(cause.parameters):>{digits}}  ")
            line.append(cause.formula, style="green")
            line.append(f"  {rule_text(cause.reason)}")
            examples = Text(_examples(cause), style="dim", overflow="ellipsis", no_wrap=True)
            if len(line) + len(examples) + 2 <= width:
                parts.append(Text.assemble(line, "  ", examples))
            else:
                parts += [line, Padding(examples, (0, 0, 0, digits + 4))]
    return parts


def _examples(cause: Cause) -> str:
    names = [printable(p.name.removeprefix("backbone.")) for p in cause.parameters]
    spread = [names[0]] if len(names) == 1 else [names[0], names[len(names) // 2]]
    return ", ".join(spread)


def explanation_markdown(plan: Plan, parameters: Sequence[Parameter] | None) -> str:
    """The same as Markdown."""
    lines = [f"### {markdown(printable(plan.config))}", ""]
    if parameters is None:
        rows = [
            (_SETTINGS[c.setting], str(len(c.parameters)), c.formula, rule_text(c.reason),
             _examples(c))
            for c in causes(plan)
        ]  # fmt: skip
        lines += markdown_table(("setting", "tensors", "value", "reason", "for example"), rows)
    for p in parameters or ():
        lines += [f"**{markdown(printable(p.name))}**", ""]
        lines += [f"- {label}: {markdown(text)}" for label, text in trail(plan, p)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def explanation_json(plan: Plan, parameters: Sequence[Parameter] | None) -> str:
    """The same for a script; every trail with its reasons as the plan has them."""
    content: dict[str, object] = {"schema_version": 1, "config": plan.config}
    if parameters is None:
        content["reasons"] = [
            {"setting": c.setting, "tensors": len(c.parameters), "formula": c.formula,
             "reason": asdict(c.reason), "parameters": [p.name for p in c.parameters]}
            for c in causes(plan)
        ]  # fmt: skip
    else:
        content["parameters"] = [
            {**asdict(p), "trail": [list(step) for step in trail(plan, p)]} for p in parameters
        ]
    return json.dumps(content, indent=1) + "\n"


_KEY_COLUMNS = ("custom key or option", "matches", "decides", "without it")


def keys_text(plan: Plan, keys: Sequence[Key], *, width: int, color: bool) -> str:
    """A line for each custom key and option, in the order of precedence."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for title in _KEY_COLUMNS:
        number = title in ("matches", "decides")
        table.add_column(title, justify="right" if number else "left", overflow="fold")
    for key, row in zip(keys, _key_rows(plan, keys), strict=True):
        table.add_row(*map(Text, row), style="yellow" if key.effect == Effect() else "")
    heading = Text(printable(plan.config), style="bold", overflow="fold")
    return rendered(Group(heading, Text(), table), width=width, color=color)


def keys_markdown(plan: Plan, keys: Sequence[Key]) -> str:
    """The same as Markdown."""
    table = markdown_table(_KEY_COLUMNS, _key_rows(plan, keys))
    return "\n".join([f"### {markdown(printable(plan.config))}", "", *table]) + "\n"


def keys_json(plan: Plan, keys: Sequence[Key]) -> str:
    """The same for a script."""
    content = {"schema_version": 1, "config": plan.config, "keys": [asdict(key) for key in keys]}
    return json.dumps(content, indent=1) + "\n"


def _key_rows(plan: Plan, keys: Sequence[Key]) -> list[tuple[str, ...]]:
    options = plan.constructor.paramwise_cfg
    rows: list[tuple[str, ...]] = []
    for key in keys:
        entry = options.get("custom_keys", {}).get(key.name) if key.is_custom else options[key.name]
        name = f"'{printable(key.name)}' {value(entry)}"
        if not key.is_custom:
            name = f"{printable(key.name)} {value(entry)}"
        taken = ", ".join(f"{n} to '{printable(k)}'" for k, n in key.taken.items())
        decided = "–" if key.decided is None else str(key.decided)
        rows.append(
            (
                name,
                "–" if key.matched is None else str(key.matched),
                f"{decided} ({taken})" if taken else decided,
                _without(key),
            )
        )
    return rows


def _without(key: Key) -> str:
    effect = key.effect
    if effect.error is not None:
        return f"error: {printable(effect.error)}"
    if effect.settings:
        return f"{plural(effect.settings, 'tensor')} change"
    if effect.extras:
        return f"no setting changes; {plural(effect.extras, 'group')} lose an entry"
    return "nothing changes"

"""Plan -> CSV and Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from lldtool.output.columns import layer_columns
from lldtool.output.contents import layer_contents
from lldtool.output.csv_formats import csv_text
from lldtool.output.states import state_word
from lldtool.output.summary import header, joint, totals
from lldtool.plan import Layer, Plan
from lldtool.text import layer_name, lr, printable, setting, shape

_COLUMNS = (
    "name", "shape", "numel", "dtype", "module_type", "layer_id",
    "lr", "lr_scale", "weight_decay", "group", "state", "optimizer",
)  # fmt: skip


def plan_csv(plan: Plan) -> str:
    """A row for each parameter; numbers as `repr` has them, nothing for a setting it lacks."""
    rows = (
        {c: getattr(p, c) for c in _COLUMNS} | {"shape": "x".join(map(str, p.shape))}
        for p in plan.parameters
    )
    return csv_text([_COLUMNS, *(list(row.values()) for row in rows)])


def plan_markdown(plan: Plan, *, whole: Plan | None = None, params: bool = False) -> str:
    """The table for a README or a pull request; with `params` a row for each parameter.

    Args:
        plan: what to show.
        whole: the plan that it is a part of, where it is.
        params: a row for each parameter.
    """
    whole = whole or plan
    (_, (config,)), *lines = header(whole)
    parts = [f"### {markdown(config)}", ""]
    parts += [
        f"- {label or 'options'}: {markdown(joint(label).join(items))}" for label, items in lines
    ]
    parts += ["", *(_parameter_rows(plan) if params else _layer_rows(plan, whole)), ""]
    parts += [f"{markdown(line)}  " for line in totals(plan)]
    parts += [f"\n> {markdown(note)}" for note in plan.notes]
    return "\n".join(parts) + "\n"


def _layer_rows(plan: Plan, whole: Plan) -> list[str]:
    columns = layer_columns(plan, layer_contents(plan, whole))
    layers = plan.layers_and_frozen
    if any(len(layer.trained) < len(layer.names) for layer in layers):
        columns["state"] = [_state(layer) for layer in layers]
    left = ("contents", "optimizer", "weight decay", "state")
    rows = [[" ".join(cell.split()) for cell in row] for row in zip(*columns.values(), strict=True)]
    return markdown_table(list(columns), rows, right=[t for t in columns if t not in left])


def _state(layer: Layer) -> str:
    """`8 frozen, 4 trained`."""
    counts = Counter(p.state for p in layer.parameters)
    counts["frozen"] += len(layer.frozen)
    return ", ".join(f"{n} {state_word(state)}" for state, n in sorted(counts.items()) if n)


def _parameter_rows(plan: Plan) -> list[str]:
    titles: tuple[str, ...] = (
        "layer", "name", "shape", "lr", "lr_scale", "weight decay", "state",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = [
        ("" if p.layer_id is None else layer_name(p.layer_id), printable(p.name), shape(p.shape),
         lr(p.lr), setting(p.lr_scale), setting(p.weight_decay), state_word(p.state))
        for p in plan.parameters
    ]  # fmt: skip
    rows += [
        ("" if p.layer_id is None else layer_name(p.layer_id), printable(p.name), shape(p.shape),
         "–", "–", "–", f"{state_word('frozen')}, {state_word('left out')}")
        for p in plan.frozen
    ]  # fmt: skip
    if plan.optimizers:
        titles = (*titles, "optimizer")
        keys = [*(printable(p.optimizer or "") for p in plan.parameters), *["–"] * len(plan.frozen)]
        rows = [(*row, key) for row, key in zip(rows, keys, strict=True)]
    left = ("name", "state", "optimizer")
    return markdown_table(titles, rows, right=[t for t in titles if t not in left])


def markdown_table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()
) -> list[str]:
    """The lines of a table; the columns of these titles are aligned to the right."""
    sides = ["--:" if title in right else ":--" for title in titles]
    lines = [titles, *rows]
    first, *others = ["| " + " | ".join(map(_inline, line)) + " |" for line in lines]
    return [first, f"| {' | '.join(sides)} |", *others]


#: What at the start of a line begins a list, a heading's underline or a ruler.
_BLOCK_START = re.compile(r"(\d*)([-+=.)])(?=[\s=-]|$)")


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, on a line of its own too: no list, no ruler."""
    text = _inline(text)
    start = _BLOCK_START.match(text)
    return f"{start[1]}\\{text[start.end(1) :]}" if start else text


def _inline(text: str) -> str:
    """Text that Markdown shows as it is within a line: no emphasis, no HTML, no cell ends."""
    text = printable(text).strip()
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|#~!@" else c for c in text)

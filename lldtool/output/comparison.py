"""Several plans -> one table with a column for each: lr per layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lldtool.analysis.alignment import Alignment, align_roles
from lldtool.analysis.diff import PlanDiff, diff_plans
from lldtool.output.contents import folded, largest_modules, patterns
from lldtool.output.csv_formats import csv_text
from lldtool.output.old_terminal import grid, notes_table, plain_table, rendered
from lldtool.output.states import state_word, untrained_word
from lldtool.output.tables import markdown, markdown_table
from lldtool.plan import Layer, Plan, dump_by_line, plan_header
from lldtool.text import lr, printable


@dataclass(frozen=True)
class Comparison:
    """Plans, the title of the column that each gets, and label and text of lines to go before."""

    plans: tuple[Plan, ...]
    titles: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]

    @cached_property
    def alignment(self) -> Alignment:
        """Rows of layers that have the same role in every plan."""
        return align_roles(self.plans)

    @property
    def rows(self) -> tuple[tuple[Layer | None, ...], ...]:
        """A layer for each plan, None where it has none of that role."""
        return self.alignment.rows

    @cached_property
    def contents(self) -> list[str]:
        """What is in each row, and the optimizers that have it where there are several."""
        names = [
            list(dict.fromkeys(p.name for layer in row if layer for p in layer.parameters))
            for row in self.rows
        ]
        every = {name for own in names for name in own}
        modules = map(folded, largest_modules(names, names))
        shown = [
            x if len(x) <= _MOST_NAMES else min(x, patterns(own, every, _MOST_NAMES), key=len)
            for x, own in zip(modules, names, strict=True)
        ]
        return [
            ", ".join(own) + _optimizers(row) for own, row in zip(shown, self.rows, strict=True)
        ]

    @cached_property
    def decayed_otherwise(self) -> list[int]:
        """How many parameters have another weight decay than in the first plan, for each plan."""
        return [len(diff.with_changed("weight_decay")) for diff in self.diffs]

    @property
    def shared(self) -> list[int]:
        """How many parameters each plan has in common with the first."""
        return [diff.compared for diff in self.diffs]

    @cached_property
    def diffs(self) -> list[PlanDiff]:
        """What each plan does otherwise than the first."""
        return [diff_plans(self.plans[0], plan) for plan in self.plans]

    @property
    def notes(self) -> list[str]:
        """What the plans have to say, once."""
        return list(dict.fromkeys(note for plan in self.plans for note in plan.notes))


def _optimizers(row: Sequence[Layer | None]) -> str:
    """` (generator)`: the optimizers of a row in the order of the plans; empty with one each."""
    names = dict.fromkeys(layer.optimizer for layer in row if layer and layer.optimizer)
    return f" ({' → '.join(names)})" if names else ""


#: More names than this in a row are written as patterns, where that makes them fewer.
_MOST_NAMES = 3
#: The title of the last row.
_DECAYED_OTHERWISE = "weight decay differs"


def comparison_text(comparison: Comparison, *, width: int, color: bool) -> str:
    """The table as a terminal shows it; in parts, where it has more columns than fit."""
    legend = grid()
    legend.add_column(style="bold", no_wrap=True)
    legend.add_column(overflow="fold")
    for label, text in comparison.legend:
        legend.add_row(Text(label), Text(printable(text)))
    parts: list[RenderableType] = [legend]
    fixed, variants = comparison_columns(comparison)
    widest = max(len(cell) for cells in variants for cell in cells) + 1
    room = width - sum(min(_CONTENTS, max(map(len, cells))) + 1 for cells in fixed)
    step = max(1, room // widest)
    for start in range(0, len(variants), step):
        parts += [Text(), _table(fixed, variants[start : start + step])]
    parts += [Text(), Text(caption(comparison), style="dim")]
    if comparison.notes:
        parts.append(notes_table(comparison.notes))
    return rendered(Group(*parts), width=width, color=color)


def caption(comparison: Comparison) -> str:
    """What the table shows."""
    first = printable(comparison.titles[0])
    shared = comparison.shared
    of_shared = "of those in common, " if len(set(shared)) > 1 else ""
    return (
        f"{_ROWS[comparison.alignment.by]}; last row: {of_shared}parameters whose weight decay is "
        f"not that of column {first}"
    )


#: What the rows are, by what they are aligned by.
_ROWS = {
    "layer_id": "lr of each layer",
    "role": "lr of each layer, aligned by role: stem, blocks by number, head",
    "depth": "lr of each layer in order of relative depth, as the models have different blocks; "
    "only layers of the same role share a row",
    "name": "lr of each layer, aligned by the names of modules",
}
#: The width that the contents of a layer are cut down to, before the table is cut in parts.
_CONTENTS = 22


def comparison_columns(comparison: Comparison) -> tuple[list[list[str]], list[list[str]]]:
    """What each row is about, and lr in each variant: columns of a title, rows and a last one."""
    labels = comparison.alignment.labels
    fixed = [["layer", *labels, ""]] if any(labels) else []
    fixed.append(["contents", *comparison.contents, _DECAYED_OTHERWISE])
    variants = [
        [
            printable(title),
            *lrs,
            str(count) if shared else "–",
        ]
        for title, lrs, count, shared in zip(
            comparison.titles,
            [_lrs(comparison, n) for n in range(len(comparison.plans))],
            comparison.decayed_otherwise,
            comparison.shared,
            strict=True,
        )
    ]
    return fixed, variants


def _lrs(comparison: Comparison, number: int) -> list[str]:
    """The lr of each row in one plan, or why it is not trained there; empty where it has none."""
    frozen = {p.name for p in comparison.plans[number].frozen}
    cells = []
    for row in comparison.rows:
        layer = row[number]
        if layer is not None:
            cells.append(lr(layer.lr) if layer.trained else untrained_word(layer))
        else:
            names = {p.name for other in row if other for p in other.parameters}
            cells.append(state_word("frozen") if names <= frozen else "")
    return cells


def _table(fixed: Sequence[Sequence[str]], variants: Sequence[Sequence[str]]) -> Table:
    table = plain_table()
    for title, *cells in fixed:
        right = title == "layer" and all(cell.isdecimal() for cell in cells if cell)
        table.add_column(
            title, justify="right" if right else "left", no_wrap=title == "layer", overflow="fold"
        )
    for title, *_ in variants:
        table.add_column(Text(title), justify="right", no_wrap=True)
    *rows, last = zip(*(cells[1:] for cells in (*fixed, *variants)), strict=True)
    for row in rows:
        about, lrs = row[: len(fixed)], row[len(fixed) :]
        table.add_row(*map(Text, about), *(Text(cell, style="green") for cell in lrs))
    table.add_row(*(Text(cell, style="dim" if cell == "0" else "") for cell in last))
    return table


def comparison_markdown(comparison: Comparison) -> str:
    """The table for a pull request or a README."""
    legend = [f"- {label}: {markdown(text)}" for label, text in comparison.legend]
    fixed, variants = comparison_columns(comparison)
    titles, *rows = zip(*fixed, *variants, strict=True)
    table = markdown_table(titles, rows, right=[t for t in titles if t != "contents"])
    notes = [f"\n> {markdown(note)}" for note in comparison.notes]
    return "\n".join([*legend, "", *table, "", markdown(caption(comparison)), *notes]) + "\n"


def comparison_csv(comparison: Comparison) -> str:
    """A row for each layer; lr as `repr` has it, nothing where a variant has no such layer.

    `layer_id` is the role of a layer that has not the same id in every variant.
    """
    table: list[list[object]] = [["layer_id", "contents", *comparison.titles]]
    labels = comparison.alignment.labels
    for label, contents, row in zip(labels, comparison.contents, comparison.rows, strict=True):
        lrs = (layer.lr if layer and layer.trained else "" for layer in row)
        table.append([label, contents, *lrs])
    table.append(["", _DECAYED_OTHERWISE, *comparison.decayed_otherwise])
    return csv_text(table)


def comparison_json(comparison: Comparison) -> str:
    """The table for a script, a list in the order of the variants for each setting of a layer."""
    import msgspec

    def values(row: Sequence[Layer | None], name: str) -> list[Any]:
        return [layer and getattr(layer, name) for layer in row]

    names = ("layer_id", "lr", "lr_scale", "optimizer", "num_tensors", "num_trained")
    content = {
        "schema_version": 1,
        "variants": [
            {"title": title, **plan_header(plan), "weight_decay_differs": count}
            for title, plan, count in zip(
                comparison.titles, comparison.plans, comparison.decayed_otherwise, strict=True
            )
        ],
        "aligned_by": comparison.alignment.by,
        "layers": [
            {"label": label, "contents": contents, **{name: values(row, name) for name in names}}
            for row, label, contents in zip(
                comparison.rows, comparison.alignment.labels, comparison.contents, strict=True
            )
        ],
    }
    return dump_by_line(msgspec.to_builtins(content))


def letters(number: int) -> list[str]:
    """A, B, …, Z, then A1 and on: short titles for configs with long names."""
    return [chr(ord("A") + i % 26) + (str(i // 26) if i >= 26 else "") for i in range(number)]

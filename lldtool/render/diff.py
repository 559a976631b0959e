"""PlanDiff -> what `lldtool diff` prints: a terminal's text, Markdown for a pull request, JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lldtool.diff import LayerPair, PlanDiff
from lldtool.plan import dump_by_line, plan_header
from lldtool.render.changes import (
    ADDED,
    CHANGED,
    MOST_SENTENCES,
    REMOVED,
    Cell,
    Pair,
    Row,
    Section,
    in_words,
    sections,
    summary,
)
from lldtool.render.tables import markdown, markdown_table
from lldtool.render.terminal import grid, notes_table, rendered, wrapped
from lldtool.render.text import plural, printable

_COLORS = {REMOVED: "red", ADDED: "green", CHANGED: "yellow"}


def diff_text(
    diff: PlanDiff,
    *,
    width: int,
    color: bool,
    every_layer: bool = False,
    every_parameter: bool = False,
    notes: Sequence[str] = (),
) -> str:
    """The diff as a terminal shows it.

    Args:
        diff: what to show.
        width: columns of the terminal.
        color: with escape sequences for colour.
        every_layer: also the layers that do not differ.
        every_parameter: a row for each parameter that differs.
        notes: what else is to be said, a line each.
    """
    style = "bold green" if diff.identical else "bold"
    parts: list[RenderableType] = [
        Text(line, style=style) for line in wrapped(summary(diff), " · ", width)
    ]
    sides = grid()
    sides.add_column(no_wrap=True)
    sides.add_column(overflow="fold")
    for marker, name in zip((REMOVED, ADDED), _names(diff), strict=True):
        letter = "A" if marker == REMOVED else "B"
        sides.add_row(Text(f"{marker} {letter}", style=_COLORS[marker]), Text(name))
    parts.append(sides)
    for section in sections(diff, every_layer=every_layer, every_parameter=every_parameter):
        parts += [Text(), _table(section, width)]
    if notes:
        parts += [Text(), notes_table(notes)]
    return rendered(Group(*parts), width=width, color=color)


def _table(section: Section, width: int) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    columns = list(zip(*(row.cells for row in section.rows), strict=True))
    if section.stacked and _width(section.columns, columns) + 2 > width:
        table.add_column(section.columns[0], overflow="fold")
        cells = [[_stacked(section.columns, row, _first_width(section, width), width - 2)]
                 for row in section.rows]  # fmt: skip
    else:
        for title in section.columns:
            right, wide = title in _RIGHT, title in section.wide
            table.add_column(
                title, justify="right" if right else "left", no_wrap=not wide, overflow="fold"
            )
        pads = [max([len(c.a) for c in cells if isinstance(c, Pair)], default=0)
                for cells in columns]  # fmt: skip
        cells = [[_cell(cell, row.marker, pad) for cell, pad in zip(row.cells, pads, strict=True)]
                 for row in section.rows]  # fmt: skip
    for row, texts in zip(section.rows, cells, strict=True):
        table.add_row(Text(row.marker, style=_COLORS.get(row.marker, "")), *texts)
    return table


_RIGHT = ("layer", "tensors")


def _width(titles: Sequence[str], columns: Sequence[Sequence[Cell]]) -> int:
    """What a table needs without breaking a cell."""
    both = zip(titles, columns, strict=True)
    return sum(max(len(title), *(len(str(c)) for c in cells)) + 1 for title, cells in both)


def _first_width(section: Section, width: int) -> int:
    """The width of the first column at which most rows fit into a line."""

    def fitting(first: int) -> int:
        return sum(
            len(str(row.cells[0])) <= first
            and first + len(_rest(section.columns, row)) + 3 <= width
            for row in section.rows
        )

    return max((len(str(row.cells[0])) for row in section.rows), key=fitting)


def _rest(titles: Sequence[str], row: Row) -> Text:
    """The cells but the first in a line, with their titles where they are several."""
    named = len(titles) > 2
    parts = [
        Text.assemble(f"{title} " if named else "", _cell(cell, row.marker))
        for title, cell in zip(titles[1:], row.cells[1:], strict=True)
        if str(cell)
    ]
    return Text(" · ").join(parts)


def _stacked(titles: Sequence[str], row: Row, first: int, width: int) -> Text:
    """The first cell, the others beside it if there is room, or in a line of their own."""
    rest, head = _rest(titles, row), _cell(row.cells[0], row.marker)
    fits = len(head) <= first and first + 1 + len(rest) <= width
    gap = " " * (first - len(head) + 1) if fits else "\n  "
    return Text.assemble(head, gap, rest)


def _cell(cell: Cell, marker: str, pad: int = 0) -> Text:
    """The text of a cell; `pad` is the width of what stands before an arrow."""
    if isinstance(cell, Pair):
        a, b = (cell.a.rjust(pad), _COLORS[REMOVED]), (cell.b, _COLORS[ADDED])
        return Text.assemble(a, " → ", b)
    return Text(cell, style=_COLORS[marker] if marker in (ADDED, REMOVED) else "")


def diff_json(diff: PlanDiff) -> str:
    """The diff for a script; a parameter to a line, numbers to the last bit."""
    import msgspec

    content: dict[str, Any] = {
        "schema_version": 1,
        "a": plan_header(diff.a),
        "b": plan_header(diff.b),
        "identical": diff.identical,
        "summary": " · ".join(summary(diff)),
        "settings": diff.config,
        "layers": [_layer_json(pair) for pair in diff.layers],
        "changed": [
            {
                "name": change.a.name,
                **{
                    name: {"a": getattr(change.a, name), "b": getattr(change.b, name)}
                    for name in ("lr", "lr_scale", "weight_decay", "layer_id", "extras")
                },
                "differs": change.settings,
            }
            for change in diff.changed
        ],
        "added": [p.name for p in diff.added],
        "removed": [p.name for p in diff.removed],
        "status": diff.status,
        "reshaped": diff.reshaped,
        "compared": diff.compared,
    }
    return dump_by_line(msgspec.to_builtins(content))


def _layer_json(pair: LayerPair) -> dict[str, Any]:
    names = ("layer_id", "lr", "lr_scale", "num_tensors")
    sides = {"a": pair.a, "b": pair.b}
    values = {n: {side: x and getattr(x, n) for side, x in sides.items()} for n in names}
    return {**values, "differs": pair.differs}


#: What GitHub takes as a comment, in characters, less some room for what others add.
#: https://github.com/orgs/community/discussions/27190
_LONGEST_COMMENT = 65_000


def diff_markdown(
    diff: PlanDiff,
    *,
    every_layer: bool = False,
    every_parameter: bool = False,
    notes: Sequence[str] = (),
) -> str:
    """The diff as a comment on a pull request: what it does in words, and tables to unfold.

    Tables are cut, with a count of what is left out, where the comment would be too long.
    """
    tables = sections(diff, every_layer=every_layer, every_parameter=every_parameter)
    lines = [f"**{markdown(' · '.join(summary(diff)))}**", ""]
    lines += [f"{x}: {markdown(name)}  " for x, name in zip("AB", _names(diff), strict=True)]
    lines += ["", *(f"- {markdown(line)}" for line in in_words(diff)), ""]
    if len(diff.config) <= MOST_SENTENCES:  # all of it was said
        tables = [table for table in tables if table.title != "config"]
    end = "".join(f"\n> {markdown(printable(note))}\n" for note in notes)
    for most in (10**9, 1000, 300, 100, 30, 10, 3, 0):
        text = "\n".join([*lines, *(line for table in tables for line in _details(table, most))])
        if len(text) + len(end) <= _LONGEST_COMMENT:
            break
    return text[: _LONGEST_COMMENT - len(end)].rstrip() + "\n" + end


def _names(diff: PlanDiff) -> tuple[str, str]:
    """What the sides are called; the second only by what sets it apart, if that is an edit."""
    a, b = printable(diff.a.config), printable(diff.b.config)
    return a, b.removeprefix(f"{a} ") if b.startswith(f"{a} with ") else b


def _details(section: Section, most: int) -> list[str]:
    rows = [(row.marker, *map(_flat, row.cells)) for row in section.rows[:most]]
    right = [title for title in section.columns if title in _RIGHT]
    table = markdown_table(("", *section.columns), rows, right=right)
    more = len(section.rows) - len(rows)
    count = plural(len(section.rows), "row")
    return [
        f"<details><summary>{section.title}, {count}</summary>",
        "",
        *table,
        *(["", f"and {plural(more, 'more row')}"] if more else []),
        "",
        "</details>",
        "",
    ]


def _flat(cell: Cell) -> str:
    return " · ".join(str(cell).split("\n"))

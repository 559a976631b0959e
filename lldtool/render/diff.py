"""PlanDiff -> what `lldtool diff` shows in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lldtool.diff import PlanDiff
from lldtool.render.changes import (
    ADDED,
    CHANGED,
    REMOVED,
    RIGHT,
    Cell,
    Pair,
    Row,
    Section,
    names_of_sides,
    sections,
    summary,
)
from lldtool.render.terminal import grid, notes_table, rendered, wrapped

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
    for marker, name in zip((REMOVED, ADDED), names_of_sides(diff), strict=True):
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
            right, wide = title in RIGHT, title in section.wide
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

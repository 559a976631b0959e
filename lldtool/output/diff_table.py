"""PlanDiff -> what `lldtool diff` shows in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.style import Style
from rich.text import Text

from lldtool.analysis.diff import PlanDiff
from lldtool.output.cells import ADDED, CHANGED, REMOVED, Cell, Pair
from lldtool.output.changes import GROUPS, LAYERS, NAMES, Row, Section, sections
from lldtool.output.old_lines import Line, Lines, Pieces
from lldtool.output.old_terminal import grid, notes_table, plain_table, rendered, wrapped
from lldtool.output.words import names_of_sides, summary

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
    for side, name in zip((f"{REMOVED} A", f"{ADDED} B"), names_of_sides(diff), strict=True):
        sides.add_row(Text(side, style=_COLORS[side[0]]), Text(name))
    parts.append(sides)
    for section in sections(diff, every_layer=every_layer, every_parameter=every_parameter):
        parts += [Text(), *_LAYOUTS[_kind(section)](section, width)]
    if notes:
        parts += [Text(), notes_table(notes)]
    return rendered(Group(*parts), width=width, color=color)


def _kind(section: Section) -> str:
    return next(kind for kind in _LAYOUTS if kind in section.columns)


# Layers: a column for each setting, as many as fit

#: Widths of the contents that they are cut down to, and of a pair that is broken in two lines.
_CONTENTS, _LONG_PAIR = 12, 19
#: What is left out first where there is no room.
_OPTIONAL = ("lr_scale", "weight decay")


def _layers(section: Section, width: int) -> list[RenderableType]:
    cells = zip(*(row.cells for row in section.rows), strict=True)
    columns = {t: _aligned(t, c) for t, c in zip(section.columns, cells, strict=True)}
    if _free(columns, width) < _least(columns):
        columns = {t: [_broken(cell) for cell in cells] for t, cells in columns.items()}
    for title in _OPTIONAL:
        if _free(columns, width) < _least(columns):
            columns.pop(title, None)
    room = max(_CONTENTS, _free(columns, width))
    columns[LAYERS] = ["\n".join(wrapped(str(c).split(", "), ", ", room)) for c in columns[LAYERS]]
    table = plain_table()
    table.add_column("", no_wrap=True)
    for title in columns:
        is_contents = title == LAYERS
        table.add_column(
            title,
            justify="right" if title == "layer" else "left",
            width=min(room, _width(title, columns[title])) if is_contents else None,
            no_wrap=not is_contents,
            overflow="fold",
        )
    for row, texts in zip(section.rows, zip(*columns.values(), strict=True), strict=True):
        table.add_row(_marker(row), *(_text(cell, row.marker) for cell in texts))
    return [table]


def _aligned(title: str, cells: Sequence[Cell]) -> list[Cell]:
    """What stands before the arrows flush right, and a number without an arrow as well."""
    pad = max((len(c.a) for c in cells if isinstance(c, Pair)), default=0)
    numbers = title in ("lr", "lr_scale")
    return [
        Pair(c.a.rjust(pad), c.b) if isinstance(c, Pair) else c.rjust(pad) if numbers else c
        for c in cells
    ]


def _broken(cell: Cell) -> Cell:
    """A long pair in two lines."""
    long = isinstance(cell, Pair) and len(str(cell)) > _LONG_PAIR
    return Pair(f"{cell.a.strip()}\n", cell.b) if long and isinstance(cell, Pair) else cell


def _width(title: str, cells: Iterable[Cell]) -> int:
    lines = [line for cell in cells for line in str(cell).split("\n")]
    return max(len(title), *map(len, lines))


def _least(columns: dict[str, list[Cell]]) -> int:
    return min(_CONTENTS, _width(LAYERS, columns[LAYERS]))


def _free(columns: dict[str, list[Cell]], width: int) -> int:
    """What the contents may take: a blank between columns, and the marker before them."""
    others = [_width(title, cells) + 1 for title, cells in columns.items() if title != LAYERS]
    return width - sum(others) - 2


# Groups: a change, how many parameters it is of, which, and why


def _groups(section: Section, width: int) -> list[RenderableType]:
    table = plain_table(header=False)
    for justify in ("left", "left", "right"):
        table.add_column(justify=justify, no_wrap=True, overflow="fold")
    table.add_column(overflow="fold")
    changes = _aligned("", [row.cells[0] for row in section.rows])
    if _width("", changes) > width // 2:
        changes = [_broken(change) for change in changes]
        table.columns[1].no_wrap = False
    numbers = _width("", [row.cells[1] for row in section.rows])
    room = max(_CONTENTS, width - 2 - _width("", changes) - 1 - numbers - 1)
    for row, change in zip(section.rows, changes, strict=True):
        number, names, *reason = (str(cell) for cell in row.cells[1:])
        text = Text("\n".join(wrapped(names.split(", "), ", ", room)))
        if any(reason):
            text.append(f"\n{reason[0]}", style="dim")
        table.add_row(_marker(row), _text(change, row.marker), Text(number), text)
    return [Text(section.title, style="bold"), table]


# Names: entries or parameters, with what is to be said beside them or in the line below


def _names(section: Section, width: int) -> list[RenderableType]:
    rest = [_rest(section, row) for row in section.rows]
    heads = [len(str(row.cells[0])) for row in section.rows]
    lengths = [sum(len(text) for text, _ in pieces) for pieces in rest]
    first = _first_column(heads, lengths, width)
    lines = list[Line]()
    for row, pieces, head, length in zip(section.rows, rest, heads, lengths, strict=True):
        marker, style = row.marker, _COLORS.get(row.marker, "")
        if head <= first and first + 3 + length <= width:
            blanks = " " * (first - head + 1)
            name = (*_pieces(row.cells[0], marker), (blanks, ""))
            lines.append(Line(((f"{marker} ", style),), (*name, *pieces)))
            continue
        for part in wrapped(str(row.cells[0]).split("."), ".", width - 2):
            lines.append(Line(((f"{marker} ", style),), _pieces(part, row.marker)))
            marker = " "
        lines.append(Line((("    ", ""),), pieces))
    return [Text(section.title, style="bold"), Lines(lines)]


def _first_column(heads: Sequence[int], rest: Sequence[int], width: int) -> int:
    """How wide the names are that have the most rows beside them in one line.

    Args:
        heads: the lengths of the names.
        rest: the lengths of what is to be said about each.
        width: of the terminal.
    """
    fits = Counter((head, width - 3 - length) for head, length in zip(heads, rest, strict=True))
    return max(
        {head for head in heads if head < width} or {0},
        key=lambda first: sum(n for (head, most), n in fits.items() if head <= first <= most),
    )


def _rest(section: Section, row: Row) -> Pieces:
    """The cells but the first in a line, with their titles where they are several."""
    several = len(section.columns) > 2
    found = list[tuple[str, str | Style]]()
    for title, cell in zip(section.columns[1:], row.cells[1:], strict=True):
        if str(cell):
            joint = " · " if found else ""
            label = f"{title} " if several and title != "reason" else ""
            found += [(joint + label, ""), *_pieces(cell, row.marker)]
    return tuple(found)


_LAYOUTS = {LAYERS: _layers, GROUPS: _groups, NAMES: _names}


def _marker(row: Row) -> Text:
    return Text(row.marker, style=_COLORS.get(row.marker, ""))


def _text(cell: Cell, marker: str) -> Text:
    return Text.assemble(*_pieces(cell, marker))


def _pieces(cell: Cell, marker: str) -> Pieces:
    """A cell with A's value in red and B's in green, or in the colour of its row."""
    if isinstance(cell, Pair):
        arrow = "→ " if cell.a.endswith("\n") else " → "
        return (cell.a, _COLORS[REMOVED]), (arrow, ""), (cell.b, _COLORS[ADDED])
    return ((cell, _COLORS[marker] if marker in (ADDED, REMOVED) else ""),)

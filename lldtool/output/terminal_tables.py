"""Tables of a document -> lines for a terminal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import NamedTuple

from rich.cells import cell_len

from lldtool.output.document import Bar, Cell, Column, Curve, Pair, Row, Table, Text
from lldtool.output.lines import Line, hanging, spans_of, width_of, wrapped
from lldtool.text import printable

_EIGHTHS, _HEIGHTS = " ▏▎▍▌▋▊▉█", "▁▂▃▄▅▆▇█"
_A, _B = "red", "green"
#: A pair of more characters than this is broken in two lines where there is no room.
_LONG_PAIR = 19


def table_lines(table: Table, width: int) -> Iterator[Line]:
    """Yield the lines of a table, none wider than this."""
    return (_entries if table.entries else _tables)(table, width)


class _Laid(NamedTuple):
    """A column: its title, the texts below each other in each cell, or the cell of a chart.

    `least` and `natural` are the width that it needs, and that it takes if nothing is broken.
    """

    column: Column
    title: Line
    cells: list[list[Text] | Bar | Curve]
    least: int
    natural: int


def _tables(table: Table, room: int) -> Iterator[Line]:
    """Yield the lines of a table; in parts, where it has more columns than fit."""
    kept = [i for i, x in enumerate(table.columns) if x.from_width <= room and not x.hidden]
    rows = [Row([row.cells[i] for i in kept], row.style) for row in table.rows]
    table = replace(table, columns=[table.columns[i] for i in kept], rows=rows)
    room -= table.indent
    columns = _laid(table, broken=False)
    if _excess(columns, table.gap, room) > 0:
        columns = _without_optional(_laid(table, broken=True), table.gap, room)
    if not table.repeated or _excess(columns, table.gap, room) <= 0:
        yield from _table(table, columns, room)
        return
    fixed, others = columns[: table.repeated], columns[table.repeated :]
    widest = max(column.least for column in others) + table.gap
    step = max(1, (room - sum(column.least + table.gap for column in fixed)) // widest)
    for start in range(0, len(others), step):
        if start:
            yield []
        yield from _table(table, [*fixed, *others[start : start + step]], room)


def _laid(table: Table, *, broken: bool) -> list[_Laid]:
    """Return the columns with their cells as text, long pairs in two lines where `broken`."""
    found: list[_Laid] = []
    for place, column in enumerate(table.columns):
        cells = _cells(table, place, broken=broken)
        if column.below:
            above = zip(found[-1].cells, cells, strict=True)
            found[-1] = _measured(*found[-1][:2], [_stacked(*both) for both in above])
        else:
            title = spans_of(column.title, table.header) if table.header else []
            found.append(_measured(column, title, cells))
    return found


def _measured(column: Column, title: Line, cells: list[list[Text] | Bar | Curve]) -> _Laid:
    texts = (text for own in cells if isinstance(own, list) for text in own)
    widest = max(width_of(title), *(width_of(text.spans) for text in texts), 0)
    natural = max(widest, column.most)
    least = natural if column.least is None else max(width_of(title), min(column.least, natural))
    return _Laid(column, title, cells, least, natural)


def _stacked(above: list[Text] | Bar | Curve, below: list[Text] | Bar | Curve) -> list[Text]:
    """Return the texts of a cell, and those of the column that a terminal shows below it."""
    assert isinstance(above, list)
    assert isinstance(below, list)
    return [*above, *(text for text in below if str(text))]


def _cells(table: Table, place: int, *, broken: bool) -> list[list[Text] | Bar | Curve]:
    column, cells = table.columns[place], [row.cells[place] for row in table.rows]
    pairs = [pair for cell in cells for pair in _pairs(cell)]
    pad = max((cell_len(printable(pair.a)) for pair in pairs), default=0)
    found: list[list[Text] | Bar | Curve] = []
    for cell, row in zip(cells, table.rows, strict=True):
        if isinstance(cell, (Bar, Curve)):
            found.append(cell)
        elif isinstance(cell, (Pair, tuple)):
            found.append([x for pair in _pairs(cell) for x in _pair_texts(pair, pad, broken)])
        else:
            style = column.style if row.style is None else row.style
            line = spans_of(cell if isinstance(cell, Text) else str(cell), style)
            if column.align == "arrow":
                line.insert(0, (" " * (pad - width_of(line)), ""))
            found.append([Text((*line,), cell.joint if isinstance(cell, Text) else " ")])
    return found


def _pairs(cell: Cell) -> tuple[Pair, ...]:
    return (cell,) if isinstance(cell, Pair) else cell if isinstance(cell, tuple) else ()


def _pair_texts(pair: Pair, pad: int, broken: bool) -> list[Text]:
    a, b = printable(pair.a), printable(pair.b)
    if broken and len(str(pair)) > _LONG_PAIR:
        return [Text(((a, _A),)), Text((("→ ", ""), (b, _B)))]
    return [Text(((" " * (pad - cell_len(a)), ""), (a, _A), (" → ", ""), (b, _B)))]


def _excess(columns: Sequence[_Laid], gap: int, room: int) -> int:
    return sum(column.least + gap for column in columns) - gap - room


def _without_optional(columns: list[_Laid], gap: int, room: int) -> list[_Laid]:
    """Return the columns that fit, without those that are the first to be left out."""
    for number in sorted({column.column.drop for column in columns} - {0}):
        if _excess(columns, gap, room) > 0:
            columns = [column for column in columns if column.column.drop != number]
    return columns


def _shares(columns: Sequence[_Laid], gap: int, room: int) -> list[int]:
    """Return the width of each column: what it needs, and what is left, to charts last."""
    widths = [column.least for column in columns]
    spare = -_excess(columns, gap, room)
    for place in sorted(range(len(columns)), key=lambda place: columns[place].column.most > 0):
        more = max(0, min(spare, columns[place].natural - widths[place]))
        widths[place] += more
        spare -= more
    while spare < 0 and max(widths) > 1:  # nothing else can be left out: break the widest
        widths[widths.index(max(widths))] -= 1
        spare += 1
    return widths


def _table(table: Table, columns: Sequence[_Laid], room: int) -> Iterator[Line]:
    widths = _shares(columns, table.gap, room)
    indent, gap = (" " * table.indent, ""), (" " * table.gap, "")
    rights = [column.column.align == "right" for column in columns]
    titles = zip((Text((*column.title,)) for column in columns), widths, strict=True)
    rows = [[wrapped(title, width) for title, width in titles]] if table.header else []
    rows += [
        [_cell_lines(column, n, width) for column, width in zip(columns, widths, strict=True)]
        for n in range(len(table.rows))
    ]
    if not any(column.column.most for column in columns):  # which take up all the room
        widths = [
            max((width_of(line) for row in rows for line in row[place]), default=0)
            for place in range(len(columns))
        ]
    for row in rows:
        for lines in zip_longest(*row, fillvalue=Line()):
            parts = [indent]
            for line, width, right in zip(lines, widths, rights, strict=True):
                blanks = (" " * (width - width_of(line)), "")
                parts += [blanks, *line, gap] if right else [*line, blanks, gap]
            yield parts


def _cell_lines(column: _Laid, number: int, width: int) -> list[Line]:
    cell = column.cells[number]
    if isinstance(cell, list):
        return [line for text in cell for line in wrapped(text, width)]
    drawn = _bar(cell, width) if isinstance(cell, Bar) else _curve(cell, width)
    return [[(drawn, column.column.style)]]


def _bar(bar: Bar, width: int) -> str:
    eighths = round(max(0.0, min(1.0, bar.part)) * width * 8)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _curve(curve: Curve, width: int) -> str:
    """Return so many values as characters, from the lowest to the highest of the curve."""
    low, high, last = min(curve.values), max(curve.values), len(curve.values) - 1
    if high <= low or not all(map(math.isfinite, curve.values)):  # an lr that overflowed
        return _HEIGHTS[3] * width
    chosen = (curve.values[round(i * last / (width - 1))] for i in range(width))
    return "".join(_HEIGHTS[min(7, int((x - low) / (high - low) * 8))] for x in chosen)


# Tables of entries: a marker and a name, with what is to be said beside them or in the line below


def _entries(table: Table, width: int) -> Iterator[Line]:
    rest = [_rest(table, row) for row in table.rows]
    names = [spans_of(_as_text(row.cells[1]), row.style or "") for row in table.rows]
    heads, lengths = [width_of(name) for name in names], [width_of(line.spans) for line in rest]
    first = _widest_name(heads, lengths, width)
    for row, name, line, head, length in zip(table.rows, names, rest, heads, lengths, strict=True):
        marker = [*spans_of(_as_text(row.cells[0])), (" ", "")]
        if head <= first and first + 3 + length <= width:
            yield [*marker, *name, (" " * (first - head + 1), ""), *line.spans]
            continue
        yield from hanging(marker, Text((*name,), "."), width)
        yield from hanging([("    ", "")], line, width)


def _widest_name(names: Sequence[int], rest: Sequence[int], width: int) -> int:
    """Return how wide the names are that have the most rows beside them in one line.

    Args:
        names: the lengths of the names.
        rest: the lengths of what is to be said about each.
        width: of the terminal.
    """
    fits = Counter((name, width - 3 - length) for name, length in zip(names, rest, strict=True))
    return max(
        {name for name in names if name < width} or {0},
        key=lambda first: sum(n for (name, most), n in fits.items() if name <= first <= most),
    )


def _rest(table: Table, row: Row) -> Text:
    """Return the cells behind the name in a row, with their titles where they are several."""
    line: Line = []
    for column, cell in zip(table.columns[2:], row.cells[2:], strict=True):
        if str(cell):
            has_title = len(table.columns) > 3 and not column.below
            line.append((" · " * bool(line) + f"{column.title} " * has_title, ""))
            line += spans_of(_as_text(cell), row.style or "")
    return Text((*line,))


def _as_text(cell: Cell) -> str | Text:
    if isinstance(cell, Pair):
        return Text(((cell.a, _A), (" → ", ""), (cell.b, _B)))
    return cell if isinstance(cell, Text) else str(cell)

"""Plan -> the tables of `lldtool inspect`, for a terminal of any width from 60 columns on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from lldtool.output.columns import layer_columns
from lldtool.output.contents import layer_contents
from lldtool.output.parameters import parameter_tables
from lldtool.output.summary import header, joint, totals
from lldtool.plan import Layer, Plan
from lldtool.text import printable

_EIGHTHS = " ▏▎▍▌▋▊▉█"
#: Widths of the bar column, and of the least that `contents` is cut down to.
_BAR, _CONTENTS = (5, 20), 12


def plan_text(
    plan: Plan, *, width: int, color: bool, whole: Plan | None = None, params: bool = False
) -> str:
    """The plan as a terminal shows it.

    Args:
        plan: what to show.
        width: columns of the terminal.
        color: with escape sequences for colour.
        whole: the plan that it is a part of, where it is.
        params: list the parameters of every layer.
    """
    whole = whole or plan
    body = parameter_tables(plan, whole, width) if params else [_layer_table(plan, whole, width)]
    parts = [_header(whole, width), Text(), *body, Text(), _footer(plan, bars=not params)]
    return rendered(Group(*parts), width=width, color=color)


def rendered(content: RenderableType, *, width: int, color: bool) -> str:
    """What a terminal of this width shows, as text."""
    console = Console(
        file=StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(content)
    assert isinstance(console.file, StringIO)
    return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().splitlines())


def terminal_svg(colored: str, *, width: int, title: str) -> str:
    """A picture of a terminal of this width, with what `rendered` gave in colour, as SVG.

    It needs nothing from the network: where its font is not installed, another one is taken.
    """
    console = Console(record=True, width=width, file=StringIO(), force_terminal=True)
    console.print(Text.from_ansi(colored))
    svg = console.export_svg(title=printable(title), unique_id="lldtool")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return svg.replace("<text ", '<text xml:space="preserve" ')


def _header(plan: Plan, width: int) -> Group:
    (_, (config,)), *lines = header(plan)
    table = grid()
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    room = width - max(len(label) for label, _ in lines) - 2
    for label, items in lines:
        for number, line in enumerate(wrapped(items, joint(label), room)):
            table.add_row("" if number else label, Text(line))
    return Group(Text(config, style="bold", overflow="fold"), table)


def wrapped(items: Sequence[str], joint: str, width: int) -> list[str]:
    """The items in lines of this width, broken between items only."""
    lines = [items[0]]
    for number, item in enumerate(items[1:], 2):
        end = "" if number == len(items) else joint.rstrip()  # that a broken line ends with
        if len(lines[-1]) + len(joint) + len(item) + len(end) <= width:
            lines[-1] += joint + item
        else:
            lines[-1] += joint.rstrip()
            lines.append(item)
    return lines


def _footer(plan: Plan, *, bars: bool) -> Group:
    lines: list[RenderableType] = [Text(line, style="dim") for line in totals(plan)]
    if bars and _has_bars(plan):
        ends = _decades(plan.layers_and_frozen)
        low, high = (f"{10.0**n:g}" if abs(n) < 300 else f"1e{n}" for n in ends)
        lines.append(Text(f"bar: lr_scale on a log scale from {low} to {high}", style="dim"))
    return Group(*lines, notes_table(plan.notes)) if plan.notes else Group(*lines)


def notes_table(notes: Iterable[str]) -> Table:
    """The notes, a line each."""
    table = grid()
    table.add_column(style="yellow", no_wrap=True)
    table.add_column(overflow="fold")
    for note in notes:
        table.add_row("note", Text(printable(note)))
    return table


def plain_table(*, header: bool = True) -> Table:
    """A table without lines, a blank between its columns, to add columns to."""
    gap = (0, 1, 0, 0)
    return Table(box=None, padding=gap, pad_edge=False, header_style="bold", show_header=header)


def grid() -> Table:
    """A table without titles, to add columns to."""
    return Table.grid(padding=(0, 2, 0, 0))


def _layer_table(plan: Plan, whole: Plan, width: int) -> Table:
    contents = layer_contents(plan, whole)
    columns = layer_columns(plan, contents)
    widths = {title: max([len(title), *map(len, cells)]) for title, cells in columns.items()}
    least = min(_CONTENTS, widths["contents"])
    for optional in ("params", "tensors", "lr_scale"):  # on a narrow terminal
        if _free(widths, width) < least:
            del columns[optional], widths[optional]
    free = _free(widths, width)
    bar = _bar_width(plan, free - 1, widths["contents"]) if "lr_scale" in columns else 0
    room = widths["contents"] = max(least, min(widths["contents"], free - (bar + 1 if bar else 0)))
    columns["contents"] = ["\n".join(wrapped(names, ", ", room)) for names in contents]
    if bar:
        columns = _after("lr_scale", _BARS, _bars(plan.layers_and_frozen, bar), columns)
    table = plain_table()
    for title in columns:
        left = title in ("contents", "optimizer", "weight decay", _BARS)
        table.add_column(
            title,
            justify="left" if left else "right",
            width=widths.get(title, bar),
            no_wrap=title != "contents",
            overflow="fold",
            style=_STYLES.get(title, ""),
        )
    rows = zip(*columns.values(), strict=True)
    for layer, row in zip(plan.layers_and_frozen, rows, strict=True):
        if layer.trained:
            table.add_row(*map(Text, row))
        else:
            table.add_row(*(Text(cell, style="not bold dim default") for cell in row))
    return table


_BARS = ""  # the title of their column
_STYLES = {"layer": "bold", "tensors": "dim", "params": "dim", "lr": "green", _BARS: "cyan"}


def _after(
    title: str, new: str, cells: list[str], columns: dict[str, list[str]]
) -> dict[str, list[str]]:
    """The columns with a new one behind the one of this title."""
    items = list(columns.items())
    place = [name for name, _ in items].index(title) + 1
    return dict([*items[:place], (new, cells), *items[place:]])


def _free(widths: dict[str, int], width: int) -> int:
    """The columns of the terminal that the contents may take, one blank between columns."""
    return width - (len(widths) - 1) - sum(w for name, w in widths.items() if name != "contents")


def _has_bars(plan: Plan) -> bool:
    """Bars compare; where every lr_scale is the same there is nothing to see."""
    return len({layer.lr_scale for layer in plan.layers if layer.trained}) > 1


def _bar_width(plan: Plan, free: int, contents: int) -> int:
    """What is left of the free columns when the contents have theirs, within bounds."""
    if not _has_bars(plan) or free - _BAR[0] < _CONTENTS:
        return 0
    return max(_BAR[0], min(_BAR[1], free - contents))


def _decades(layers: Iterable[Layer]) -> tuple[int, int]:
    """The exponents of ten around the lr_scales: what an empty and a full bar stand for."""
    own = [layer.lr_scale for layer in layers if layer.trained]
    scales = [scale for scale in own if scale and 0 < scale < math.inf]
    high = math.ceil(math.log10(max(scales, default=1.0)) - 1e-9)
    low = math.ceil(math.log10(min(scales, default=1.0)) - 1e-9) - 1
    return min(low, high - 1), high


def _bars(layers: Sequence[Layer], width: int) -> list[str]:
    """A bar for each lr_scale; on a log scale, as rate 0.65 over 24 layers spans four decades."""
    low, high = _decades(layers)
    bars = []
    for layer in layers:
        part = 0.0
        if layer.trained and layer.lr_scale and 0 < layer.lr_scale < math.inf:
            part = (math.log10(layer.lr_scale) - low) / (high - low)
        eighths = round(min(1.0, part) * width * 8)
        bars.append("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip())
    return bars

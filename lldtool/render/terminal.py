"""Plan -> the tables of `lldtool inspect`, for a terminal of any width from 60 columns on."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lldtool.plan import Layer, Parameter, Plan
from lldtool.render.contents import layer_contents
from lldtool.render.summary import header, totals, weight_decays
from lldtool.render.text import count, lr, printable, setting, shape

_EIGHTHS = " ▏▎▍▌▋▊▉█"
#: Widths of the bar column, and of the least that `contents` is cut down to.
_BAR, _CONTENTS = (5, 20), 12


def plan_text(plan: Plan, *, width: int, color: bool, params: bool = False) -> str:
    """The plan as a terminal shows it.

    Args:
        plan: what to show.
        width: columns of the terminal.
        color: with escape sequences for colour.
        params: list the parameters of every layer.
    """
    body = _parameter_tables(plan) if params else [_layer_table(plan, width)]
    parts = [_header(plan, width), Text(), *body, Text(), _footer(plan)]
    return _rendered(Group(*parts), width=width, color=color)


def _rendered(content: RenderableType, *, width: int, color: bool) -> str:
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


def _header(plan: Plan, width: int) -> Group:
    (_, (config,)), *lines = header(plan)
    grid = _grid()
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    room = width - max(len(label) for label, _ in lines) - 2
    for label, items in lines:
        joint = ", " if label == "custom keys" else " · "
        for number, line in enumerate(_wrapped(items, joint, room)):
            grid.add_row("" if number else label, Text(line))
    return Group(Text(config, style="bold", overflow="fold"), grid)


def _wrapped(items: Sequence[str], joint: str, width: int) -> list[str]:
    """The items in lines of this width, broken between items only."""
    lines = [items[0]]
    for item in items[1:]:
        if len(lines[-1]) + len(joint) + len(item) <= width:
            lines[-1] += joint + item
        else:
            lines[-1] += joint.rstrip()
            lines.append(item)
    return lines


def _footer(plan: Plan) -> Group:
    lines: list[RenderableType] = [Text(line, style="dim") for line in totals(plan)]
    low, high = _decades(plan.layers)
    if _has_bars(plan):
        lines.append(Text(f"bar: lr_scale on a log scale from {low:g} to {high:g}", style="dim"))
    notes = _grid()
    notes.add_column(style="yellow", no_wrap=True)
    notes.add_column(overflow="fold")
    for note in plan.notes:
        notes.add_row("note", Text(printable(note)))
    return Group(*lines, notes) if plan.notes else Group(*lines)


def _grid() -> Table:
    return Table.grid(padding=(0, 2, 0, 0))


def _layer_table(plan: Plan, width: int) -> Table:
    scales = _aligned([layer.lr_scale for layer in plan.layers])
    columns: dict[str, list[str]] = {
        "layer": [_layer_number(layer) for layer in plan.layers],
        "contents": [", ".join(names) for names in layer_contents(plan)],
        "tensors": [str(layer.num_tensors) for layer in plan.layers],
        "params": [count(layer.numel) for layer in plan.layers],
        "lr": _lrs(plan),
        "lr_scale": scales,
        "weight decay": weight_decays(plan.layers),
    }
    if not plan.has_layers:
        del columns["layer"]
    widths = {name: max(len(name), *map(len, cells)) for name, cells in columns.items()}
    least = min(_CONTENTS, widths["contents"])
    for optional in ("params", "tensors", "lr_scale"):  # on a narrow terminal
        if _free(widths, width) < least:
            del columns[optional], widths[optional]
    free = _free(widths, width)
    bar = _bar_width(plan, free - 1, widths["contents"]) if "lr_scale" in columns else 0
    room = widths["contents"] = max(least, min(widths["contents"], free - (bar + 1 if bar else 0)))
    columns["contents"] = ["\n".join(_wrapped(names, ", ", room)) for names in layer_contents(plan)]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for name in columns:
        right = name not in ("contents", "weight decay")
        table.add_column(
            name,
            justify="right" if right else "left",
            width=widths[name],
            no_wrap=name != "contents",
            overflow="fold",
        )
        if name == "lr_scale" and bar:
            table.add_column("", width=bar, no_wrap=True)
    bars = _bars(plan.layers, bar)
    for row in range(len(plan.layers)):
        cells: list[RenderableType] = []
        for name, texts in columns.items():
            cells.append(Text(texts[row], style=_STYLES.get(name, "")))
            if name == "lr_scale" and bar:
                cells.append(Text(bars[row], style="cyan"))
        table.add_row(*cells)
    return table


_STYLES = {"layer": "bold", "tensors": "dim", "params": "dim", "lr": "green"}


def _free(widths: dict[str, int], width: int) -> int:
    """The columns of the terminal that the contents may take, one blank between columns."""
    return width - (len(widths) - 1) - sum(w for name, w in widths.items() if name != "contents")


def _has_bars(plan: Plan) -> bool:
    """Bars compare; where every lr_scale is the same there is nothing to see."""
    return len({layer.lr_scale for layer in plan.layers}) > 1


def _bar_width(plan: Plan, free: int, contents: int) -> int:
    """What is left of the free columns when the contents have theirs, within bounds."""
    if not _has_bars(plan) or free - _BAR[0] < _CONTENTS:
        return 0
    return max(_BAR[0], min(_BAR[1], free - contents))


def _lrs(plan: Plan) -> list[str]:
    """The lr of each layer; a single one as the config has it."""
    values = [layer.lr for layer in plan.layers]
    return [setting(v) if len(set(values)) == 1 else lr(v) for v in values]


def _layer_number(layer: Layer) -> str:
    return "–" if layer.layer_id is None else str(layer.layer_id)


def _aligned(scales: Sequence[float | None]) -> list[str]:
    """Three significant digits of the least, and the points under each other."""
    positive = [s for s in scales if s]
    least = min(positive, default=1.0)
    if not least >= 1e-7 or max(positive, default=1.0) >= 1e6:
        return [lr(s) for s in scales]
    decimals = max(0, 2 - math.floor(math.log10(least)))
    if all(s is None or s == round(s, 1) for s in scales):
        decimals = 1
    return ["–" if s is None else f"{s:.{decimals}f}" for s in scales]


def _decades(layers: Iterable[Layer]) -> tuple[float, float]:
    """The powers of ten around the lr_scales: what an empty and a full bar stand for."""
    scales = [layer.lr_scale for layer in layers if layer.lr_scale and layer.lr_scale > 0]
    high = math.ceil(math.log10(max(scales, default=1.0)) - 1e-9)
    low = math.ceil(math.log10(min(scales, default=1.0)) - 1e-9) - 1
    return 10.0 ** min(low, high - 1), 10.0**high


def _bars(layers: Sequence[Layer], width: int) -> list[str]:
    """A bar for each lr_scale; on a log scale, as rate 0.65 over 24 layers spans four decades."""
    low, high = _decades(layers)
    bars = []
    for layer in layers:
        part = 0.0
        if layer.lr_scale and layer.lr_scale > 0:
            part = math.log(layer.lr_scale / low) / math.log(high / low)
        eighths = round(min(1.0, part) * width * 8)
        bars.append("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip())
    return bars


def _parameter_tables(plan: Plan) -> list[RenderableType]:
    """A table for each layer; a layer like one before it is only referred to it."""
    parts: list[RenderableType] = []
    seen: dict[tuple[tuple[str, ...], ...], str] = {}
    for layer, contents in zip(plan.layers, layer_contents(plan), strict=True):
        prefix = _common_module([p.name for p in layer.parameters])
        rows = _folded(layer.parameters, prefix)
        title = Text()
        label = "" if layer.layer_id is None else f"layer {layer.layer_id}"
        title.append(label or ", ".join(contents), style="bold")
        title.append(f"  {printable(prefix) or ', '.join(contents)}" if label else "")
        title.append(f"  lr {lr(layer.lr)}", style="green")
        if layer.lr_scale is not None:
            title.append(f" = base × {setting(layer.lr_scale)}", style="dim")
        like = seen.get(rows)
        if like and label:
            title.append(f"  as {like}", style="dim")
            parts.append(title)
            continue
        seen.setdefault(rows, label)
        parts += [title, Padding(_parameter_table(rows, layer), (0, 0, 0, 2))]
    return parts


def _parameter_table(rows: Iterable[tuple[str, ...]], layer: Layer) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column("name", overflow="fold", ratio=1)
    table.add_column("shape", no_wrap=True, style="dim", justify="right")
    table.add_column("lr", no_wrap=True, style="green", justify="right")
    table.add_column("weight decay", no_wrap=True, justify="right")
    for name, sizes, decay in rows:
        style = "dim" if decay == "0" else ""
        table.add_row(Text(name), sizes, lr(layer.lr), Text(decay, style=style))
    return table


def _folded(parameters: Sequence[Parameter], prefix: str) -> tuple[tuple[str, ...], ...]:
    """Name, shape and weight decay; neighbours that differ in numbers of the name are one row."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for p in parameters:
        name = p.name.removeprefix(f"{prefix}.") if prefix else p.name
        pattern = re.sub(r"(?<![^.])\d+(?![^.])", "*", name)
        key = (printable(pattern), shape(p.shape), setting(p.weight_decay))
        rows.setdefault(key, []).append(printable(name))
    return tuple(
        (names[0] if len(names) == 1 else f"{pattern} ×{len(names)}", sizes, decay)
        for (pattern, sizes, decay), names in rows.items()
    )


def _common_module(names: Sequence[str]) -> str:
    """The innermost module that all the names are in."""
    parts = [name.split(".")[:-1] for name in names]
    common = []
    for at_depth in zip(*parts, strict=False):
        if len(set(at_depth)) > 1:
            break
        common.append(at_depth[0])
    return ".".join(common)

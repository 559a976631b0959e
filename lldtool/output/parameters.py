"""`--params`: the parameters of every layer, folded where they are the same."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lldtool.output.contents import NUMBER, common_module, layer_contents
from lldtool.output.reasons import short_rule
from lldtool.output.states import state_word
from lldtool.plan import Layer, Parameter, Plan, UntrainedParameter
from lldtool.text import layer_name, printable, setting, shape

#: On terminals from this width on, a column says which rule gave the weight decay.
_ROOM_FOR_REASONS = 100


def parameter_tables(plan: Plan, whole: Plan, width: int) -> list[RenderableType]:
    """A table for each layer; a layer like one before it is only referred to it."""
    reasons = width >= _ROOM_FOR_REASONS
    parts: list[RenderableType] = []
    seen: dict[tuple[tuple[str, ...], ...], str] = {}
    layers = plan.layers_and_frozen
    for layer, contents in zip(layers, layer_contents(plan, whole), strict=True):
        prefix = common_module(layer.names)
        rows = _folded(layer, prefix)
        title = Text()
        label = "" if layer.layer_id is None else f"layer {layer_name(layer.layer_id)}"
        if label and layer.optimizer is not None:
            label += f" of {printable(layer.optimizer)}"
        title.append(label or ", ".join(contents), style="bold")
        title.append(f"  {printable(prefix) or ', '.join(contents)}" if label else "")
        if not label and layer.optimizer is not None:
            title.append(f"  {printable(layer.optimizer)}", style="dim")
        if not layer.trained:
            title.append("  not trained", style="dim")
        else:
            title.append(f"  lr {setting(layer.lr, 3)}", style="green")
        if layer.trained and layer.lr_scale is not None and plan.auto_scale_lr == 1:
            title.append(f" = base × {setting(layer.lr_scale, 3)}", style="dim")
        like = seen.get(rows)
        if like and label:
            title.append(f"  as {like}", style="dim")
            parts.append(title)
            continue
        seen.setdefault(rows, label)
        table = _parameter_table(rows, layer, titles=len(seen) == 1, reasons=reasons)
        parts += [title, Padding(table, (0, 0, 0, 2))]
    return parts


def _parameter_table(
    rows: Iterable[tuple[str, ...]], layer: Layer, *, titles: bool, reasons: bool
) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.show_header = titles
    table.add_column("name", overflow="fold", ratio=1)
    table.add_column("shape", no_wrap=True, style="dim", justify="right")
    table.add_column("lr", no_wrap=True, style="green", justify="right")
    table.add_column("weight decay", no_wrap=True, justify="right")
    if reasons:
        table.add_column("reason", no_wrap=True, style="dim")
    for name, sizes, state, decay, reason in rows:
        style = "dim" if decay == "0" else ""
        cells: list[RenderableType] = [Text(name), sizes, state or setting(layer.lr, 3)]
        cells += [Text(decay, style=style), *([Text(reason)] if reasons else [])]
        table.add_row(*cells, style="not bold dim default" if state else "")
    return table


def _folded(layer: Layer, prefix: str) -> tuple[tuple[str, ...], ...]:
    """A row for each parameter; names that differ in numbers only are one.

    Name, shape, the state of what is not trained, weight decay and its rule of what is.
    """
    rows: dict[tuple[str, ...], list[str]] = {}
    for p in layer.everything:
        name = p.name.removeprefix(f"{prefix}.") if prefix else p.name
        key = (printable(NUMBER.sub("*", name)), shape(p.shape), *_settings(p))
        rows.setdefault(key, []).append(printable(name))
    return tuple(
        (names[0] if len(names) == 1 else f"{pattern} ×{len(names)}", *rest)
        for (pattern, *rest), names in rows.items()
    )


def _settings(p: Parameter | UntrainedParameter) -> tuple[str, str, str]:
    if isinstance(p, UntrainedParameter):
        return "frozen", "", ""
    if not p.is_trained:
        return state_word(p.state), "", ""
    return "", setting(p.weight_decay), short_rule(p)

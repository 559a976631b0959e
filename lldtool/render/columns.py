"""The cells of the table of layers, the same for a terminal, Markdown and HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lldtool.plan import Layer, Plan
from lldtool.text import count, lr, setting


def layer_columns(plan: Plan, contents: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Title -> a cell for each layer of the plan; no `layer` where the constructor knows none.

    Args:
        plan: whose layers to show.
        contents: what is in each of them, as `layer_contents` has it.
    """
    layers = plan.layers
    columns = {
        "layer": ["–" if layer.layer_id is None else str(layer.layer_id) for layer in layers],
        "contents": [", ".join(names) for names in contents],
        "tensors": [str(layer.num_tensors) for layer in layers],
        "params": [count(layer.numel) for layer in layers],
        "lr": _lrs([layer.lr for layer in layers]),
        "lr_scale": _lr_scales([layer.lr_scale for layer in layers]),
        "weight decay": _weight_decays(layers),
    }
    if not plan.has_layers:
        del columns["layer"]
    return columns


def _lrs(values: Sequence[float | None]) -> list[str]:
    """Three significant digits; a single lr as the config has it."""
    return [setting(v) if len(set(values)) == 1 else lr(v) for v in values]


def _lr_scales(scales: Sequence[float | None]) -> list[str]:
    """Three significant digits of the least, and the points under each other."""
    positive = [s for s in scales if s]
    least, most = min(positive, default=1.0), max(positive, default=1.0)
    if not 1e-7 <= least <= most < 1e6:  # nor for infinity and NaN
        return [lr(s) for s in scales]
    decimals = max(0, 2 - math.floor(math.log10(least)))
    if all(s is None or s == round(s, 1) for s in scales):
        decimals = 1
    return ["–" if s is None else f"{s:.{decimals}f}" for s in scales]


def _weight_decays(layers: Sequence[Layer]) -> list[str]:
    """`0.05 ×4 · 0 ×8` for each layer: the largest first, and each under its like."""
    values = {decay for layer in layers for decay in layer.weight_decays}
    ordered = sorted(values, key=lambda decay: -(decay or 0))
    digits = {v: max(len(str(layer.weight_decays[v])) for layer in layers) for v in ordered}
    align = len(ordered) <= 3
    cells = []
    for layer in layers:
        cell = ""
        for decay in ordered:
            tensors = layer.weight_decays[decay]
            part = f"{setting(decay)} ×{tensors:<{digits[decay]}}"
            if tensors:
                cell += (" · " if cell.strip() else " " * (3 * bool(cell))) + part
            elif align:
                cell += " " * (len(part) + 3 * bool(cell))
        cells.append(cell.rstrip())
    return cells

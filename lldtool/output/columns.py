"""The cells of the table of layers, the same for a terminal, Markdown and HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lldtool.output.states import untrained_word
from lldtool.plan import Layer, Plan
from lldtool.text import count, layer_name, lr, printable, setting


def layer_columns(plan: Plan, contents: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """Title -> a cell for each layer of the plan; no `layer` where the constructor knows none.

    Args:
        plan: whose layers to show.
        contents: what is in each of them, as `layer_contents` has it.
    """
    layers = plan.layers_and_frozen
    columns = {
        "layer": [layer_name(layer.layer_id) for layer in layers],
        "contents": [", ".join(names) for names in contents],
        "optimizer": [printable(layer.optimizer or "") for layer in layers],
        "tensors": [_tensors(layer) for layer in layers],
        "params": [count(sum(p.numel for p in layer.everything)) for layer in layers],
        "lr": _lrs(layers),
        "lr_scale": _lr_scales(layers),
        "weight decay": _weight_decays(layers),
    }
    if all(layer.layer_id is None for layer in layers):
        del columns["layer"]
    if not plan.optimizers:
        del columns["optimizer"]
    return columns


def _tensors(layer: Layer) -> str:
    """`12`; `4 of 12` where 4 of them are trained."""
    total = len(layer.everything)
    return f"{layer.num_trained} of {total}" if 0 < layer.num_trained < total else str(total)


def _lrs(layers: Sequence[Layer]) -> list[str]:
    """Three significant digits, a single lr as the config has it; or why a layer is not trained."""
    trained = {layer.lr for layer in layers if layer.trained}
    form = setting if len(trained) == 1 else lr
    return [form(layer.lr) if layer.trained else untrained_word(layer) for layer in layers]


def _lr_scales(layers: Sequence[Layer]) -> list[str]:
    """Three significant digits of the least, and the points under each other."""
    scales = [layer.lr_scale for layer in layers if layer.trained]
    texts = iter(_aligned_scales(scales))
    return [next(texts) if layer.trained else "" for layer in layers]


def _aligned_scales(scales: Sequence[float | None]) -> list[str]:
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

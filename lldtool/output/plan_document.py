"""Plan -> what `lldtool inspect` shows: the config's settings, its layers, what it comes to."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

from lldtool.output.contents import layer_contents
from lldtool.output.document import (
    Bar,
    Block,
    Cell,
    Column,
    Document,
    Facts,
    Notes,
    Paragraph,
    Row,
    Section,
    Table,
    Text,
    listed,
    styled,
)
from lldtool.output.parameter_tables import folded_parameters, parameter_table
from lldtool.output.schedule_words import schedule_facts
from lldtool.output.starts import layer_start, start_facts, start_lines
from lldtool.output.states import counted_word, state_word, untrained_word
from lldtool.plan import Layer, Optimizer, Parameter, Plan, UntrainedParameter
from lldtool.text import count, layer_name, lr, plural, setting, value

#: What a terminal narrows the contents of a layer down to, and the widths of its bars.
_CONTENTS, _BARS = 12, (5, 20)
#: Terminals of this width on say which states the parameters of a layer have.
_FOR_STATES = 160

#: Whether parameters are listed, and how.
Listing = Literal["none", "folded", "each"]


def plan_document(
    plan: Plan, *, whole: Plan | None = None, parameters: Listing = "none"
) -> Document:
    """Return the settings of each layer of a plan.

    Args:
        plan: what to show.
        whole: the plan that it is a part of, where it is.
        parameters: list them instead, `folded` those of each layer together that are alike, or
            `each` in a row.
    """
    whole = whole or plan
    end: list[Block] = [Paragraph(styled((line, "dim"))) for line in totals(plan)]
    if parameters == "each":
        body: list[Block] = [parameter_table(plan)]
    elif parameters == "folded":
        body = list(folded_parameters(plan, whole))
    else:
        body = [layer_table(plan, whole)]
    if parameters == "none" and _has_bars(plan):
        text = f"bar: lr_scale on a log scale from {' to '.join(map(_power, _decades(plan)))}"
        end.append(Paragraph(styled((text, "dim")), on_charts=True))
    end += [Notes(plan.notes)] if plan.notes else []
    return Document([Section([header(whole)]), Section(body), Section(end)], title=plan.config)


# What the config says


def header(plan: Plan) -> Facts:
    """Return the model, the optimizers with their base settings, the constructor, the schedule."""
    model = [plan.model.type, f"{count(plan.model.numel)} parameters"]
    if plan.model.backbone:
        size = count(plan.model.backbone_numel or 0)
        model.append(f"backbone {plan.model.backbone}, {size}")
    optimizers = [
        _optimizer(one, f"{key}: {one.type or 'optimizer'}") for key, one in plan.optimizers.items()
    ] or [_optimizer(plan.optimizer, plan.optimizer.type)]
    return Facts([
        ("model", listed(model, " · ")),
        *(("optimizer", listed([*x, plan.optim_wrapper.type], " · ")) for x in optimizers),
        ("constructor", plan.constructor.type),
        *_paramwise(plan),
        *([] if plan.step is None else [("settings", str(plan.step))]),
        *schedule_facts(plan),
        *start_facts(plan),
    ])  # fmt: skip


def _optimizer(optimizer: Optimizer, title: str) -> list[str]:
    """Return the optimizer and its base settings."""
    items = [title]
    if optimizer.lr is not None:
        items.append(f"lr {setting(optimizer.lr)}")
    if optimizer.weight_decay is not None:
        items.append(f"weight decay {setting(optimizer.weight_decay)}")
    return items


def _paramwise(plan: Plan) -> Iterator[tuple[str, Text]]:
    """Yield the options, then the custom keys with a line for each setting that they share."""
    options = plan.constructor.paramwise_cfg
    plain = [f"{k} {value(v)}" for k, v in options.items() if k != "custom_keys"]
    if plain or not options:
        yield "", listed(plain or [_no_options(plan)], " · ")
    keys = options.get("custom_keys")
    sharing: dict[str, list[str]] = defaultdict(list)
    for key, settings in keys.items() if isinstance(keys, dict) else ():
        sharing[_custom_settings(settings)].append(key)
    for settings, names in sharing.items():
        yield "custom keys", listed([*names[:-1], f"{names[-1]}: {settings}"])


def _no_options(plan: Plan) -> str:
    """Return that there are no options, and what it comes to where the constructor needs none."""
    found = {(p.lr, p.weight_decay) for p in plan.parameters}
    lr, weight_decay = plan.optimizer.lr, plan.optimizer.weight_decay
    base = (None if lr is None else lr * plan.auto_scale_lr, weight_decay)
    says_both = lr is not None and weight_decay is not None
    is_base = found == {base} if says_both else len(found) == 1
    return "no paramwise_cfg" + (": every parameter gets the base settings" if is_base else "")


def _custom_settings(settings: object) -> str:
    if not isinstance(settings, dict):
        return value(settings)
    return ", ".join(f"{k} {value(v)}" for k, v in settings.items()) or "no option"


# Layers


def layer_table(plan: Plan, whole: Plan) -> Table:
    """Return a row for each layer; no `layer` where the constructor knows none.

    Args:
        plan: whose layers to show.
        whole: the plan that it is the whole or a part of.
    """
    layers = plan.layers_and_frozen
    columns: list[tuple[Column, Sequence[Cell]]] = []
    if any(layer.layer_id is not None for layer in layers):
        ids = [layer_name(layer.layer_id) for layer in layers]
        columns.append((Column("layer", "right", "bold"), ids))
    contents = [*map(listed, layer_contents(plan, whole))]
    columns.append((Column("contents", least=_CONTENTS), contents))
    if plan.optimizers:
        columns.append((Column("optimizer"), [layer.optimizer or "" for layer in layers]))
    sizes = [count(sum(p.numel for p in layer.everything)) for layer in layers]
    columns += [
        (Column("tensors", "right", "dim", drop=3), [_tensors(layer) for layer in layers]),
        (Column("params", "right", "dim", drop=2), sizes),
        (Column("lr", "right", "green"), _lrs(layers)),
        (Column("lr_scale", "right", drop=4), _lr_scales(layers)),
    ]
    if _has_bars(plan):
        columns.append(
            (Column("", style="cyan", least=_BARS[0], most=_BARS[1], drop=1), _bars(plan))
        )
    columns.append((Column("weight decay"), _weight_decays(layers)))
    if plan.loaded:
        columns.append((Column("start"), [layer_start(layer) for layer in layers]))
    if any(len(layer.trained) < len(layer.names) for layer in layers):
        states = [_states(layer) for layer in layers]
        columns.append((Column("state", from_width=_FOR_STATES), states))
    styles = (None if layer.trained else "dim" for layer in layers)
    rows = zip(zip(*(cells for _, cells in columns), strict=True), styles, strict=True)
    return Table([column for column, _ in columns], [Row(*row) for row in rows])


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


def _states(layer: Layer) -> str:
    """`8 frozen, 4 trained`."""
    counts = Counter(p.state for p in layer.parameters)
    counts["frozen"] += len(layer.frozen)
    return ", ".join(f"{n} {state_word(state)}" for state, n in sorted(counts.items()) if n)


def _has_bars(plan: Plan) -> bool:
    """Return whether there is something to compare: the lr_scales are not all the same."""
    return len({layer.lr_scale for layer in plan.layers if layer.trained}) > 1


def _drawable(layer: Layer) -> float | None:
    """Return the lr_scale where it has a place on a log scale."""
    scale = layer.lr_scale if layer.trained else None
    return scale if scale and 0 < scale < math.inf else None


def _decades(plan: Plan) -> tuple[int, int]:
    """Return the exponents of ten around the lr_scales: what an empty and a full bar stand for."""
    scales = [scale for layer in plan.layers_and_frozen if (scale := _drawable(layer))]
    high = math.ceil(math.log10(max(scales, default=1.0)) - 1e-9)
    low = math.ceil(math.log10(min(scales, default=1.0)) - 1e-9) - 1
    return min(low, high - 1), high


def _power(exponent: int) -> str:
    return f"{10.0**exponent:g}" if abs(exponent) < 300 else f"1e{exponent}"


def _bars(plan: Plan) -> list[Bar]:
    """Return a bar for each lr_scale; on a log scale, as 0.65 over 24 layers spans four decades."""
    low, high = _decades(plan)
    scales = map(_drawable, plan.layers_and_frozen)
    return [Bar((math.log10(scale) - low) / (high - low) if scale else 0.0) for scale in scales]


# What it comes to


def totals(plan: Plan) -> list[str]:
    """Return the lines under the table, without the notes."""
    trained = list({p.name: p for p in plan.trained}.values())  # of two optimizers once
    decayed = [p for p in trained if p.weight_decay]
    undecayed = [p for p in trained if not p.weight_decay]
    settings = {(p.lr, p.weight_decay) for p in plan.trained}
    groups = {p.group for p in plan.parameters}
    lines = [
        f"{plural(len(trained), 'tensor')} trained, {_elements(trained)} parameters: "
        f"{len(decayed):,} decayed ({_elements(decayed)}), "
        f"{len(undecayed):,} not ({_elements(undecayed)})",
    ]
    untrained: dict[str, list[Parameter]] = defaultdict(list)
    for p in plan.parameters:
        if not p.is_trained:
            untrained[counted_word(p)].append(p)
    for word, tensors in untrained.items():
        number = plural(len(tensors), "tensor")
        lines.append(f"{number} {word}, {_elements(tensors)} parameters, in the optimizer")
    for state, rest in (("frozen", plan.frozen), ("left out", plan.left_out)):
        if rest:
            lines.append(_not_in_the_optimizer(state, rest))
    if len(trained) < len(plan.trained):
        shared = len(plan.trained) - len(trained)
        verb = "is" if shared == 1 else "are"
        lines.append(f"{plural(shared, 'tensor')} {verb} in several optimizers, and shown in each")
    if settings:
        lines.append(
            f"{plural(len(settings), 'distinct setting')} of lr and weight decay "
            f"in {plural(len(groups), 'param group')}"
        )
    return [*lines, *start_lines(plan)]


def _not_in_the_optimizer(state: str, tensors: Sequence[UntrainedParameter]) -> str:
    names = ", ".join(t.name for t in tensors[:3])
    more = f", and {len(tensors) - 3:,} more" if len(tensors) > 3 else ""
    why = "frozen, not in the optimizer" if state == "frozen" else "not in the optimizer"
    total = f"{_elements(tensors)} parameters"
    return f"{plural(len(tensors), 'tensor')} {why}, {total}: {names}{more}"


def _elements(tensors: Sequence[Parameter | UntrainedParameter]) -> str:
    return count(sum(t.numel for t in tensors))

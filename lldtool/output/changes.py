"""PlanDiff -> the tables that show it, the same for a terminal and for Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from lldtool.analysis.diff import LayerPair, ParameterChange, PlanDiff, StatusChange
from lldtool.output.cells import (
    ADDED,
    CHANGED,
    REMOVED,
    Cell,
    Line,
    Pair,
    decay_cell,
    distinct,
    entry_cells,
    frozen,
    layer_cell,
    layer_ids,
    marker_of,
    numbers,
    optimizer_cell,
    ratio_text,
)
from lldtool.output.contents import folded, largest_modules, patterns
from lldtool.output.reasons import rule_text
from lldtool.output.states import state_word
from lldtool.plan import LayerId, Reason
from lldtool.text import lr, plural, printable, ranges, shape, significant, value

#: More patterns of names, and rows of groups, than these are cut.
_MOST_PATTERNS, MOST_GROUPS = 6, 6
#: Setting -> what a table calls it, where that is another name.
TITLES = {"weight_decay": "weight decay", "layer_id": "layer"}


class Row(NamedTuple):
    """A line of a table, and its marker: `REMOVED`, `ADDED`, `CHANGED` or `SAME`."""

    marker: str
    cells: tuple[Cell, ...]


class Section(NamedTuple):
    """A table. Its columns: layers and their settings, or a change, a number and parameters, or
    a name and what is to be said about it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


#: The first columns of the three kinds of tables.
LAYERS, GROUPS, NAMES = "contents", "change", "name"


def sections(diff: PlanDiff, *, every_layer: bool, every_parameter: bool) -> list[Section]:
    """The tables of a diff that have something to say.

    Args:
        diff: what to show.
        every_layer: also the layers that do not differ.
        every_parameter: a row for each parameter, in the place of patterns.
    """
    entries = tuple(Row(marker_of(c.a, c.b), entry_cells(c)) for c in diff.config)
    found = [_parameter_states(diff) if every_parameter else states(diff)]
    found += [Section("config", (NAMES, "value"), entries), _layers(diff, every_layer)]
    if every_parameter:
        found += [_parameters(diff), _parameters_not_on_both_sides(diff)]
    else:
        found += [moved_between_optimizers(diff), _weight_decay(diff)]
        found += [moved_between_layers(diff), not_on_both_sides(diff)]
    found += [optimizer_settings(diff), _shapes(diff)]
    return [section for section in found if section.rows]


def _layers(diff: PlanDiff, everything: bool) -> Section:
    """A row for each layer that differs, or for every layer; neighbours that are like are one."""
    places = [i for i, pair in enumerate(diff.layers) if everything or pair.differs]
    shown = [diff.layers[place] for place in places]
    modules = largest_modules(map(_names, shown), _partition(diff))
    lines = [Line(pair, tuple(own)) for pair, own in zip(shown, modules, strict=True)]
    skipped = (place - i for i, place in enumerate(places))
    placed = zip(skipped, lines, strict=True)
    runs = [
        [line for _, line in run]
        for _, run in groupby(placed, key=lambda one: (one[0], one[1].pattern))
    ]
    columns: dict[str, list[Cell]] = {
        "layer": [layer_ids(run) for run in runs],
        LAYERS: [", ".join(folded(m for line in run for m in line.modules)) for run in runs],
        "lr": [frozen(run) or numbers(run, lambda layer: layer.lr, lr) for run in runs],
        "×": ["" if run[0].lr_ratio is None else f"×{ratio_text(run[0].lr_ratio)}" for run in runs],
        "lr_scale": [numbers(run, lambda layer: layer.lr_scale, significant) for run in runs],
        "weight decay": [run[0].weight_decay for run in runs],
    }
    differing = {name for line in lines for change in line.pair.changes for name in change.settings}
    if not diff.has_layers:
        del columns["layer"]
    if not any(columns["×"]):
        del columns["×"]
    for name, title in (("lr_scale", "lr_scale"), ("weight_decay", "weight decay")):
        if name not in differing and not everything:
            del columns[title]
    cells = zip(*columns.values(), strict=True)
    rows = tuple(Row(run[0].marker, row) for run, row in zip(runs, cells, strict=True))
    return Section("layers", tuple(columns), rows)


def _names(pair: LayerPair) -> list[str]:
    return [p.name for layer in (pair.a, pair.b) if layer for p in layer.parameters]


def _partition(diff: PlanDiff) -> Iterable[Iterable[str]]:
    """All parameters, those of a layer together, what only one side trains by what it is there."""
    split = [pair for pair in diff.layers if pair.elsewhere]
    own = [_names(pair) for pair in split]
    apart = {name for names in own for name in names}
    return [*([n for n in names if n not in apart] for names in diff.names), *own]


def _weight_decay(diff: PlanDiff) -> Section:
    """The parameters whose weight decay differs, by what it was, what it is, and why."""
    groups: dict[tuple[Pair, str], list[str]] = defaultdict(list)
    for change in diff.with_changed("weight_decay"):
        groups[decay_cell(change), _why(change)].append(change.a.name)
    return _by_change(diff, "weight decay", groups, _patterns)


def _why(change: ParameterChange) -> str:
    """The reasons of a weight decay on both sides, nothing where none is known."""
    a, b = (_short_reason(side.reason.weight_decay) for side in (change.a, change.b))
    return "" if a == b == _UNKNOWN else a if a == b else str(Pair(a, b))


_UNKNOWN = "reason unknown"


def _short_reason(reason: Reason) -> str:
    short = {"base": "base weight decay", "constructor": _UNKNOWN}
    return short.get(reason.rule) or rule_text(reason)


def moved_between_optimizers(diff: PlanDiff) -> Section:
    """The parameters that another optimizer has, where both sides have several."""
    groups: dict[tuple[Pair, str], list[str]] = defaultdict(list)
    for change in diff.with_changed("optimizer"):
        groups[optimizer_cell(change), ""].append(change.a.name)
    return _by_change(diff, "moved between optimizers", groups, _modules)


def moved_between_layers(diff: PlanDiff) -> Section:
    """The parameters that are in another layer, where both sides know layers."""
    groups: dict[tuple[Pair, str], list[str]] = defaultdict(list)
    for change in diff.with_changed("layer_id") if diff.both_have_layers else ():
        groups[layer_cell(change), ""].append(change.a.name)
    return _by_change(diff, "moved between layers", groups, _modules)


def states(diff: PlanDiff) -> Section:
    """The parameters that are trained on one side only, or not trained for different reasons."""
    groups: dict[tuple[str, Pair], list[str]] = defaultdict(list)
    for change in diff.status:
        groups[_state_row(change)].append(change.name)
    rows = [
        Row(marker, (cell, str(len(names)), _layers_and_modules(diff, names)))
        for (marker, cell), names in groups.items()
    ]
    return Section(_STATE, (GROUPS, "number", "parameters"), tuple(rows))


_STATE = "state"


def _parameter_states(diff: PlanDiff) -> Section:
    rows = []
    for change in diff.status:
        marker, cell = _state_row(change)
        rows.append(Row(marker, (printable(change.name), cell)))
    return Section(_STATE, (NAMES, ""), tuple(rows))


def _state_row(change: StatusChange) -> tuple[str, Pair]:
    marker = ADDED if change.b == "trained" else REMOVED if change.a == "trained" else CHANGED
    return marker, Pair(state_word(change.a), state_word(change.b))


def _layers_and_modules(diff: PlanDiff, names: Sequence[str]) -> str:
    """`layers 0–3: patch_embed, layers.0–2`; modules alone where no layers are known."""
    known: dict[str, LayerId] = {}
    for plan in (diff.b, diff.a):
        ids = [(p.name, p.layer_id) for p in plan.parameters]
        ids += [(p.name, p.layer_id) for p in plan.frozen]
        known |= {name: layer_id for name, layer_id in ids if layer_id is not None}
    layers = dict.fromkeys(known[name] for name in names if name in known)
    modules = _modules(diff, names)
    return f"layer{'s' * (len(layers) > 1)} {ranges(layers)}: {modules}" if layers else modules


def not_on_both_sides(diff: PlanDiff) -> Section:
    """Parameters that one side does not have."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for marker, what, name in _one_sided(diff):
        groups[marker, what].append(name)
    rows = [
        Row(marker, (what, str(len(names)), _modules(diff, names)))
        for (marker, what), names in groups.items()
    ]
    return Section(_NOT_ON_BOTH_SIDES, (GROUPS, "number", "parameters"), tuple(rows))


_NOT_ON_BOTH_SIDES = "not on both sides"


def _parameters_not_on_both_sides(diff: PlanDiff) -> Section:
    rows = [Row(marker, (printable(name), what)) for marker, what, name in _one_sided(diff)]
    return Section(_NOT_ON_BOTH_SIDES, (NAMES, ""), tuple(rows))


def _one_sided(diff: PlanDiff) -> Iterable[tuple[str, str, str]]:
    """Marker, what is the matter, and the name of each."""
    for p in diff.removed:
        yield REMOVED, "only in A", p.name
    for p in diff.added:
        yield ADDED, "only in B", p.name


def optimizer_settings(diff: PlanDiff) -> Section:
    """The parameters whose group sets something else of the optimizer, a momentum or betas."""
    groups: dict[tuple[Pair, str], list[str]] = defaultdict(list)
    for change in diff.with_changed("extras"):
        pair = Pair(_entries(change.a.extras), _entries(change.b.extras))
        groups[pair, ""].append(change.a.name)
    return _by_change(diff, "other optimizer settings", groups, _patterns)


def _entries(extras: dict[str, Any]) -> str:
    return ", ".join(f"{printable(k)} {value(v)}" for k, v in extras.items()) or "none"


def _shapes(diff: PlanDiff) -> Section:
    groups: dict[tuple[Pair, str], list[str]] = defaultdict(list)
    for one in diff.reshaped:
        groups[Pair(shape(one.a), shape(one.b)), ""].append(one.name)
    return _by_change(diff, "of another shape", groups, _patterns)


def _by_change(
    diff: PlanDiff,
    title: str,
    groups: dict[tuple[Pair, str], list[str]],
    naming: Callable[[PlanDiff, Collection[str]], str],
) -> Section:
    """A row for each change and reason, with the parameters; the rarest ones in one row."""
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    kept = ordered if len(ordered) <= MOST_GROUPS else ordered[: MOST_GROUPS - 1]
    rows = [
        Row(CHANGED, (pair, str(len(names)), naming(diff, names), why))
        for (pair, why), names in kept
    ]
    if len(kept) < len(ordered):
        others = [name for _, names in ordered[len(kept) :] for name in names]
        kinds = plural(len(ordered) - len(kept), "more kind")
        rows.append(Row(CHANGED, (kinds, str(len(others)), naming(diff, others), "")))
    columns = (GROUPS, "number", "parameters", "reason")
    return _without_empty_end(Section(title, columns, tuple(rows)))


def _without_empty_end(section: Section) -> Section:
    """The section without its last column where that says nothing."""
    if any(row.cells[-1] for row in section.rows):
        return section
    rows = tuple(Row(row.marker, row.cells[:-1]) for row in section.rows)
    return Section(section.title, section.columns[:-1], rows)


def _patterns(diff: PlanDiff, names: Collection[str]) -> str:
    everything = [name for row in diff.names for name in row]
    return ", ".join(patterns(names, everything, _MOST_PATTERNS))


def _modules(diff: PlanDiff, names: Collection[str]) -> str:
    """The largest modules whose parameters these all are."""
    everything = {p.name for plan in (diff.a, diff.b) for p in plan.every_parameter}
    (modules,) = largest_modules([names], [names, everything.difference(names)])
    return ", ".join(folded(modules))


def _parameters(diff: PlanDiff) -> Section:
    """A row for each parameter of which a setting differs."""
    cells: dict[str, Callable[[ParameterChange], Cell]] = {
        "optimizer": optimizer_cell,
        "lr": lambda c: distinct(partial(lr, c.a.lr), partial(lr, c.b.lr)),
        "lr_scale": lambda c: distinct(
            partial(significant, c.a.lr_scale), partial(significant, c.b.lr_scale)
        ),
        "weight_decay": decay_cell,
        "layer_id": layer_cell,
    }
    shown = [name for name in cells if diff.with_changed(name)]
    known: dict[tuple[str, str, str], Cell] = {}  # many parameters share theirs

    def cell(c: ParameterChange, name: str) -> Cell:
        key = (name, repr(getattr(c.a, name)), repr(getattr(c.b, name)))
        if key not in known:
            known[key] = cells[name](c)
        return known[key]

    rows = []
    for c in diff.changed:
        own = [cell(c, name) if name in c.settings else "" for name in shown]
        why = _why(c) if "weight_decay" in c.settings else ""
        if any(own):
            rows.append(Row(CHANGED, (printable(c.a.name), *own, why)))
    columns = (NAMES, *(TITLES.get(name, name) for name in shown), "reason")
    return _without_empty_end(Section("parameters that differ", columns, tuple(rows)))

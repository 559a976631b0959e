"""PlanDiff -> the tables that show it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby

from lldtool.analysis.diff import LayerPair, ParameterChange, PlanDiff, StatusChange
from lldtool.output.contents import folded, largest_modules, patterns
from lldtool.output.diff_cells import (
    ADDED,
    CHANGED,
    COLORS,
    REMOVED,
    PairOfLayers,
    entry_cells,
    layer_ids,
    lr_cell,
    marked,
    marker_of,
    module_names,
    parameter_cell,
    ratio_text,
    setting_cell,
)
from lldtool.output.document import Cell, Column, Pair, Row, Section, Table, listed, styled
from lldtool.output.reasons import rule_text
from lldtool.output.states import state_word
from lldtool.plan import LayerId, Reason
from lldtool.text import plural, ranges, shape

#: More patterns of names, and rows of groups, than these are cut.
_MOST_PATTERNS, MOST_GROUPS = 6, 6
#: Setting -> what a table calls it, where that is another name.
TITLES = {"weight_decay": "weight decay", "layer_id": "layer"}
#: What a terminal narrows names down to.
_NAMES = 12


def tables(diff: PlanDiff, *, every_layer: bool, every_parameter: bool) -> list[Section]:
    """Return the tables of a diff that have something to say.

    Args:
        diff: what to show.
        every_layer: also the layers that do not differ.
        every_parameter: a row for each parameter, in the place of patterns.
    """
    entries = [marked(marker_of(c.a, c.b), *entry_cells(c)) for c in diff.config]
    found = [_parameter_states(diff) if every_parameter else states(diff)]
    found += [_entries("config", ["value"], entries), _layers(diff, every_layer)]
    if every_parameter:
        one_sided = [marked(marker, name, what) for marker, what, name in _one_sided(diff)]
        found += [_parameters(diff), _entries(_NOT_ON_BOTH_SIDES, [""], one_sided)]
    else:
        found += [moved_between_optimizers(diff), _weight_decay(diff)]
        found += [moved_between_layers(diff), starts(diff), not_on_both_sides(diff)]
    found += [optimizer_settings(diff), _shapes(diff)]
    return [section for section in found if rows_of(section)]


def rows_of(section: Section) -> Sequence[Row]:
    """Return the rows of a section's table."""
    (table,) = section.blocks
    assert isinstance(table, Table)
    return table.rows


# Layers: a column for each setting, as many as fit


def _layers(diff: PlanDiff, everything: bool) -> Section:
    """A row for each layer that differs, or for every layer; neighbours that are like are one."""
    places = [i for i, pair in enumerate(diff.layers) if everything or pair.differs]
    shown = [diff.layers[place] for place in places]
    modules = largest_modules(map(_names, shown), _partition(diff))
    lines = [PairOfLayers(pair, tuple(own)) for pair, own in zip(shown, modules, strict=True)]
    skipped = (place - i for i, place in enumerate(places))
    placed = groupby(zip(skipped, lines, strict=True), key=lambda x: (x[0], x[1].pattern))
    runs = [[line for _, line in run] for _, run in placed]
    columns: dict[Column, Sequence[Cell]] = {
        Column("layer", "right"): [layer_ids(run) for run in runs],
        Column("contents", least=_NAMES): [listed(folded(module_names(run))) for run in runs],
        Column("lr", "arrow"): [lr_cell(run) for run in runs],
        Column("×"): [_ratio(run[0]) for run in runs],
        Column("lr_scale", "arrow", drop=1): [setting_cell(run, "lr_scale") for run in runs],
        Column("weight decay", drop=2): [run[0].weight_decay for run in runs],
        Column("start"): [run[0].start for run in runs],
    }
    differing = {name for line in lines for change in line.pair.changes for name in change.settings}
    is_shown = {
        "layer": diff.has_layers,
        "×": any(run[0].lr_ratio is not None for run in runs),
        "lr_scale": everything or "lr_scale" in differing,
        "start": "start" in differing,
        "weight decay": everything or "weight_decay" in differing,
    }
    columns = {c: cells for c, cells in columns.items() if is_shown.get(c.title, True)}
    cells = zip(*columns.values(), strict=True)
    rows = [marked(run[0].marker, *row) for run, row in zip(runs, cells, strict=True)]
    return Section([Table([Column(""), *columns], rows, title="layers")], folded=True)


def _ratio(line: PairOfLayers) -> str:
    return "" if line.lr_ratio is None else f"×{ratio_text(line.lr_ratio)}"


def _names(pair: LayerPair) -> list[str]:
    return [p.name for layer in (pair.a, pair.b) if layer for p in layer.parameters]


def _partition(diff: PlanDiff) -> Iterable[Iterable[str]]:
    """All parameters, those of a layer together, what only one side trains by its state there."""
    split = [pair for pair in diff.layers if pair.elsewhere]
    own = [_names(pair) for pair in split]
    apart = {name for names in own for name in names}
    return [*([n for n in names if n not in apart] for names in diff.names), *own]


# Groups: a change, how many parameters it is of, which, and why

#: Change and reason -> the parameters.
_Groups = dict[tuple[Cell, str], list[str]]


def states(diff: PlanDiff) -> Section:
    """Return the parameters that are trained on one side only, or not for different reasons."""
    found: dict[tuple[str, Pair], list[str]] = defaultdict(list)
    for change in diff.status:
        found[_state_row(change)].append(change.name)
    return _groups(
        "state",
        [
            (marker, cell, len(names), _layers_and_modules(diff, names), "")
            for (marker, cell), names in found.items()
        ],
    )


def _state_row(change: StatusChange) -> tuple[str, Pair]:
    marker = ADDED if change.b == "trained" else REMOVED if change.a == "trained" else CHANGED
    return marker, Pair(state_word(change.a), state_word(change.b))


def _layers_and_modules(diff: PlanDiff, names: Sequence[str]) -> list[str]:
    """`layers 0–3: patch_embed, layers.0–2`; modules alone where no layers are known."""
    known: dict[str, LayerId] = {}
    for plan in (diff.b, diff.a):
        for own in (plan.parameters, plan.frozen):
            known |= {p.name: p.layer_id for p in own if p.layer_id is not None}
    layers = dict.fromkeys(known[name] for name in names if name in known)
    modules = _modules(diff, names)
    if not layers:
        return modules
    return [f"layer{'s' * (len(layers) > 1)} {ranges(layers)}: {modules[0]}", *modules[1:]]


def not_on_both_sides(diff: PlanDiff) -> Section:
    """Return the parameters that one side does not have."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for marker, what, name in _one_sided(diff):
        found[marker, what].append(name)
    return _groups(
        _NOT_ON_BOTH_SIDES,
        [
            (marker, what, len(names), _modules(diff, names), "")
            for (marker, what), names in found.items()
        ],
    )


_NOT_ON_BOTH_SIDES = "not on both sides"


def _one_sided(diff: PlanDiff) -> Iterator[tuple[str, str, str]]:
    """Yield marker, which side has it, and the name of each."""
    for p in diff.removed:
        yield REMOVED, "only in A", p.name
    for p in diff.added:
        yield ADDED, "only in B", p.name


def _weight_decay(diff: PlanDiff) -> Section:
    """Return the parameters whose weight decay differs, by what it was, what it is, and why."""
    return _by_change(diff, "weight decay", "weight_decay", _patterns, why=_why)


def _why(change: ParameterChange) -> str:
    """Return the reasons of a weight decay on both sides, nothing where none is known."""
    a, b = (_short_reason(side.reason.weight_decay) for side in (change.a, change.b))
    return "" if a == b == _UNKNOWN else a if a == b else str(Pair(a, b))


_UNKNOWN = "reason unknown"


def _short_reason(reason: Reason) -> str:
    short = {"base": "base weight decay", "constructor": _UNKNOWN}
    return short.get(reason.rule) or rule_text(reason)


def moved_between_optimizers(diff: PlanDiff) -> Section:
    """Return the parameters that another optimizer has, where both sides have several."""
    return _by_change(diff, "moved between optimizers", "optimizer", _modules)


def moved_between_layers(diff: PlanDiff) -> Section:
    """Return the parameters that are in another layer, where both sides know layers."""
    name = "layer_id" if diff.both_have_layers else ""
    return _by_change(diff, "moved between layers", name, _modules)


def starts(diff: PlanDiff) -> Section:
    """Return the trained parameters that start from a checkpoint on one side only."""
    return _by_change(diff, "start", "start", _layers_and_modules)


def optimizer_settings(diff: PlanDiff) -> Section:
    """Return the parameters whose group sets something else of the optimizer, say betas."""
    return _by_change(diff, "other optimizer settings", "extras", _patterns)


def _shapes(diff: PlanDiff) -> Section:
    found: _Groups = defaultdict(list)
    for one in diff.reshaped:
        found[Pair(shape(one.a), shape(one.b)), ""].append(one.name)
    return _most_frequent(diff, "of another shape", found, _patterns)


#: Names parameters for a reader.
_Naming = Callable[[PlanDiff, Sequence[str]], list[str]]


def _by_change(
    diff: PlanDiff,
    title: str,
    name: str,
    naming: _Naming,
    why: Callable[[ParameterChange], str] = lambda change: "",
) -> Section:
    """Return the parameters of which one setting differs, a row for each change and reason."""
    found: _Groups = defaultdict(list)
    for c in diff.with_changed(name):
        found[parameter_cell(c, name), why(c)].append(c.a.name)
    return _most_frequent(diff, title, found, naming)


def _most_frequent(diff: PlanDiff, title: str, found: _Groups, naming: _Naming) -> Section:
    """Return a row for each change and reason; the rarest ones in one row."""
    ordered = sorted(found.items(), key=lambda group: -len(group[1]))
    kept = ordered if len(ordered) <= MOST_GROUPS else ordered[: MOST_GROUPS - 1]
    rows = [(CHANGED, cell, len(names), naming(diff, names), why) for (cell, why), names in kept]
    if len(kept) < len(ordered):
        others = [name for _, names in ordered[len(kept) :] for name in names]
        kinds = plural(len(ordered) - len(kept), "more kind")
        rows.append((CHANGED, kinds, len(others), naming(diff, others), ""))
    return _groups(title, rows)


def _groups(title: str, groups: Iterable[tuple[str, Cell, int, list[str], str]]) -> Section:
    """Return a row for marker, change, number, parameters and reason, where there are reasons."""
    columns = [Column(""), Column("change"), Column("number", "right")]
    columns += [Column("parameters", least=_NAMES), Column("reason", style="dim", below=True)]
    rows = []
    for marker, change, number, names, why in groups:
        color = COLORS[marker]
        shown = styled((change, color)) if isinstance(change, str) else change
        rows.append(Row([styled((marker, color)), shown, str(number), listed(names), why]))
    if not any(str(row.cells[-1]) for row in rows):
        columns.pop()
        rows = [Row(row.cells[:-1]) for row in rows]
    return Section([Table(columns, rows, header="")], title, folded=True)


def _patterns(diff: PlanDiff, names: Collection[str]) -> list[str]:
    everything = [name for row in diff.names for name in row]
    return patterns(names, everything, _MOST_PATTERNS)


def _modules(diff: PlanDiff, names: Collection[str]) -> list[str]:
    """Return the largest modules whose parameters these all are."""
    everything = {p.name for plan in (diff.a, diff.b) for p in plan.every_parameter}
    (modules,) = largest_modules([names], [names, everything.difference(names)])
    return folded(modules)


# Entries: a name, and what is to be said about it


def _entries(title: str, titles: Iterable[str], rows: Sequence[Row]) -> Section:
    columns = [Column(""), Column("name"), *map(Column, titles)]
    return Section([Table(columns, rows, entries=True)], title, folded=True)


def _parameter_states(diff: PlanDiff) -> Section:
    found = ((change.name, *_state_row(change)) for change in diff.status)
    rows = [marked(marker, name, cell) for name, marker, cell in found]
    return _entries("state", [""], rows)


def _parameters(diff: PlanDiff) -> Section:
    """Return a row for each parameter of which a setting differs."""
    names = ("optimizer", "lr", "lr_scale", "weight_decay", "layer_id", "start")
    shown = [name for name in names if diff.with_changed(name)]
    known: dict[tuple[str, str, str], Cell] = {}  # many parameters share theirs

    def cell(c: ParameterChange, name: str) -> Cell:
        if name not in c.settings:
            return ""
        key = (name, repr(getattr(c.a, name)), repr(getattr(c.b, name)))
        if key not in known:
            known[key] = parameter_cell(c, name)
        return known[key]

    rows = []
    for c in diff.changed:
        own = [cell(c, name) for name in shown]
        why = _why(c) if "weight_decay" in c.settings else ""
        if any(map(str, own)):
            rows.append(marked(CHANGED, c.a.name, *own, why))
    columns = [Column(""), Column("name"), *(Column(TITLES.get(name, name)) for name in shown)]
    columns += [Column("reason", below=True)]
    if not any(row.cells[-1] for row in rows):
        columns.pop()
        rows = [Row(row.cells[:-1], row.style) for row in rows]
    return Section([Table(columns, rows, entries=True)], "parameters that differ", folded=True)

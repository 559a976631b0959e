"""PlanDiff -> the words and tables that show it, the same for a terminal and for Markdown."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from typing import Any, NamedTuple

from lldtool.diff import ConfigChange, LayerPair, ParameterChange, PlanDiff
from lldtool.plan import Layer, Reason
from lldtool.render.contents import folded, largest_modules, patterns
from lldtool.render.reasons import rule_text
from lldtool.render.text import count, lr, plural, printable, setting, shape, significant, value

#: What a row is about: something of A only, of B only, of both but different, the same.
REMOVED, ADDED, CHANGED, SAME = "−", "+", "~", " "
#: More patterns of names, rows of groups and sentences than these are cut.
_MOST_PATTERNS, _MOST_GROUPS, _MOST_SENTENCES = 6, 6, 8


class Pair(NamedTuple):
    """A cell that reads `a → b`."""

    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.a} → {self.b}"


Cell = Pair | str


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


_TITLES = {"weight_decay": "weight decay", "layer_id": "layer"}
_WORDS = {
    "lr": "lr differs",
    "lr_scale": "lr_scale differs",
    "weight_decay": "weight decay differs",
    "layer_id": "layer differs",
    "extras": "other optimizer settings differ",
}


def summary(diff: PlanDiff) -> list[str]:
    """What kinds of difference there are, those of lr first; or that there is none."""
    if diff.identical:
        names = [_TITLES.get(name, name) for name in diff.looked_at if name != "extras"]
        what = " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:]))) or "shapes"
        same = f"identical {what} of {plural(diff.compared, 'parameter')}"
        without_effect = f"{plural(len(diff.config), 'config entry')} without effect on them"
        return [same, without_effect] if diff.config else [same]
    parts = [_model_size(diff)] if _model_size(diff) else []
    for name, words in _WORDS.items():
        changed = diff.with_changed(name)
        if name == "lr_scale" and diff.with_changed("lr"):
            continue
        if name in ("lr", "lr_scale") and _has_layers(diff):
            parts += [f"{words} in {_of_layers(diff, name)}"] if changed else []
        elif name == "layer_id" and changed and not _both_have_layers(diff):
            parts.append(f"{'B' if diff.a.has_layers else 'A'} has no layers")
        elif changed:
            parts.append(f"{words} for {len(changed):,} of {plural(diff.compared, 'parameter')}")
    for status, number in Counter((c.a, c.b) for c in diff.status).items():
        parts.append(f"{plural(number, 'parameter')} {status[0]} in A and {status[1]} in B")
    for parameters, what in (
        (diff.removed, "only in A"), (diff.added, "only in B"), (diff.reshaped, "of another shape")
    ):  # fmt: skip
        if parameters:
            parts.append(f"{plural(len(parameters), 'parameter')} {what}")
    acting = [printable(change.key) for change in diff.config if change.acts]
    if len(acting) == 1:
        parts.append(f"{acting[0]} differs")
    elif acting:
        parts.append(f"{len(acting)} entries of model, optimizer or wrapper differ")
    return parts


def _model_size(diff: PlanDiff) -> str:
    """`86.6 M → 304 M parameters`, where the models are of two sizes."""
    a, b = diff.a.model.numel, diff.b.model.numel
    return "" if a == b else f"{_distinct(partial(_count, a), partial(_count, b))} parameters"


def _count(number: int, digits: int) -> str:
    return count(number) if digits <= 3 else f"{number:,}"


def _of_layers(diff: PlanDiff, name: str) -> str:
    """`13 of 14 layers`: those in which a setting differs, of those that both sides have."""
    ids = {_layer_of(diff, pair) for pair in diff.shared_layers}
    differing = {_layer_of(diff, p) for p in diff.shared_layers if _differs(p, name)}
    shared = "shared " if {_layer_of(diff, pair) for pair in diff.layers} > ids else ""
    return f"{len(differing)} of {plural(len(ids), f'{shared}layer')}"


def _layer_of(diff: PlanDiff, pair: LayerPair) -> int | None:
    """The layer that a pair belongs to, of the side that has more of them."""
    b_first = len(diff.b.layer_ids) > len(diff.a.layer_ids)
    sides = (pair.b, pair.a) if b_first else (pair.a, pair.b)
    return next((x.layer_id for x in sides if x and x.layer_id is not None), None)


def _differs(pair: LayerPair, name: str) -> bool:
    """Whether a setting differs between two layers, be it that they hold other parameters."""
    if pair.a and pair.b and pair.differs and not pair.changes:
        return bool(getattr(pair.a, name) != getattr(pair.b, name))
    return any(name in change.settings for change in pair.changes)


def _has_layers(diff: PlanDiff) -> bool:
    """Whether the constructor of either side knows layers."""
    return diff.a.has_layers or diff.b.has_layers


def _both_have_layers(diff: PlanDiff) -> bool:
    return diff.a.has_layers and diff.b.has_layers


def names_of_sides(diff: PlanDiff) -> tuple[str, str]:
    """What the sides are called; the second only by what sets it apart, if that is an edit."""
    a, b = printable(diff.a.config), printable(diff.b.config)
    return a, b.removeprefix(f"{a} ") if b.startswith(f"{a} with ") else b


# In words


def in_words(diff: PlanDiff) -> list[str]:
    """What the difference does to training, a sentence each, for a reader in a hurry."""
    sentences = [_entry_in_words(change) for change in diff.config]
    if len(sentences) > _MOST_SENTENCES:
        more = len(sentences) - _MOST_SENTENCES
        sentences[_MOST_SENTENCES:] = [f"{plural(more, 'more config entry')}, in the table below"]
    sentences += [*_lr_in_words(diff), *_weight_decay_in_words(diff)]
    sentences += [f"{r.cells[0]}: {r.cells[2]}" for r in _not_on_both_sides(diff).rows]
    for section in (_moved(diff), _optimizer_settings(diff)):
        sentences += [f"{section.title}, {r.cells[0]}: {r.cells[2]}" for r in section.rows]
    return sentences


def all_in_words(diff: PlanDiff) -> bool:
    """Whether no entry of the config was left out of the sentences."""
    return len(diff.config) <= _MOST_SENTENCES


def _entry_in_words(change: ConfigChange) -> str:
    key, cell = _entry_cells(change)
    verb = {ADDED: " is new:", REMOVED: " is gone, it was"}.get(_marker(change.a, change.b), ":")
    return f"{key}{verb} {cell}"


def _lr_in_words(diff: PlanDiff) -> list[str]:
    """Where lr is lower, where it is higher, and by how much."""
    lines = [_Line(pair, ()) for pair in diff.shared_layers]
    sentences = []
    for word, is_so in (("lower", float.__lt__), ("higher", float.__gt__)):
        moved = [line for line in lines if line.lr_ratio and is_so(line.lr_ratio, 1.0)]
        if not moved:
            continue
        where = f"for {plural(sum(len(line.pair.changes) for line in moved), 'parameter')}"
        places = [""] * len(moved)
        if _has_layers(diff):
            where = f"in {plural(len({_layer_of(diff, line.pair) for line in moved}), 'layer')}"
            places = [f" in layer {_layer_ids([line])}" for line in moved]
        ratios = [f"×{_ratio(line.lr_ratio)}" for line in moved]
        how_much = f"from {ratios[0]}{places[0]} to {ratios[-1]}{places[-1]}"
        sentences.append(
            f"lr is {word} {where}: {ratios[0] if len(set(ratios)) == 1 else how_much}"
        )
    return sentences


def _weight_decay_in_words(diff: PlanDiff) -> list[str]:
    """What kinds of parameters lose it, get it, or get another."""
    groups: dict[Pair, list[ParameterChange]] = defaultdict(list)
    for change in diff.with_changed("weight_decay"):
        groups[_decay_cell(change)].append(change)
    sentences = []
    for cell, changes in list(groups.items())[:_MOST_GROUPS]:
        kinds = Counter(f"{c.b.module_type}.{c.b.name.rpartition('.')[2]}" for c in changes)
        shown = [f"{printable(kind)} ×{n}" for kind, n in kinds.most_common(_MOST_GROUPS)]
        if len(kinds) > _MOST_GROUPS:
            shown.append(f"{plural(len(kinds) - _MOST_GROUPS, 'more kind')}")
        verb = "no longer applies to" if cell.b == "0" else "changes for"
        sentences.append(
            f"weight decay {'now applies to' if cell.a == '0' else verb} "
            f"{plural(len(changes), 'parameter')}, {cell}: {', '.join(shown)}"
        )
    return sentences


# Tables


def sections(diff: PlanDiff, *, every_layer: bool, every_parameter: bool) -> list[Section]:
    """The tables of a diff that have something to say.

    Args:
        diff: what to show.
        every_layer: also the layers that do not differ.
        every_parameter: a row for each parameter, in the place of patterns.
    """
    entries = tuple(Row(_marker(c.a, c.b), _entry_cells(c)) for c in diff.config)
    found = [Section("config", (NAMES, "value"), entries), _layers(diff, every_layer)]
    if every_parameter:
        found += [_parameters(diff), _parameters_not_on_both_sides(diff)]
    else:
        found += [_weight_decay(diff), _moved(diff), _not_on_both_sides(diff)]
    found += [_optimizer_settings(diff), _shapes(diff)]
    return [section for section in found if section.rows]


def _entry_cells(change: ConfigChange) -> tuple[Cell, Cell]:
    key = printable(change.key)
    if change.a is None or change.b is None:
        return key, value(change.b if change.a is None else change.a)
    return key, _distinct(partial(_value, change.a), partial(_value, change.b))


def _value(content: object, digits: int) -> str:
    """A value of a config, a number with more digits where more than usual are asked for."""
    if isinstance(content, float) and digits > 6:
        return setting(content, digits)
    return value(content)


def _marker(a: object, b: object) -> str:
    return ADDED if a is None else REMOVED if b is None else CHANGED


def _layers(diff: PlanDiff, everything: bool) -> Section:
    """A row for each layer that differs, or for every layer; runs of like ones are one row."""
    shown = [pair for pair in diff.layers if everything or pair.differs]
    names = [[p.name for x in (pair.a, pair.b) if x for p in x.parameters] for pair in shown]
    modules = largest_modules(names, _partition(diff))
    lines = [_Line(pair, tuple(own)) for pair, own in zip(shown, modules, strict=True)]
    runs = [list(run) for _, run in groupby(lines, key=lambda line: line.pattern)]
    columns: dict[str, list[Cell]] = {
        "layer": [_layer_ids(run) for run in runs],
        LAYERS: [", ".join(folded(m for line in run for m in line.modules)) for run in runs],
        "lr": [_frozen(run) or _numbers(run, lambda layer: layer.lr, lr) for run in runs],
        "×": ["" if run[0].lr_ratio is None else f"×{_ratio(run[0].lr_ratio)}" for run in runs],
        "lr_scale": [_numbers(run, lambda layer: layer.lr_scale, significant) for run in runs],
        "weight decay": [run[0].weight_decay for run in runs],
    }
    differing = {name for line in lines for change in line.pair.changes for name in change.settings}
    if not _has_layers(diff):
        del columns["layer"]
    if not any(columns["×"]):
        del columns["×"]
    for name, title in (("lr_scale", "lr_scale"), ("weight_decay", "weight decay")):
        if name not in differing and not everything:
            del columns[title]
    cells = zip(*columns.values(), strict=True)
    rows = tuple(Row(run[0].marker, row) for run, row in zip(runs, cells, strict=True))
    return Section("layers", tuple(columns), rows)


def _partition(diff: PlanDiff) -> Iterable[Iterable[str]]:
    """All parameters, those of a layer together, what only one side trains by what it is there."""
    split = [pair for pair in diff.layers if pair.elsewhere]
    own = [[p.name for x in (pair.a, pair.b) if x for p in x.parameters] for pair in split]
    apart = {name for names in own for name in names}
    return [*([n for n in names if n not in apart] for names in diff.names), *own]


@dataclass(frozen=True)
class _Line:
    """A pair of layers, and the modules that it holds."""

    pair: LayerPair
    modules: tuple[str, ...]

    @property
    def marker(self) -> str:
        return _marker(self.pair.a, self.pair.b) if self.pair.differs else SAME

    @property
    def pattern(self) -> object:
        """What neighbours have in common that are shown as one row."""
        names = [re.sub(r"\d+", "*", name) for name in self.modules]
        a, b = self.pair.a, self.pair.b
        tensors = a and a.num_tensors, b and b.num_tensors
        ids = (a and a.layer_id), (b and b.layer_id)
        shift = None if None in ids else ids[1] - ids[0]  # type: ignore[operator]
        ratio = self.lr_ratio and significant(self.lr_ratio, 9)
        scales = a and b and a.lr_scale == b.lr_scale
        return (
            self.marker,
            self.pair.elsewhere,
            names,
            tensors,
            shift,
            ratio,
            scales,
            str(self.weight_decay),
        )

    @cached_property
    def weight_decay(self) -> Cell:
        """`0.05 → 0 ×8`; where nothing differs what there is, `0.05 ×4 · 0 ×8`."""
        changes = [c for c in self.pair.changes if "weight_decay" in c.settings]
        if changes:
            changed = Counter(_decay_cell(c) for c in changes).most_common()
            cells = [Pair(cell.a, f"{cell.b} ×{number}") for cell, number in changed]
            return cells[0] if len(cells) == 1 else "\n".join(map(str, cells))
        a, b = self.pair.a, self.pair.b
        layer = None if a and b and a.weight_decays != b.weight_decays else a or b
        counts = layer.weight_decays.most_common() if layer else []
        return " · ".join(f"{setting(decay)} ×{number}" for decay, number in counts)

    @cached_property
    def lr_ratio(self) -> float | None:
        """What B's lr is of A's; None where it is no number, or the same."""
        a = self.pair.a.lr if self.pair.a else None
        b = self.pair.b.lr if self.pair.b else None
        if not _differs(self.pair, "lr") or not a or b is None or not math.isfinite(b / a):
            return None
        return b / a


def _ratio(ratio: float | None) -> str:
    """With as many digits as it takes to tell it from 1."""
    if not ratio:
        return "0"
    return _distinct(partial(significant, 1.0), partial(significant, ratio)).b


def _layer_ids(run: Sequence[_Line]) -> Cell:
    """The layers of a run, of both sides where both know layers and they differ."""
    sides = ([x.layer_id for x in side if x and x.layer_id is not None] for side in _sides(run))
    a, b = sides
    if not a or not b or a == b:
        return _range(a or b or [None], _whole, 0)
    return Pair(_range(a, _whole, 0), _range(b, _whole, 0))


def _whole(number: int | None, digits: int) -> str:
    return "–" if number is None else str(number)


def _sides(run: Sequence[_Line]) -> tuple[list[Layer | None], list[Layer | None]]:
    return [line.pair.a for line in run], [line.pair.b for line in run]


def _frozen(run: Sequence[_Line]) -> Pair | None:
    """`1.27e-4 → frozen`, where the other side has the parameters and does not train them."""
    elsewhere = run[0].pair.elsewhere
    if elsewhere in (None, "absent"):
        return None
    lrs = str(_numbers(run, lambda layer: layer.lr, lr))
    return Pair(lrs, elsewhere) if run[0].pair.a else Pair(elsewhere, lrs)


def _numbers(
    run: Sequence[_Line],
    of: Callable[[Layer], float | None],
    form: Callable[[float | None, int], str],
) -> Cell:
    """A setting of a run of layers, from … to; on both sides where it differs."""
    a, b = ([of(layer) for layer in side if layer] for side in _sides(run))
    if not a or not b or a == b:
        return _range(a or b, form, 3)
    return _distinct(partial(_range, a, form), partial(_range, b, form))


def _range(values: Sequence[Any], form: Callable[[Any, int], str], digits: int) -> str:
    first, last = form(values[0], digits), form(values[-1], digits)
    return first if first == last else f"{first}–{last}"


def _distinct(a: Callable[[int], str], b: Callable[[int], str]) -> Pair:
    """Two numbers with as many digits as it takes to tell them apart, at least three."""
    texts = (Pair(a(digits), b(digits)) for digits in range(3, 18))
    return next((pair for pair in texts if pair.a != pair.b), Pair(a(17), b(17)))


def _decay_cell(change: ParameterChange) -> Pair:
    a, b = change.a.weight_decay, change.b.weight_decay
    return _distinct(partial(setting, a), partial(setting, b))


def _weight_decay(diff: PlanDiff) -> Section:
    """The parameters whose weight decay differs, by what it was, what it is, and why."""
    groups: dict[tuple[Pair, str], list[str]] = defaultdict(list)
    for change in diff.with_changed("weight_decay"):
        groups[_decay_cell(change), _why(change)].append(change.a.name)
    return _by_change(diff, "weight decay", groups, _patterns)


def _why(change: ParameterChange) -> str:
    """The reasons of a weight decay on both sides, nothing where none is known."""
    a, b = (_short_reason(side.reason.weight_decay) for side in (change.a, change.b))
    return "" if a == b == _UNKNOWN else a if a == b else str(Pair(a, b))


_UNKNOWN = "reason unknown"


def _short_reason(reason: Reason) -> str:
    short = {"base": "base weight decay", "constructor": _UNKNOWN}
    return short.get(reason.rule) or rule_text(reason)


def _moved(diff: PlanDiff) -> Section:
    """The parameters that are in another layer, where both sides know layers."""
    groups: dict[tuple[Pair, str], list[str]] = defaultdict(list)
    for change in diff.with_changed("layer_id") if _both_have_layers(diff) else ():
        groups[_layer_cell(change), ""].append(change.a.name)
    return _by_change(diff, "moved between layers", groups, _modules)


def _layer_cell(change: ParameterChange) -> Pair:
    return Pair(_whole(change.a.layer_id, 0), _whole(change.b.layer_id, 0))


def _not_on_both_sides(diff: PlanDiff) -> Section:
    """Parameters that one side does not have, or does not train."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for marker, what, name in _one_sided(diff):
        groups[marker, what].append(name)
    rows = [
        Row(marker, (what, str(len(names)), _modules(diff, names)))
        for (marker, what), names in groups.items()
    ]
    return Section(_NOT_ON_BOTH_SIDES, (GROUPS, "number", "parameters"), tuple(rows))


_NOT_ON_BOTH_SIDES = "not trained on both sides"


def _parameters_not_on_both_sides(diff: PlanDiff) -> Section:
    rows = [Row(marker, (printable(name), what)) for marker, what, name in _one_sided(diff)]
    return Section(_NOT_ON_BOTH_SIDES, (NAMES, ""), tuple(rows))


def _one_sided(diff: PlanDiff) -> Iterable[tuple[str, str, str]]:
    """Marker, what is the matter, and the name of each."""
    for p in diff.removed:
        yield REMOVED, "only in A", p.name
    for p in diff.added:
        yield ADDED, "only in B", p.name
    for change in diff.status:
        marker = ADDED if change.b == "trained" else REMOVED if change.a == "trained" else CHANGED
        yield marker, str(Pair(change.a, change.b)), change.name


def _optimizer_settings(diff: PlanDiff) -> Section:
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
    kept = ordered if len(ordered) <= _MOST_GROUPS else ordered[: _MOST_GROUPS - 1]
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
        "lr": lambda c: _distinct(partial(lr, c.a.lr), partial(lr, c.b.lr)),
        "lr_scale": lambda c: _distinct(
            partial(significant, c.a.lr_scale), partial(significant, c.b.lr_scale)
        ),
        "weight_decay": _decay_cell,
        "layer_id": _layer_cell,
    }
    shown = [name for name in cells if diff.with_changed(name)]
    rows = []
    for c in diff.changed:
        own = [cells[name](c) if name in c.settings else "" for name in shown]
        why = _why(c) if "weight_decay" in c.settings else ""
        if any(own):
            rows.append(Row(CHANGED, (printable(c.a.name), *own, why)))
    columns = (NAMES, *(_TITLES.get(name, name) for name in shown), "reason")
    return _without_empty_end(Section("parameters that differ", columns, tuple(rows)))

"""PlanDiff -> the words and tables that show it, the same for a terminal and for Markdown."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from typing import Any, NamedTuple

from lldtool.diff import ConfigChange, LayerPair, ParameterChange, PlanDiff
from lldtool.plan import Layer, Reason
from lldtool.render.contents import folded, largest_modules, patterns
from lldtool.render.reasons import rule_text
from lldtool.render.text import lr, plural, printable, setting, shape, significant, value

#: What a row is about: something of A only, of B only, of both but different, the same.
REMOVED, ADDED, CHANGED, SAME = "−", "+", "~", " "
#: The columns of numbers, which are aligned to the right.
RIGHT = ("layer", "tensors")
#: More patterns of names than this are cut.
_MOST_PATTERNS = 4
#: Rows of groups of parameters beyond these are one.
_MOST_GROUPS = 5


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
    """A table with a title.

    `wide` are the columns that may take several lines. In a `stacked` one the first column may
    stand above the others, where they do not fit beside it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    wide: tuple[str, ...]
    stacked: bool = False


_WORDS = {
    "lr": "lr differs",
    "lr_scale": "lr_scale differs",
    "weight_decay": "weight decay differs",
    "layer_id": "layer differs",
    "extras": "other group entries differ",
}


def summary(diff: PlanDiff) -> list[str]:
    """What kinds of difference there are, those of lr first; or that there is none."""
    if diff.identical:
        same = f"identical for all {plural(diff.compared, 'parameter')}"
        without_effect = f"{plural(len(diff.config), 'config entry')} without effect"
        return [same, without_effect] if diff.config else [same]
    parts = []
    pairs = [pair for pair in diff.layers if pair.a and pair.b]
    for name, words in _WORDS.items():
        changed = diff.with_changed(name)
        if not changed or (name == "lr_scale" and diff.with_changed("lr")):
            continue
        if name == "layer_id" and not (diff.a.has_layers and diff.b.has_layers):
            parts.append(f"layers in {'A' if diff.a.has_layers else 'B'} only")
        elif name in ("lr", "lr_scale") and has_layers(diff):
            layers = [pair for pair in pairs if any(name in c.settings for c in pair.changes)]
            parts.append(f"{words} in {len(layers)} of {plural(len(pairs), 'layer')}")
        else:
            parts.append(f"{words} for {len(changed):,} of {plural(diff.compared, 'parameter')}")
    for status, count in Counter((c.a, c.b) for c in diff.status).items():
        parts.append(f"{plural(count, 'parameter')} {status[0]} in A and {status[1]} in B")
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


def names_of_sides(diff: PlanDiff) -> tuple[str, str]:
    """What the sides are called; the second only by what sets it apart, if that is an edit."""
    a, b = printable(diff.a.config), printable(diff.b.config)
    return a, b.removeprefix(f"{a} ") if b.startswith(f"{a} with ") else b


def in_words(diff: PlanDiff) -> list[str]:
    """What the difference does to training, a sentence each, for a reader in a hurry."""
    config = _config(diff).rows
    verbs = {ADDED: " is new:", REMOVED: " is gone, it was", CHANGED: ":"}
    lines = [f"{r.cells[0]}{verbs[r.marker]} {r.cells[1]}" for r in config[:MOST_SENTENCES]]
    if len(config) > MOST_SENTENCES:
        lines.append(f"{plural(len(config) - MOST_SENTENCES, 'more config entry')} of the table")
    lines += [*_lr_in_words(diff), *_weight_decay_in_words(diff)]
    one_sided = _only_on_one_side(diff, every_parameter=False)
    return lines + [f"{r.cells[0]}: {r.cells[2]}" for r in one_sided.rows]


#: More entries of a config than this are cut.
MOST_SENTENCES = 8


def _lr_in_words(diff: PlanDiff) -> list[str]:
    """Where lr is lower, where it is higher, and by how much."""
    sentences = []
    pairs = [pair for pair in diff.layers if pair.a and pair.b]
    for word, sign in (("lower", -1), ("higher", 1)):
        lines = []
        for pair in pairs:
            a, b = (pair.a and pair.a.lr) or 0.0, (pair.b and pair.b.lr) or 0.0
            if any("lr" in c.settings for c in pair.changes) and (b - a) * sign > 0:
                lines.append(_Line(pair, ()))
        if not lines:
            continue
        where = f"in {len(lines)} of {plural(len(pairs), 'layer')}"
        places = [f" in layer {_numbers([line], 'layer_id', _whole)}" for line in lines]
        if not has_layers(diff):
            where = f"for {plural(sum(len(line.pair.changes) for line in lines), 'parameter')}"
            places = [""] * len(lines)
        first, last = (f"{lines[i].ratio('lr')}{places[i]}" for i in (0, -1))
        if len({line.ratio("lr") for line in lines}) == 1:
            first = last = lines[0].ratio("lr")
        sentences.append(f"lr is {word} {where}: {first if first == last else f'{first} … {last}'}")
    return sentences


def _weight_decay_in_words(diff: PlanDiff) -> list[str]:
    """Which parameters lose it, which get it, and which get another."""
    groups: dict[Pair, list[str]] = defaultdict(list)
    for change in diff.with_changed("weight_decay"):
        groups[_decay_cell(change)].append(change.a.name)
    verbs = {True: "is now applied to", False: "is another for"}
    return [
        f"weight decay {'is no longer applied to' if cell.b == '0' else verbs[cell.a == '0']} "
        f"{plural(len(names), 'parameter')} ({cell}): {_patterns(names)}"
        for cell, names in groups.items()
    ]


def has_layers(diff: PlanDiff) -> bool:
    """Whether the constructor of either side knows layers."""
    return diff.a.has_layers or diff.b.has_layers


def sections(diff: PlanDiff, *, every_layer: bool, every_parameter: bool) -> list[Section]:
    """The tables of a diff that have something to say.

    Args:
        diff: what to show.
        every_layer: also the layers that do not differ.
        every_parameter: a row for each parameter, in the place of patterns.
    """
    found = [_config(diff), _layers(diff, every_layer)]
    found += [_parameters(diff)] if every_parameter else [_weight_decay(diff), _moved(diff)]
    found += [_only_on_one_side(diff, every_parameter), _extras(diff), _shapes(diff)]
    return [section for section in found if section.rows]


def _config(diff: PlanDiff) -> Section:
    rows = [Row(_marker(change.a, change.b), _config_cells(change)) for change in diff.config]
    return Section("config", ("key", "value"), tuple(rows), wide=("value",), stacked=True)


def _config_cells(change: ConfigChange) -> tuple[Cell, Cell]:
    key = printable(change.key)
    if change.a is None or change.b is None:
        return key, value(change.b if change.a is None else change.a)
    return key, _distinct(partial(_value, change.a), partial(_value, change.b))


def _value(content: object, digits: int) -> str:
    number = isinstance(content, float) and not content.is_integer()
    return setting(content, max(6, digits)) if number else value(content)  # type: ignore[arg-type]


def _marker(a: object, b: object) -> str:
    return ADDED if a is None else REMOVED if b is None else CHANGED


def _layers(diff: PlanDiff, everything: bool) -> Section:
    """A row for each layer that differs, or for every layer; runs of like ones are one row."""
    shown = [pair for pair in diff.layers if everything or pair.differs]
    modules = largest_modules([_names(pair.a, pair.b) for pair in shown], diff.rows)
    lines = [_Line(pair, tuple(own)) for pair, own in zip(shown, modules, strict=True)]
    runs = [list(run) for _, run in groupby(lines, key=lambda line: line.pattern)]
    columns: dict[str, list[Cell]] = {
        "layer": [_numbers(run, "layer_id", _whole) for run in runs],
        "contents": [", ".join(folded(m for line in run for m in line.modules)) for run in runs],
        "lr": [_numbers(run, "lr", lr) for run in runs],
        "×": [run[0].ratio("lr") for run in runs],
        "lr_scale": [_numbers(run, "lr_scale", significant) for run in runs],
        "weight decay": [run[0].weight_decay for run in runs],
    }
    differing = {name for line in lines for change in line.pair.changes for name in change.settings}
    if not has_layers(diff):
        del columns["layer"]
    if "lr" not in differing:
        del columns["×"]
    for name, title in (("lr_scale", "lr_scale"), ("weight_decay", "weight decay")):
        if name not in differing and not everything:
            del columns[title]
    cells = zip(*columns.values(), strict=True)
    rows = tuple(Row(run[0].marker, row) for run, row in zip(runs, cells, strict=True))
    return Section("layers", tuple(columns), rows, wide=("contents", "lr", "weight decay"))


def _names(*layers: Layer | None) -> list[str]:
    return list(dict.fromkeys(p.name for layer in layers if layer for p in layer.parameters))


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
        tensors = [layer and layer.num_tensors for layer in (self.pair.a, self.pair.b)]
        a, b = self.values("layer_id")
        shift = None if a is None or b is None else b - a
        ratios = self.ratio("lr"), self.ratio("lr_scale")
        return self.marker, names, tensors, shift, ratios, self.weight_decay

    @cached_property
    def weight_decay(self) -> str:
        """`0.05 → 0 ×8`; where nothing differs what there is, `0.05 ×4 · 0 ×8`."""
        changes = [c for c in self.pair.changes if "weight_decay" in c.settings]
        if changes:
            changed = Counter(str(_decay_cell(c)) for c in changes)
            return "\n".join(f"{text} ×{count}" for text, count in changed.most_common())
        layer = self.pair.a or self.pair.b
        counts = layer.weight_decays.most_common() if layer else []
        return " · ".join(f"{setting(decay)} ×{count}" for decay, count in counts)

    def values(self, name: str) -> tuple[Any, Any]:
        """A setting of either layer, None where there is no layer."""
        a, b = (layer and getattr(layer, name) for layer in (self.pair.a, self.pair.b))
        return a, b

    def ratio(self, name: str) -> str:
        """What B's setting is of A's."""
        a, b = self.values(name)
        if a == b or not a or b is None or not math.isfinite(b / a):
            return ""
        return f"×{_distinct(partial(significant, 1.0), partial(significant, b / a)).b}"


def _numbers(run: Sequence[_Line], name: str, form: Callable[[Any, int], str]) -> Cell:
    """A setting of a run of layers, from … to; on both sides where it differs."""
    pairs = [(line.pair.a, line.pair.b) for line in run]
    a, b = ([getattr(layer, name) for layer in side if layer] for side in zip(*pairs, strict=True))
    if not a or not b or a == b:
        return _range(a or b, form, 3)
    return _distinct(partial(_range, a, form), partial(_range, b, form))


def _range(values: Sequence[Any], form: Callable[[Any, int], str], digits: int) -> str:
    first, last = form(values[0], digits), form(values[-1], digits)
    return first if first == last else f"{first}–{last}"


def _whole(number: int | None, digits: int) -> str:
    return "–" if number is None else str(number)


def _distinct(a: Callable[[int], str], b: Callable[[int], str]) -> Pair:
    """Two numbers with as many digits as it takes to tell them apart, at least three."""
    texts = (Pair(a(digits), b(digits)) for digits in range(3, 18))
    return next((pair for pair in texts if pair.a != pair.b), Pair(a(17), b(17)))


def _decay_cell(change: ParameterChange) -> Pair:
    a, b = change.a.weight_decay, change.b.weight_decay
    return _distinct(partial(setting, a), partial(setting, b))


def _weight_decay(diff: PlanDiff) -> Section:
    """The parameters whose weight decay differs, by what it was, what it is, and why."""
    groups: dict[Hashable, list[ParameterChange]] = defaultdict(list)
    for change in diff.with_changed("weight_decay"):
        reasons = (_why(side.reason.weight_decay) for side in (change.a, change.b))
        groups[(_decay_cell(change), *reasons)].append(change)
    rows = []
    for changes in sorted(groups.values(), key=len, reverse=True):
        a, b = (_why(side.reason.weight_decay) for side in (changes[0].a, changes[0].b))
        why = "" if a == b == _UNKNOWN else a if a == b else str(Pair(a, b))
        names = _patterns(change.a.name for change in changes)
        cells = (_decay_cell(changes[0]), str(len(changes)), names + (f"\n{why}" if why else ""))
        rows.append(Row(CHANGED, cells))
    titles = ("weight decay", "tensors", "parameters")
    return Section("weight decay", titles, tuple(rows), wide=("parameters",))


_UNKNOWN = "reason unknown"


def _why(reason: Reason) -> str:
    short = {"base": "no rule", "constructor": _UNKNOWN}
    return short.get(reason.rule) or rule_text(reason)


def _patterns(names: Iterable[str]) -> str:
    return ", ".join(patterns(names, _MOST_PATTERNS))


def _moved(diff: PlanDiff) -> Section:
    """The parameters that are in another layer, where both sides know layers."""
    groups: dict[Pair, list[str]] = defaultdict(list)
    for change in diff.with_changed("layer_id"):
        if diff.a.has_layers and diff.b.has_layers:
            groups[_layer_cell(change)].append(change.a.name)
    return _by_change("layer", "moved between layers", groups, partial(_modules, diff))


def _modules(diff: PlanDiff, names: Sequence[str]) -> str:
    """The largest modules whose parameters these all are."""
    plans = (diff.a, diff.b)
    everything = {p.name for x in plans for p in x.parameters}
    everything |= {p.name for x in plans for p in (*x.frozen, *x.left_out)}
    (modules,) = largest_modules([names], [names, everything.difference(names)])
    return ", ".join(folded(modules))


def _layer_cell(change: ParameterChange) -> Pair:
    return Pair(_whole(change.a.layer_id, 0), _whole(change.b.layer_id, 0))


def _extras(diff: PlanDiff) -> Section:
    """The parameters whose groups have other entries that are no settings."""
    groups: dict[Pair, list[str]] = defaultdict(list)
    for change in diff.with_changed("extras"):
        groups[Pair(_entries(change.a.extras), _entries(change.b.extras))].append(change.a.name)
    return _by_change("group entries", "other group entries", groups, _patterns)


def _entries(extras: dict[str, Any]) -> str:
    return ", ".join(f"{printable(k)} {value(v)}" for k, v in extras.items()) or "none"


def _shapes(diff: PlanDiff) -> Section:
    groups: dict[Pair, list[str]] = defaultdict(list)
    for one in diff.reshaped:
        groups[Pair(shape(one.a), shape(one.b))].append(one.name)
    return _by_change("shape", "other shapes", groups, _patterns)


def _by_change(
    what: str, title: str, groups: dict[Pair, list[str]], naming: Callable[[Sequence[str]], str]
) -> Section:
    """A row for each change, with the parameters that it is of; the rarest ones in one row."""
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    rows = [Row(CHANGED, (cell, str(len(names)), naming(names))) for cell, names in ordered]
    if len(rows) > _MOST_GROUPS:
        others = [name for _, names in ordered[_MOST_GROUPS - 1 :] for name in names]
        rows[_MOST_GROUPS - 1 :] = [Row(CHANGED, ("others", str(len(others)), naming(others)))]
    return Section(title, (what, "tensors", "parameters"), tuple(rows), wide=("parameters",))


def _only_on_one_side(diff: PlanDiff, every_parameter: bool) -> Section:
    """Parameters that one side does not have, or does not train."""
    groups: dict[tuple[str, str], list[str]] = {
        (REMOVED, "only in A"): [p.name for p in diff.removed],
        (ADDED, "only in B"): [p.name for p in diff.added],
    }
    for change in diff.status:
        marker = ADDED if change.b == "trained" else REMOVED if change.a == "trained" else CHANGED
        groups.setdefault((marker, str(Pair(change.a, change.b))), []).append(change.name)
    rows = []
    for (marker, what), names in groups.items():
        if every_parameter:
            rows += [Row(marker, (what, "1", printable(name))) for name in names]
        elif names:
            rows.append(Row(marker, (what, str(len(names)), _modules(diff, names))))
    titles = ("where", "tensors", "parameters")
    return Section("trained on one side", titles, tuple(rows), wide=("parameters",))


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
    rows = tuple(
        Row(CHANGED, (printable(c.a.name),
                      *(cells[name](c) if name in c.settings else "" for name in shown)))
        for c in diff.changed if set(c.settings) & set(shown)
    )  # fmt: skip
    titles = {"weight_decay": "weight decay", "layer_id": "layer"}
    columns = ("parameter", *(titles.get(name, name) for name in shown))
    return Section("every parameter that differs", columns, rows, wide=("parameter",), stacked=True)

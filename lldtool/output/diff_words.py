"""PlanDiff -> what differs in words: a summary, and sentences for a pull request."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial

from lldtool.analysis.config_changes import ConfigChange
from lldtool.analysis.diff import LayerPair, ParameterChange, PlanDiff
from lldtool.output.diff_cells import (
    ADDED,
    REMOVED,
    PairOfLayers,
    differs,
    distinct,
    entry_cells,
    layer_ids,
    marker_of,
    parameter_cell,
    ratio_text,
)
from lldtool.output.diff_tables import (
    MOST_GROUPS,
    TITLES,
    moved_between_layers,
    moved_between_optimizers,
    not_on_both_sides,
    optimizer_settings,
    rows_of,
    starts,
    states,
)
from lldtool.output.document import Cell, Pair, Section
from lldtool.output.states import state_word
from lldtool.plan import LayerId
from lldtool.text import count, layer_name, lr, plural

#: More sentences about entries of the config than these are cut.
_MOST_SENTENCES = 8
_WORDS = {
    "optimizer": "optimizer differs",
    "lr": "lr differs",
    "lr_scale": "lr_scale differs",
    "weight_decay": "weight decay differs",
    "layer_id": "layer differs",
    "extras": "other optimizer settings differ",
    "start": "start differs",
}


def summary(diff: PlanDiff) -> list[str]:
    """Return what kinds of difference there are, those of lr first; or that there is none."""
    if diff.identical:
        names = [TITLES.get(name, name) for name in diff.looked_at if name != "extras"]
        what = " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:]))) or "shapes"
        same = f"identical {what} of {plural(diff.compared, 'parameter')}"
        without_effect = f"{plural(len(diff.config), 'config entry')} without effect on them"
        return [same, without_effect] if diff.config else [same]
    parts = [
        f"{plural(number, 'tensor')} {state_word(a)} → {state_word(b)}"
        for (a, b), number in Counter((c.a, c.b) for c in diff.status).items()
    ]
    parts += [_model_size(diff)] if _model_size(diff) else []
    for name, words in _WORDS.items():
        changed = diff.with_changed(name)
        if name == "lr_scale" and diff.with_changed("lr"):
            continue
        if name in ("lr", "lr_scale") and diff.has_layers:
            parts += [f"{words} in {_of_layers(diff, name)}"] if changed else []
        elif name == "layer_id" and changed and not diff.both_have_layers:
            parts.append(f"{'B' if diff.a.has_layers else 'A'} has no layers")
        elif changed:
            parts.append(f"{words} for {len(changed):,} of {plural(diff.compared, 'parameter')}")
    for parameters, what in (
        (diff.removed, "only in A"), (diff.added, "only in B"), (diff.reshaped, "of another shape")
    ):  # fmt: skip
        if parameters:
            parts.append(f"{plural(len(parameters), 'parameter')} {what}")
    parts += schedule_in_words(diff)
    acting = [change.key for change in diff.config if change.acts]
    if len(acting) == 1:
        parts.append(f"{acting[0]} differs")
    elif acting:
        parts.append(f"{len(acting)} entries of model, optimizer or wrapper differ")
    return parts


def _model_size(diff: PlanDiff) -> str:
    """`86.6 M → 304 M parameters`, where the models are of two sizes."""
    a, b = diff.a.model.numel, diff.b.model.numel
    return "" if a == b else f"{distinct(partial(_count, a), partial(_count, b))} parameters"


def _count(number: int, digits: int) -> str:
    return count(number) if digits <= 3 else f"{number:,}"


def _of_layers(diff: PlanDiff, name: str) -> str:
    """`13 of 14 layers`: those in which a setting differs, of those that both sides have."""
    ids = {_layer_of(diff, pair) for pair in diff.shared_layers}
    differing = {_layer_of(diff, p) for p in diff.shared_layers if differs(p, name)}
    shared = "shared " if {_layer_of(diff, pair) for pair in diff.layers} > ids else ""
    return f"{len(differing)} of {plural(len(ids), f'{shared}layer')}"


def _layer_of(diff: PlanDiff, pair: LayerPair) -> LayerId | None:
    """Return the layer that a pair belongs to, of the side that has more of them."""
    b_first = len(diff.b.layer_ids) > len(diff.a.layer_ids)
    sides = (pair.b, pair.a) if b_first else (pair.a, pair.b)
    return next((x.layer_id for x in sides if x and x.layer_id is not None), None)


def names_of_sides(diff: PlanDiff) -> tuple[str, str]:
    """What the sides are called; the second only by what sets it apart, if that is an edit."""
    a, b = diff.a.config, diff.b.config
    return a, b.removeprefix(f"{a} ") if b.startswith(f"{a} with ") else b


def schedule_in_words(diff: PlanDiff) -> list[str]:
    """Return where the lrs begin to differ, and what the first and last layer end with."""
    found = diff.schedule
    if found is None or found.identical:
        return []
    words = ["the schedule differs"]
    if found.first is not None:
        unit, at, name = found.first
        since = f"{name} first differs after {unit} {at:,g}"
        words.append(since if at else f"{name} differs from the start")
    for end in dict.fromkeys((*found.ends[:1], *found.ends[-1:])):
        which = end.parameter if end.layer_id is None else f"layer {layer_name(end.layer_id)}"
        cell = distinct(partial(lr, end.a), partial(lr, end.b))
        words.append(f"{which} ends at {cell}")
    return words


def in_words(diff: PlanDiff) -> list[str]:
    """Return what the difference does to training, a sentence each, for a reader in a hurry."""
    entries = [_entry_in_words(change) for change in diff.config]
    if len(entries) > _MOST_SENTENCES:
        more = len(entries) - _MOST_SENTENCES
        entries[_MOST_SENTENCES:] = [f"{plural(more, 'more config entry')}, in the table below"]
    sentences = [f"{x[1]}: {x[2]} tensors, {x[3]}" for x in _cells(states(diff))]
    sentences += [*entries, *_lr_in_words(diff), *_weight_decay_in_words(diff)]
    sentences += [f"{x[1]}: {x[3]}" for x in _cells(not_on_both_sides(diff))]
    moved = (moved_between_optimizers(diff), moved_between_layers(diff), starts(diff))
    for section in (*moved, optimizer_settings(diff)):
        sentences += [f"{section.title}, {x[1]}: {x[3]}" for x in _cells(section)]
    return sentences


def _cells(section: Section) -> Iterator[Sequence[Cell]]:
    return (row.cells for row in rows_of(section))


def all_in_words(diff: PlanDiff) -> bool:
    """Return whether no entry of the config was left out of the sentences."""
    return len(diff.config) <= _MOST_SENTENCES


def _entry_in_words(change: ConfigChange) -> str:
    key, cell = entry_cells(change)
    verb = {ADDED: " is new:", REMOVED: " is gone, it was"}.get(marker_of(change.a, change.b), ":")
    return f"{key}{verb} {cell}"


def _lr_in_words(diff: PlanDiff) -> list[str]:
    """Return where lr is lower, where it is higher, and by how much."""
    lines = [PairOfLayers(pair, ()) for pair in diff.shared_layers]
    sentences = []
    for word, is_so in (("lower", float.__lt__), ("higher", float.__gt__)):
        moved = [line for line in lines if line.lr_ratio and is_so(line.lr_ratio, 1.0)]
        if not moved:
            continue
        where = f"for {plural(sum(len(line.pair.changes) for line in moved), 'parameter')}"
        places = [""] * len(moved)
        if diff.has_layers:
            where = f"in {plural(len({_layer_of(diff, line.pair) for line in moved}), 'layer')}"
            places = [f" in layer {layer_ids([line])}" for line in moved]
        ratios = [f"×{ratio_text(line.lr_ratio)}" for line in moved]
        how_much = f"from {ratios[0]}{places[0]} to {ratios[-1]}{places[-1]}"
        sentences.append(
            f"lr is {word} {where}: {ratios[0] if len(set(ratios)) == 1 else how_much}"
        )
    return sentences


def _weight_decay_in_words(diff: PlanDiff) -> list[str]:
    """Return what kinds of parameters lose it, get it, or get another."""
    groups: dict[Pair, list[ParameterChange]] = defaultdict(list)
    for change in diff.with_changed("weight_decay"):
        groups[parameter_cell(change, "weight_decay")].append(change)
    sentences = []
    for cell, changes in list(groups.items())[:MOST_GROUPS]:
        kinds = Counter(f"{c.b.module_type}.{c.b.name.rpartition('.')[2]}" for c in changes)
        shown = [f"{kind} ×{n}" for kind, n in kinds.most_common(MOST_GROUPS)]
        if len(kinds) > MOST_GROUPS:
            shown.append(f"{plural(len(kinds) - MOST_GROUPS, 'more kind')}")
        verb = "no longer applies to" if cell.b == "0" else "changes for"
        sentences.append(
            f"weight decay {'now applies to' if cell.a == '0' else verb} "
            f"{plural(len(changes), 'parameter')}, {cell}: {', '.join(shown)}"
        )
    return sentences

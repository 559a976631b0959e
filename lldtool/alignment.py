"""Which layers of several plans belong together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from lldtool.plan import Layer, Plan

#: An index into the layers of each plan; None where a plan has nothing of a row.
_Place = tuple[int | None, ...]


def align(plans: Sequence[Plan], *, join: bool = False) -> list[tuple[Layer | None, ...]]:
    """Rows of what is in one layer in every plan: a layer for each plan, None where it has none.

    Layers belong together that hold the same parameters; each has only those of its row. A layer
    that shares no parameter with another plan stands beside the layers of the same depth where
    the plans are equally deep, or else alone. Rows are in the order of the layers.

    Args:
        plans: any number of them.
        join: put what only some plans have into a row of its layer, and not into one of its own.
    """
    layers = [plan.layers for plan in plans]
    where = [{p.name: i for i, x in enumerate(xs) for p in x.parameters} for xs in layers]
    rows: dict[_Place, list[str]] = defaultdict(list)
    names = list(dict.fromkeys(chain(*where)))
    places = zip(*(map(index.get, names) for index in where), strict=True)
    for name, place in zip(names, places, strict=True):
        rows[place].append(name)
    if join:
        rows = _joined(rows)
    if all({_depth(x) for x in xs} == {_depth(x) for x in layers[0]} for xs in layers):
        rows = _side_by_side(rows, layers)
    return [_row(row, set(rows[row]), layers) for row in _ordered(rows)]


def _joined(rows: Mapping[_Place, list[str]]) -> dict[_Place, list[str]]:
    """Rows with gaps put into those that they agree with, the larger ones first."""
    joined: dict[_Place, list[str]] = {}
    for place in sorted(rows, key=lambda place: (place.count(None), -len(rows[place]))):
        _merge(
            joined, next((row for row in joined if _agree(row, place)), None), place, rows[place]
        )
    return joined


def _side_by_side(
    rows: Mapping[_Place, list[str]], layers: Sequence[Sequence[Layer]]
) -> dict[_Place, list[str]]:
    """Layers that share nothing with another plan put beside those of the same depth."""
    times = Counter((n, i) for row in rows for n, i in enumerate(row) if i is not None)
    merged: dict[_Place, list[str]] = {}
    free: list[_Place] = []  # rows of merged that others may be put beside
    for place, names in rows.items():
        own = [(n, i) for n, i in enumerate(place) if i is not None]
        is_free = None in place and all(times[one] == 1 for one in own)
        depths = {_depth(layers[n][i]) for n, i in own}
        found = None
        if is_free:
            found = next(
                (r for r in free if _apart(r, place) and _depths(r, layers) == depths), None
            )
            free = [row for row in free if row != found]
        place = _merge(merged, found, place, names)
        free += [place] * is_free
    return merged


def _merge(
    rows: dict[_Place, list[str]], row: _Place | None, place: _Place, names: list[str]
) -> _Place:
    """Put what is at a place into a row, or into a new one where there is none."""
    own = rows.pop(row) if row is not None else []
    if row is not None:
        place = tuple(y if x is None else x for x, y in zip(row, place, strict=True))
    rows[place] = own + names
    return place


def _agree(row: _Place, place: _Place) -> bool:
    """Whether some plan has both in one layer, and none has them in two."""
    both = [(x, y) for x, y in zip(row, place, strict=True) if x is not None and y is not None]
    return bool(both) and all(x == y for x, y in both)


def _apart(row: _Place, place: _Place) -> bool:
    """Whether no plan has both."""
    return all(x is None or y is None for x, y in zip(row, place, strict=True))


def _depth(layer: Layer) -> int | str:
    """The layer's id; the module that it is where no layers are known."""
    return layer.parameters[0].top_level_module if layer.layer_id is None else layer.layer_id


def _depths(place: _Place, layers: Sequence[Sequence[Layer]]) -> set[int | str]:
    return {_depth(layers[n][i]) for n, i in enumerate(place) if i is not None}


def _ordered(rows: Collection[_Place]) -> list[_Place]:
    """The rows of the plan with the most layers in its order, those of others put in between."""
    ordered: list[_Place] = []
    counts = [sum(i is not None for i in column) for column in zip(*rows, strict=True)]
    for n in sorted(range(len(counts)), key=lambda n: -counts[n]):
        placed = set(ordered)
        own = [(i, row) for row in rows if (i := row[n]) is not None and row not in placed]
        own.sort(key=lambda item: (item[0], [-1 if i is None else i for i in item[1]]))
        if not ordered:
            ordered = [row for _, row in own]
            continue
        for index, row in own:
            later = (k for k, o in enumerate(ordered) if (i := o[n]) is not None and i > index)
            ordered.insert(next(later, len(ordered)), row)
    return ordered


def _row(
    row: _Place, names: Collection[str], layers: Sequence[Sequence[Layer]]
) -> tuple[Layer | None, ...]:
    """The layers of a row with the parameters that belong to it."""
    found = [None if i is None else layers[n][i] for n, i in enumerate(row)]
    return tuple(narrowed(layer, names.__contains__) for layer in found)


def narrowed(layer: Layer | None, only: Callable[[str], bool]) -> Layer | None:
    """The layer with the parameters of these names; None where there are none."""
    parameters = tuple(p for p in layer.parameters if only(p.name)) if layer else ()
    return replace(layer, parameters=parameters) if layer and parameters else None

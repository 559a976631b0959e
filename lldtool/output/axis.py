"""Comparison -> where a picture has its layers, and what it shows at each place."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lldtool.analysis.roles import BLOCK
from lldtool.output.comparison import Comparison
from lldtool.plan import Layer


@dataclass(frozen=True)
class Axis:
    """Where a picture has the rows: a place for each of them in each plan, and what is written.

    `ticks` are labels of places. Where rows have labels or names, each has a whole number from 0,
    and a line has a gap at those of `gaps` that its plan has nothing for; else the place is the
    depth, from 0 to 1. `unit` is how far apart layers are.
    """

    title: str
    ticks: Mapping[float, str]
    places: Sequence[Sequence[float]]
    gaps: Sequence[float] = ()
    unit: float = 1.0


def axis_of(comparison: Comparison) -> Axis:
    """Return the places of the rows of a comparison."""
    by_depth = comparison.alignment.by == "depth"
    return _depth_axis(comparison) if by_depth else _label_axis(comparison)


def _label_axis(comparison: Comparison) -> Axis:
    """Return a place for each label, and for each row without one, told by its contents."""
    rows = zip(comparison.alignment.labels, comparison.contents, strict=True)
    keys = [(label, "" if label else contents) for label, contents in rows]
    place_of = {key: float(place) for place, key in enumerate(dict.fromkeys(keys))}
    ticks = {
        place: label.removeprefix(f"{BLOCK} ") or contents
        for (label, contents), place in place_of.items()
        # Among blocks, the name of a module is too long for an axis.
        if label or comparison.alignment.by != "role"
    }
    numbers = "layer, 0 is the stem" if "0" in ticks.values() else "layer"
    titles = {"layer_id": numbers, "role": "stem, blocks by number, head"}
    return Axis(
        titles.get(comparison.alignment.by, ""),
        ticks=ticks,
        places=[[place_of[key] for key in keys]] * len(comparison.plans),
        gaps=list(place_of.values()),
    )


def _depth_axis(comparison: Comparison) -> Axis:
    """Return the depth of each row in each plan; modules without a layer id are spread evenly."""
    places = []
    for n, (plan, depths) in enumerate(
        zip(comparison.plans, comparison.alignment.depths, strict=True)
    ):
        modules = list(dict.fromkeys(p.top_level_module for p in plan.parameters))
        spread = {m: i / max(1, len(modules) - 1) for i, m in enumerate(modules)}
        places.append([
            math.nan if x is None
            else spread[x.parameters[0].top_level_module] if x.layer_id is None
            else depths[x.layer_id]
            for x in (row[n] for row in comparison.rows)
        ])  # fmt: skip
    return Axis(
        "relative depth: 0 % is the stem, 100 % the last layer",
        ticks={part / 4: f"{part * 25} %" for part in range(5)},
        places=places,
        unit=1 / max(map(len, comparison.alignment.depths)),
    )


#: A place and an lr; NaN where a line has a gap.
_Points = list[tuple[float, float | None]]


def points_of(
    places: Sequence[float], layers: Sequence[Layer | None], gaps: Iterable[float]
) -> tuple[_Points, _Points]:
    """Return the points of a plan's line, with gaps where it has nothing, and those beside it.

    Of layers in one place, as of two lrs in a block, the line goes through the largest.
    """
    by_place: dict[float, list[Layer]] = defaultdict(list)
    for place, layer in zip(places, layers, strict=True):
        if layer is not None and layer.trained:
            by_place[place].append(layer)
    line: dict[float, float | None] = dict.fromkeys(gaps, math.nan)
    others: _Points = []
    for place, own in by_place.items():
        largest, *rest = sorted(own, key=lambda layer: -layer.num_tensors)
        line[place] = largest.lr
        others += [(place, layer.lr) for layer in rest]
    return sorted(line.items(), key=lambda point: point[0]), others


def weight_decay_differs(comparison: Comparison) -> list[list[int]]:
    """Return for each plan how many tensors of each row have not the first plan's weight decay."""
    found = []
    for number, diff in enumerate(comparison.diffs):
        names = {change.a.name for change in diff.with_changed("weight_decay")}
        layers = [row[number] for row in comparison.rows]
        own = [{p.name for p in layer.parameters} if layer else set() for layer in layers]
        found.append([len(names & there) for there in own])
    return found

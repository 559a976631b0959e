"""Plans -> rows of their layers: those with the same parameters or the same role share a row."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Literal

from lldtool.analysis.roles import BLOCK, HEAD, STEM, Roles, roles_of
from lldtool.plan import Layer, LayerId, Plan, layer_order
from lldtool.text import layer_name

#: A layer of each plan, None where the plan has nothing of the row.
Row = tuple[Layer | None, ...]
#: The same as indices into the layers of each plan.
_Indices = tuple[int | None, ...]
#: A parameter's name or a layer's role; where two plans have the same, their layers match.
_Match = Hashable
#: What the rows have in common.
AlignedBy = Literal["layer_id", "role", "depth", "name"]


@dataclass(frozen=True)
class Alignment:
    """Rows of layers with the same role in several plans, in the order of the layers.

    `labels` are the layer ids of the rows where all plans agree on them (`by` is `layer_id`), or
    else roles: `stem`, `block 3`, `head`; empty where neither is known. `by` is `depth` where
    models of different structure are in order of relative depth, and `name` where neither ids nor
    blocks are known. `depths` has for each plan the depth of each layer id, from 0, the stem, to 1,
    the highest layer.
    """

    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    by: AlignedBy
    depths: tuple[Mapping[LayerId, float], ...]


def align(plans: Sequence[Plan]) -> list[Row]:
    """Return rows of the same parameters: those that are in one layer in every plan.

    A layer has only the parameters of its row, and is None where a plan trains none of them.
    """
    rows = _rows([_layer_of_each_name(plan) for plan in plans])
    depths = _relative_depths(plans, [roles_of(plan) for plan in plans])
    return _in_order(rows, plans, depths, keep_together=not _are_of_one_model(plans))


def align_roles(plans: Sequence[Plan]) -> Alignment:
    """Return rows of layers that have the same role in every plan.

    Parameters of the same name have the same role, and so have stem, head and blocks of the same
    number where the models have the same blocks, and modules of the same name where no layers are
    known. What only some plans have joins the row of its layer where that is in one row.
    """
    roles = [roles_of(plan) for plan in plans]
    pairs = list(zip(plans, roles, strict=True))
    rows = _rows(
        [_layer_of_each_name(plan) | _layer_of_each_role(plan, own) for plan, own in pairs]
    )
    labels = [
        [None if x.layer_id is None else own.labels.get(x.layer_id) for x in plan.layers]
        for plan, own in pairs
    ]
    depths = _relative_depths(plans, roles)
    ordered = _in_order(_joined(rows, labels), plans, depths, keep_together=False)
    found = [row for row in ordered if any(row)]
    by, shown = _labels(found, plans, roles)
    return Alignment(tuple(found), tuple(shown), by, tuple(depths))


def _labels(
    rows: Sequence[Row], plans: Sequence[Plan], roles: Sequence[Roles]
) -> tuple[AlignedBy, list[str]]:
    layered = [own for plan, own in zip(plans, roles, strict=True) if plan.has_layers]
    unlike = not all(a.alike(b) for a, b in combinations(layered, 2))
    if layered and not unlike and _same_ids(rows, layered):
        ids = [next((x.layer_id for x in row if x and x.layer_id is not None), "") for row in rows]
        return "layer_id", [layer_name(i) for i in ids]
    labels = [_role(row, roles) for row in rows]
    has_blocks = any(label.startswith(BLOCK) for label in labels)
    return "depth" if unlike else "role" if has_blocks else "name", labels


def _same_ids(rows: Iterable[Row], roles: Sequence[Roles]) -> bool:
    """Whether a layer id means the same in every plan."""
    ids = [{x.layer_id for x in row if x and x.layer_id is not None} for row in rows]
    labels: dict[LayerId, set[str]] = defaultdict(set)
    for layer_id, label in chain.from_iterable(own.labels.items() for own in roles):
        labels[layer_id].add(label)
    return all(len(own) <= 1 for own in ids) and all(len(own) == 1 for own in labels.values())


def _role(row: Row, roles: Sequence[Roles]) -> str:
    """The role that the plans agree on, or the only layer id; nothing where there is neither."""
    ids = [x.layer_id if x else None for x in row]
    found = {own.labels[i] for own, i in zip(roles, ids, strict=True) if i in own.labels}
    found = found or {f"layer {layer_name(i)}" for i in ids if i is not None}
    return found.pop() if len(found) == 1 else ""


def _relative_depths(plans: Sequence[Plan], roles: Sequence[Roles]) -> list[dict[LayerId, float]]:
    """For each plan layer id -> depth from 0, the stem, to 1, the highest layer.

    Plans of one model, of which each may train another part, have the same depths.
    """
    ids = [plan.layer_ids for plan in plans]
    if _are_of_one_model(plans):
        ids = [layer_order(chain(*ids))] * len(plans)
    depths = []
    for own, labels in zip(ids, (own.labels for own in roles), strict=True):
        names = {layer_id for layer_id in own if isinstance(layer_id, str)}
        # Numbers are depths by themselves; where a layer has a name, the order counts.
        positions: dict[LayerId, float] = {
            layer_id: i if names or isinstance(layer_id, str) else layer_id
            for i, layer_id in enumerate(own)
        }
        stem = next((depth for i, depth in positions.items() if labels.get(i) == STEM), None)
        first = min([0, *positions.values()]) if stem is None else stem
        extent = max(1, max(positions.values(), default=0) - first)
        depths.append({i: (depth - first) / extent for i, depth in positions.items()})
    return depths


def _are_of_one_model(plans: Sequence[Plan]) -> bool:
    return len({frozenset(p.name for p in plan.every_parameter) for plan in plans}) < 2


# Rows


def _layer_of_each_name(plan: Plan) -> dict[_Match, int]:
    return {p.name: i for i, layer in enumerate(plan.layers) for p in layer.parameters}


def _layer_of_each_role(plan: Plan, roles: Roles) -> dict[_Match, int]:
    """Return the roles that one layer only has: two lrs in a block make two layers."""
    found: list[_Match | None] = []
    for layer in plan.layers:
        if layer.layer_id is None:
            found.append(("module", layer.parameters[0].top_level_module))
        else:
            label = roles.labels.get(layer.layer_id)
            found.append(label and (label, None if label in (STEM, HEAD) else roles.blocks))
    number = Counter(found)
    return {role: i for i, role in enumerate(found) if role and number[role] == 1}


def _rows(layer_of: Sequence[Mapping[_Match, int]]) -> dict[_Indices, list[_Match]]:
    """Group what is in one layer in every plan, by those layers."""
    rows: dict[_Indices, list[_Match]] = defaultdict(list)
    for match in dict.fromkeys(chain(*layer_of)):
        rows[tuple(own.get(match) for own in layer_of)].append(match)
    return rows


def _joined(
    rows: Mapping[_Indices, list[_Match]], labels: Sequence[Sequence[str | None]]
) -> dict[_Indices, list[_Match]]:
    """Join rows with gaps to the only row that they agree with, the larger ones first.

    Nothing joins a row of layers with several roles, as the end of a stage can be.
    """
    joined: dict[_Indices, list[_Match]] = {}
    containing: dict[tuple[int, int], set[_Indices]] = defaultdict(set)  # plan, layer -> rows
    for row in sorted(rows, key=lambda row: (row.count(None), -len(rows[row]))):
        matches, into = list(rows[row]), row
        near = {other for at in _layers_of(row) for other in containing[at]} if None in row else ()
        agreeing = [other for other in near if _agree(other, row)]
        if len(agreeing) == 1 and _has_one_role(agreeing[0], labels):
            (other,) = agreeing
            matches = joined.pop(other) + matches
            for at in _layers_of(other):
                containing[at].remove(other)
            into = tuple(y if x is None else x for x, y in zip(other, row, strict=True))
        joined[into] = matches
        for at in _layers_of(into):
            containing[at].add(into)
    return joined


def _layers_of(row: _Indices) -> list[tuple[int, int]]:
    """Return the plans that a row has something of, each with its layer."""
    return [(n, i) for n, i in enumerate(row) if i is not None]


def _has_one_role(row: _Indices, labels: Sequence[Sequence[str | None]]) -> bool:
    return len({labels[n][i] for n, i in _layers_of(row)} - {None}) <= 1


def _agree(row: _Indices, other: _Indices) -> bool:
    """Whether some plan has both in one layer, and none has them in two."""
    both = [(x, y) for x, y in zip(row, other, strict=True) if x is not None and y is not None]
    return bool(both) and all(x == y for x, y in both)


def narrowed(layer: Layer | None, only: Callable[[str], bool]) -> Layer | None:
    """Return the layer with the parameters of these names; None where there are none."""
    parameters = tuple(p for p in layer.parameters if only(p.name)) if layer else ()
    return replace(layer, parameters=parameters) if layer and parameters else None


# Their order


def _in_order(
    rows: Mapping[_Indices, Collection[_Match]],
    plans: Sequence[Plan],
    depths: Sequence[Mapping[LayerId, float]],
    *,
    keep_together: bool,
) -> list[Row]:
    """Return the rows with the layers of each plan in its order, as far as the plans agree on one.

    Where that leaves a choice, the row of the lowest depth comes first; with `keep_together` rows
    of the same plans stay together.
    """
    known = _depths_of_rows(rows, plans, depths)

    def key(row: _Indices) -> tuple[object, ...]:
        gaps, depth = [i is None for i in row], max(known[row])
        own = [math.inf if i is None else i for i in row]
        return (gaps, depth, own) if keep_together else (depth, -sum(gaps), own)

    waiting = dict.fromkeys(sorted(rows, key=key))
    left = [Counter(i for r in rows if (i := r[n]) is not None) for n in range(len(plans))]
    ordered: list[Row] = []
    while waiting:
        first = [min(own, default=None) for own in left]  # the next layer of each plan
        free = (r for r in waiting if all(i in (None, f) for i, f in zip(r, first, strict=True)))
        row = next(free, None)
        if row is None:  # plans contradict each other: what one of them has first
            firsts = (
                r for n, f in enumerate(first) for r in waiting if f is not None and r[n] == f
            )
            row = min(firsts, key=lambda row: min(known[row]))
        del waiting[row]
        for n, i in _layers_of(row):
            left[n] -= Counter([i])
        names = set(rows[row])
        layers = (None if i is None else plans[n].layers[i] for n, i in enumerate(row))
        ordered.append(tuple(narrowed(layer, names.__contains__) for layer in layers))
    return ordered


def _depths_of_rows(
    rows: Mapping[_Indices, Iterable[_Match]],
    plans: Sequence[Plan],
    depths: Sequence[Mapping[LayerId, float]],
) -> dict[_Indices, list[float]]:
    """Return the depth of each row in the plans that know it, else of what follows in a model."""
    known: dict[_Indices, list[float]] = {}
    for row in rows:
        ids = [(n, plans[n].layers[i].layer_id) for n, i in _layers_of(row)]
        known[row] = [depths[n][i] for n, i in ids if i is not None]
    row_of = {match: row for row, matches in rows.items() for match in matches}
    unknown = {row: math.inf for row, own in known.items() if not own}
    for plan in plans:
        following = math.inf
        for p in reversed(plan.parameters):
            row = row_of[p.name]
            following = max(known[row], default=following)
            if row in unknown:
                unknown[row] = following
    return known | {row: [depth] for row, depth in unknown.items()}

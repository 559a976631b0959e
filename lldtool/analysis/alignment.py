"""Which layers of several plans stand in one row, and in which order."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Literal

from lldtool.analysis.roles import BLOCK, HEAD, STEM, Roles, roles_of
from lldtool.plan import Layer, LayerId, Plan, layer_order
from lldtool.text import layer_name

#: A layer for each plan, None where it has nothing of the row.
Row = tuple[Layer | None, ...]
#: The same as indices into the layers of each plan.
_Place = tuple[int | None, ...]
#: A parameter's name or a layer's role: what has the same one in two plans belongs together.
_Token = Hashable
#: What the rows are told by.
AlignedBy = Literal["layer_id", "role", "depth", "name"]


@dataclass(frozen=True)
class Alignment:
    """Rows of what has one role in several plans, in the order of the layers.

    `labels` are the layer ids of the rows where every plan has the same (`by` is `layer_id`), or
    else roles: `stem`, `block 3`, `head`; empty where neither is known. `by` is `depth` where
    models of different structure stand in order of relative depth; only what has the same role in
    both shares a row. It is `name` where neither ids nor blocks are known. `depths`
    has for each plan the depth of each layer id, from 0, the stem, to 1, the highest layer.
    """

    rows: tuple[Row, ...]
    labels: tuple[str, ...]
    by: AlignedBy
    depths: tuple[Mapping[LayerId, float], ...]


def align(plans: Sequence[Plan]) -> list[Row]:
    """Return rows of the same parameters: those that are in one layer in every plan.

    A layer has only the parameters of its row, and is None where a plan trains none of them.
    """
    layers = [plan.layers for plan in plans]
    rows = _rows([_layer_of_each_name(plan) for plan in plans])
    depths = _relative_depths(plans, [roles_of(plan) for plan in plans])
    ordered = _in_order(rows, plans, depths, runs=not _are_of_one_model(plans))
    return [_narrowed_row(row, rows[row], layers) for row in ordered]


def align_roles(plans: Sequence[Plan]) -> Alignment:
    """Return rows of layers that have the same role in every plan.

    Parameters of the same name have the same role, and so have stem, head and blocks of the same
    number where the models have the same blocks, and modules of the same name where no layers are
    known. What only some plans have is put into the row of its layer where that is in one row.
    """
    roles = [roles_of(plan) for plan in plans]
    layer_of = [
        _layer_of_each_name(plan) | _layer_of_each_role(plan, own)
        for plan, own in zip(plans, roles, strict=True)
    ]
    layers = [plan.layers for plan in plans]
    labels = [
        [own.labels.get(x.layer_id) if x.layer_id is not None else None for x in plan.layers]
        for plan, own in zip(plans, roles, strict=True)
    ]
    rows = _joined(_rows(layer_of), labels)
    depths = _relative_depths(plans, roles)
    ordered = _in_order(rows, plans, depths, runs=False)
    found = [_narrowed_row(place, rows[place], layers) for place in ordered]
    found = [row for row in found if any(row)]
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
    for own, labels in zip(map(_places, ids), (own.labels for own in roles), strict=True):
        stem = next((place for i, place in own.items() if labels.get(i) == STEM), None)
        lowest, highest = min(own.values(), default=0), max(own.values(), default=0)
        first = min(0, lowest) if stem is None else stem
        depths.append({i: (place - first) / max(1, highest - first) for i, place in own.items()})
    return depths


def _places(ids: Sequence[LayerId]) -> dict[LayerId, float]:
    """The layers by their numbers; all by their order where one has a name."""
    in_order: dict[LayerId, float] = {layer_id: n for n, layer_id in enumerate(ids)}
    numbers: dict[LayerId, float] = {i: i for i in ids if not isinstance(i, str)}
    return numbers if len(numbers) == len(ids) else in_order


def _are_of_one_model(plans: Sequence[Plan]) -> bool:
    return len({frozenset(p.name for p in plan.every_parameter) for plan in plans}) < 2


# Rows


def _layer_of_each_name(plan: Plan) -> dict[_Token, int]:
    return {p.name: i for i, layer in enumerate(plan.layers) for p in layer.parameters}


def _layer_of_each_role(plan: Plan, roles: Roles) -> dict[_Token, int]:
    """What a layer is, where the plan has one such layer: two lrs in a block make two."""
    tokens: list[_Token | None] = []
    for layer in plan.layers:
        if layer.layer_id is None:
            tokens.append(("module", layer.parameters[0].top_level_module))
            continue
        label = roles.labels.get(layer.layer_id)
        is_block = label not in (STEM, HEAD)
        tokens.append(label and (label, roles.blocks if is_block else None))
    number = Counter(tokens)
    return {token: i for i, token in enumerate(tokens) if token and number[token] == 1}


def _rows(layer_of: Sequence[Mapping[_Token, int]]) -> dict[_Place, list[_Token]]:
    """What is in one layer in every plan, by the layers that it is in."""
    rows: dict[_Place, list[_Token]] = defaultdict(list)
    for token in dict.fromkeys(chain(*layer_of)):
        rows[tuple(own.get(token) for own in layer_of)].append(token)
    return rows


def _joined(
    rows: Mapping[_Place, list[_Token]], labels: Sequence[Sequence[str | None]]
) -> dict[_Place, list[_Token]]:
    """Rows with gaps put into the only row that they agree with, the larger ones first.

    A row that is in layers of several roles, as the end of a stage can be, takes nothing up.
    """
    joined: dict[_Place, list[_Token]] = {}
    joined_with: dict[tuple[int, int], set[_Place]] = defaultdict(set)  # plan, layer -> rows
    for place in sorted(rows, key=lambda place: (place.count(None), -len(rows[place]))):
        near = set().union(*(joined_with[at] for at in _layers_of(place))) if None in place else ()
        agreeing = [row for row in near if _agree(row, place)]
        tokens = list(rows[place])
        if len(agreeing) == 1 and _has_one_role(agreeing[0], labels):
            tokens = joined.pop(agreeing[0]) + tokens
            for at in _layers_of(agreeing[0]):
                joined_with[at].remove(agreeing[0])
            place = tuple(y if x is None else x for x, y in zip(agreeing[0], place, strict=True))
        joined[place] = tokens
        for at in _layers_of(place):
            joined_with[at].add(place)
    return joined


def _layers_of(row: _Place) -> list[tuple[int, int]]:
    """The plans, and the layer of each, that a row has something of."""
    return [(n, i) for n, i in enumerate(row) if i is not None]


def _has_one_role(row: _Place, labels: Sequence[Sequence[str | None]]) -> bool:
    found = {labels[n][i] for n, i in enumerate(row) if i is not None}
    return len(found - {None}) <= 1


def _agree(row: _Place, place: _Place) -> bool:
    """Whether some plan has both in one layer, and none has them in two."""
    both = [(x, y) for x, y in zip(row, place, strict=True) if x is not None and y is not None]
    return bool(both) and all(x == y for x, y in both)


def _narrowed_row(
    place: _Place, tokens: Collection[_Token], layers: Sequence[Sequence[Layer]]
) -> Row:
    """The layers of a row with the parameters that belong to it."""
    names = set(tokens)
    found = [None if i is None else layers[n][i] for n, i in enumerate(place)]
    return tuple(narrowed(layer, names.__contains__) for layer in found)


def narrowed(layer: Layer | None, only: Callable[[str], bool]) -> Layer | None:
    """The layer with the parameters of these names; None where there are none."""
    parameters = tuple(p for p in layer.parameters if only(p.name)) if layer else ()
    return replace(layer, parameters=parameters) if layer and parameters else None


# Their order


def _in_order(
    rows: Mapping[_Place, Iterable[_Token]],
    plans: Sequence[Plan],
    depths: Sequence[Mapping[LayerId, float]],
    *,
    runs: bool,
) -> list[_Place]:
    """The rows with the layers of each plan in its order, as far as the plans agree on one.

    Where that leaves a choice, the row of the lowest depth comes first; with `runs` those that the
    same plans have stay together.
    """
    known = _depths_of_rows(rows, plans, depths)

    def key(row: _Place) -> tuple[object, ...]:
        own = [math.inf if i is None else i for i in row]
        one_sided_first = (max(known[row]), -row.count(None))
        return ([i is None for i in row], max(known[row]), own) if runs else (one_sided_first, own)

    left = [_rows_of_layers(sorted(rows, key=key), n) for n in range(len(plans))]
    coming = [deque(own) for own in left]
    ordered: list[_Place] = []
    while len(ordered) < len(rows):
        near = {n: (own[0], left[n][own[0]]) for n, own in enumerate(coming) if own}
        free = _free_rows(near)
        # Where plans contradict each other, what one of them has first.
        others = chain.from_iterable(own for _, own in near.values())
        row = min(free, key=key) if free else min(others, key=lambda row: min(known[row]))
        ordered.append(row)
        for n, i in _layers_of(row):
            left[n][i].remove(row)
            while coming[n] and not left[n][coming[n][0]]:
                coming[n].popleft()
    return ordered


def _free_rows(near: Mapping[int, tuple[int, Sequence[_Place]]]) -> list[_Place]:
    """The first row of each plan's next layer that no other plan has something before."""
    layer = {n: i for n, (i, _) in near.items()}

    def is_free(row: _Place) -> bool:
        return all(i in (None, layer.get(n)) for n, i in enumerate(row))

    return [row for _, own in near.values() if (row := next(filter(is_free, own), None))]


def _depths_of_rows(
    rows: Mapping[_Place, Iterable[_Token]],
    plans: Sequence[Plan],
    depths: Sequence[Mapping[LayerId, float]],
) -> dict[_Place, list[float]]:
    """The depth of each row in the plans that know it; else that of what comes next in a model."""
    known: dict[_Place, list[float]] = {}
    for row in rows:
        ids = [i if i is None else plans[n].layers[i].layer_id for n, i in enumerate(row)]
        known[row] = [depths[n][i] for n, i in enumerate(ids) if i is not None]
    row_of = {token: row for row, tokens in rows.items() for token in tokens}
    unknown = {row: math.inf for row, own in known.items() if not own}
    for plan in plans:
        following = math.inf
        for p in reversed(plan.parameters):
            row = row_of[p.name]
            following = max(known[row], default=following)
            if row in unknown:
                unknown[row] = following
    return known | {row: [depth] for row, depth in unknown.items()}


def _rows_of_layers(rows: Iterable[_Place], plan: int) -> dict[int, list[_Place]]:
    """Layer of a plan -> the rows that it is in, the first layer first."""
    found: dict[int, list[_Place]] = defaultdict(list)
    for row in rows:
        i = row[plan]
        if i is not None:
            found[i].append(row)
    return dict(sorted(found.items()))

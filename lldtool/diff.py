"""Plan × Plan -> PlanDiff: what differs in what two configs do. Plain data, no torch."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from lldtool.plan import Layer, Parameter, Plan, UntrainedParameter

#: What can differ of a parameter that both plans train. `extras` are other entries of its group.
SETTINGS = ("lr", "lr_scale", "weight_decay", "layer_id", "extras")


class ConfigChange(NamedTuple):
    """An entry of the config, by its dotted key, that the two sides have not in common.

    None is also what a side has that lacks the entry. `acts` tells whether training differs by it
    beyond what parameters and their settings show: an entry of `paramwise_cfg` works through those
    alone.
    """

    key: str
    a: Any
    b: Any
    acts: bool


class ParameterChange(NamedTuple):
    """A parameter that both train, and which of `SETTINGS` differ."""

    a: Parameter
    b: Parameter
    settings: tuple[str, ...]


class StatusChange(NamedTuple):
    """A parameter of both models that is `trained`, `frozen` or `left out`, each of them another.

    Left out is one that needs a gradient and is in no param group.
    """

    name: str
    a: str
    b: str


class Reshaped(NamedTuple):
    """A parameter of both models that has another shape."""

    name: str
    a: tuple[int, ...]
    b: tuple[int, ...]


class LayerPair(NamedTuple):
    """Parameters that are in one layer on each side; None where a side has none of them.

    `differs` tells whether anything of them does, `changes` are those that both sides train.
    A layer whose parameters are in two layers of the other side is in two pairs.
    """

    a: Layer | None
    b: Layer | None
    changes: tuple[ParameterChange, ...]
    differs: bool


@dataclass(frozen=True)
class PlanDiff:
    """What differs between two plans; parameters are told by their names, in any order.

    `added` and `removed` are in the model of one side only. `compared` counts the parameters that
    both train.
    """

    a: Plan
    b: Plan
    config: tuple[ConfigChange, ...]
    layers: tuple[LayerPair, ...]
    changed: tuple[ParameterChange, ...]
    added: tuple[Parameter | UntrainedParameter, ...]
    removed: tuple[Parameter | UntrainedParameter, ...]
    status: tuple[StatusChange, ...]
    reshaped: tuple[Reshaped, ...]
    compared: int
    #: The names of all parameters of each pair of layers, compared or not.
    rows: tuple[tuple[str, ...], ...]

    @cached_property
    def identical(self) -> bool:
        """Whether both configs do the same; the entries that they say it with may differ."""
        parameters = (self.changed, self.added, self.removed, self.status, self.reshaped)
        return not any(parameters) and not any(change.acts for change in self.config)

    def with_changed(self, setting: str) -> list[ParameterChange]:
        """The parameters that this setting differs for."""
        return [change for change in self.changed if setting in change.settings]


def diff_plans(
    a: Plan,
    b: Plan,
    *,
    ignore: Collection[str] = (),
    rtol: float = 0.0,
    only: Callable[[str], bool] | None = None,
) -> PlanDiff:
    """Compare what two configs do.

    Args:
        a: the one side.
        b: the other.
        ignore: which of `SETTINGS` may differ.
        rtol: the relative tolerance of numbers; 0 for exactly equal.
        only: whether to compare the parameter of this name.
    """
    in_a, in_b = _by_name(a, only), _by_name(b, only)
    looked_at = [setting for setting in SETTINGS if setting not in ignore]
    changed, status, reshaped = list[ParameterChange](), list[StatusChange](), list[Reshaped]()
    compared = 0
    for name, (p, status_a) in in_a.items():
        if name not in in_b:
            continue
        q, status_b = in_b[name]
        if p.shape != q.shape:
            reshaped.append(Reshaped(name, p.shape, q.shape))
        if status_a != status_b:
            status.append(StatusChange(name, status_a, status_b))
        elif isinstance(p, Parameter) and isinstance(q, Parameter):
            compared += 1
            settings = _differing(p, q, looked_at, rtol)
            if settings:
                changed.append(ParameterChange(p, q, settings))
    rows = align([a, b])
    return PlanDiff(
        a=a,
        b=b,
        config=tuple(_config_changes(a, b, rtol)),
        layers=tuple(_layer_pairs(rows, only, changed)),
        changed=tuple(changed),
        added=tuple(p for name, (p, _) in in_b.items() if name not in in_a),
        removed=tuple(p for name, (p, _) in in_a.items() if name not in in_b),
        status=tuple(status),
        reshaped=tuple(reshaped),
        compared=compared,
        rows=tuple(tuple(_names(x) | _names(y)) for x, y in rows),
    )


#: Tells whether the parameter of a name is to be compared; None for all of them.
_Only = Callable[[str], bool] | None


def _by_name(plan: Plan, only: _Only) -> dict[str, tuple[Parameter | UntrainedParameter, str]]:
    """Name -> parameter and what becomes of it, of the whole model."""
    lists = (("trained", plan.parameters), ("frozen", plan.frozen), ("left out", plan.left_out))
    return {
        p.name: (p, status)
        for status, parameters in lists
        for p in parameters
        if only is None or only(p.name)
    }


def _differing(
    p: Parameter, q: Parameter, looked_at: Iterable[str], rtol: float
) -> tuple[str, ...]:
    settings = []
    for name in looked_at:
        x, y = getattr(p, name), getattr(q, name)
        if x != y and not _equal(x, y, rtol):
            settings.append(name)
    return tuple(settings)


def _equal(a: object, b: object, rtol: float) -> bool:
    """Whether two values of a plan are the same; NaN is the same as NaN."""
    if a == b:
        return True
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return (a != a and b != b) or (rtol > 0 and math.isclose(a, b, rel_tol=rtol))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_equal(x, y, rtol) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key], rtol) for key in a)
    return False


def _config_changes(a: Plan, b: Plan, rtol: float) -> Iterator[ConfigChange]:
    entries_a, entries_b = _entries(a), _entries(b)
    paths = list({**entries_a, **entries_b})
    parts = list(dict.fromkeys(path[:2] for path in paths))
    for path in sorted(paths, key=lambda path: parts.index(path[:2])):
        x, y = entries_a.get(path), entries_b.get(path)
        if not _equal(x, y, rtol) and _is_known(path, a, b):
            acts = not any(path[: len(start)] == start for start in _THROUGH_PARAMETERS)
            yield ConfigChange(".".join(path), x, y, acts)


#: Entries that do nothing but give parameters their settings.
_THROUGH_PARAMETERS = (
    ("optim_wrapper", "constructor"),
    ("optim_wrapper", "paramwise_cfg"),
    ("optim_wrapper", "optimizer", "lr"),
    ("optim_wrapper", "optimizer", "weight_decay"),
    ("auto_scale_lr",),
)


def _entries(plan: Plan) -> dict[tuple[str, ...], Any]:
    """Path -> value of what a plan has of its config."""
    optimizer = {"type": plan.optimizer.type, "lr": plan.optimizer.lr}
    optimizer |= {"weight_decay": plan.optimizer.weight_decay, **(plan.optimizer.options or {})}
    config = {
        "model": {"type": plan.model.type, "backbone": {"type": plan.model.backbone}},
        "optim_wrapper": {
            "type": plan.optim_wrapper.type,
            "optimizer": optimizer,
            "constructor": plan.constructor.type,
            "paramwise_cfg": plan.constructor.paramwise_cfg,
            **(plan.optim_wrapper.options or {}),
        },
        "auto_scale_lr": plan.auto_scale_lr,
    }
    return dict(_flat(config))


def _flat(
    content: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, (*path, key))
        elif value != {} or path[-1:] == ("custom_keys",):  # an empty custom key is one as well
            yield (*path, key), value


def _is_known(path: tuple[str, ...], a: Plan, b: Plan) -> bool:
    """Whether both plans would have recorded the entry, had the config it.

    An older lldtool recorded no options, and another torch or mmengine has more or fewer of them.
    What only one class knows and does not do is not worth a word beside that they are two classes.
    """
    of_optimizer = path[:2] == ("optim_wrapper", "optimizer")
    name = path[2] if of_optimizer else path[-1] if len(path) == 1 else path[1]
    one, other = ((p.optimizer if of_optimizer else p.optim_wrapper) for p in (a, b))
    options, others = one.options or {}, other.options or {}
    if (name in options) == (name in others):
        return True
    if one.options is None or other.options is None:
        return False
    if one.type != other.type:
        return bool({**options, **others}[name])
    return a.versions == b.versions


def _names(layer: Layer | None) -> dict[str, None]:
    return dict.fromkeys(p.name for p in layer.parameters) if layer else {}


def _layer_pairs(
    rows: Iterable[tuple[Layer | None, ...]],
    only: _Only,
    changed: Iterable[ParameterChange],
) -> Iterator[LayerPair]:
    changes = {change.a.name: change for change in changed}
    for row in rows:
        x, y = row if only is None else (_narrowed(layer, only) for layer in row)
        if x or y:
            own = tuple(changes[name] for name in _names(x) if name in changes)
            yield LayerPair(x, y, own, bool(own) or _names(x).keys() != _names(y).keys())


def _narrowed(layer: Layer | None, only: Callable[[str], bool]) -> Layer | None:
    parameters = tuple(p for p in layer.parameters if only(p.name)) if layer else ()
    return replace(layer, parameters=parameters) if layer and parameters else None


#: An index into the layers of each plan; None where a plan has nothing of a row.
_Place = tuple[int | None, ...]


def align(plans: Sequence[Plan]) -> list[tuple[Layer | None, ...]]:
    """Rows of what is in one layer in every plan: a layer for each plan, None where it has none.

    Layers belong together that hold the same parameters; each has only those of its row. What
    only some plans have joins a row of its layer. A layer of which no other plan has a parameter
    stands beside the layers of the same depth where the plans are equally deep, or else alone.
    Rows are in the order of the layers.
    """
    layers = [plan.layers for plan in plans]
    where = [{p.name: i for i, x in enumerate(xs) for p in x.parameters} for xs in layers]
    members: dict[_Place, list[str]] = defaultdict(list)
    for name in dict.fromkeys(name for index in where for name in index):
        members[tuple(index.get(name) for index in where)].append(name)
    equally_deep = all({_depth(x) for x in xs} == {_depth(x) for x in layers[0]} for xs in layers)
    rows: dict[_Place, list[str]] = {}
    # Complete ones first, then the larger, so that what only one plan has finds its row.
    for place in sorted(members, key=lambda place: (place.count(None), -len(members[place]))):
        found = next((row for row in rows if _agree(row, place)), None)
        if found is None and equally_deep:
            beside = (row for row in rows if _are_apart(row, place))
            depth = _depths(place, layers)
            found = next((row for row in beside if _depths(row, layers) == depth), None)
        names = rows.pop(found) if found is not None else []
        merged = place if found is None else _merged(found, place)
        rows[merged] = names + members[place]
    return [_row(row, set(rows[row]), layers) for row in _ordered(rows)]


def _agree(row: _Place, place: _Place) -> bool:
    """Whether some plan has both in one layer, and none has them in two."""
    both = [(x, y) for x, y in zip(row, place, strict=True) if x is not None and y is not None]
    return bool(both) and all(x == y for x, y in both)


def _are_apart(row: _Place, place: _Place) -> bool:
    """Whether no plan has both."""
    return all(x is None or y is None for x, y in zip(row, place, strict=True))


def _merged(row: _Place, place: _Place) -> _Place:
    return tuple(y if x is None else x for x, y in zip(row, place, strict=True))


def _depth(layer: Layer) -> int | str:
    """The layer's id; the module that it is where no layers are known."""
    return layer.parameters[0].top_level_module if layer.layer_id is None else layer.layer_id


def _depths(place: _Place, layers: Sequence[Sequence[Layer]]) -> set[int | str]:
    return {_depth(layers[n][i]) for n, i in enumerate(place) if i is not None}


def _ordered(rows: Iterable[_Place]) -> list[_Place]:
    """The rows of the plan with the most layers in its order, those of others put in between."""
    rows = list(rows)
    ordered: list[_Place] = []
    counts = [sum(row[n] is not None for row in rows) for n in range(len(rows[0]) if rows else 0)]
    for n in sorted(range(len(counts)), key=lambda n: -counts[n]):
        own = [(i, row) for row in rows if (i := row[n]) is not None and row not in ordered]
        own.sort(key=lambda item: (item[0], [-1 if i is None else i for i in item[1]]))
        for index, row in own:
            before = [k for k, o in enumerate(ordered) if (i := o[n]) is not None and i <= index]
            ordered.insert(before[-1] + 1 if before else 0, row)
    return ordered


def _row(
    row: _Place, names: Collection[str], layers: Sequence[Sequence[Layer]]
) -> tuple[Layer | None, ...]:
    """The layers of a row with the parameters that belong to it."""
    found = [None if i is None else layers[n][i] for n, i in enumerate(row)]
    return tuple(_narrowed(layer, names.__contains__) for layer in found)

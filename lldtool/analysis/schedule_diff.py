"""Plan × Plan -> what differs in their schedules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from lldtool.plan import Curve, LayerId, Plan, Schedule
from lldtool.plan.schedule import Unit

#: Relative difference of lrs that are the same but for rounding; and, as a part of the highest,
#: of those that a curve has between two steps.
_ROUNDING, _DRAWN = 1e-9, 0.01
#: Relative difference of lrs at the end that is worth a word.
_AT_END = 1e-3
#: Facts of the training that change what the optimizer does: the field of `Schedule` -> the key of
#: the config.
_FACTS = {
    "length": "train_cfg.{}",
    "epoch_length": "train_dataloader iterations",
    "ema": "custom_hooks.EMAHook",
}


class FirstDifference(NamedTuple):
    """The last step, an epoch or an iteration, up to which no setting differs; 0 for the start."""

    unit: Unit
    at: float
    setting: str


class End(NamedTuple):
    """The lrs that a layer ends with, which differ."""

    layer_id: LayerId | None
    parameter: str
    a: float
    b: float


class Fact(NamedTuple):
    """An entry of the config that differs, by its keys; None on the side that lacks it."""

    path: tuple[str, ...]
    a: Any
    b: Any


@dataclass(frozen=True)
class ScheduleDiff:
    """What differs between two schedules, apart from the settings that they start from.

    Attributes:
        identical: whether the training is the same.
        facts: the entries that differ, whether they change an lr or not.
        first: where the settings begin to differ; None where they never do, or it is not known.
        ends: the layers that end with another lr; empty where that is not known.
        needs_curves: whether there are curves to compare that were not stepped.
    """

    identical: bool
    facts: tuple[Fact, ...] = ()
    first: FirstDifference | None = None
    ends: tuple[End, ...] = ()
    needs_curves: bool = False


def diff_schedules(a: Plan, b: Plan) -> ScheduleDiff | None:
    """Compare the schedules of two plans; None where one has none.

    Args:
        a: the one side.
        b: the other.
    """
    x, y = a.schedule, b.schedule
    if x is None or y is None:
        return None
    facts = tuple(_facts(x, y))
    if not facts:  # equal digests, or only the settings that the schedulers start from differ
        return ScheduleDiff(identical=True)
    if not (x.curves and y.curves):
        return ScheduleDiff(False, facts, needs_curves=x.is_known and y.is_known)
    pairs = list(_pairs(a, b, x, y))
    acts = any(fact.path[0] != "param_scheduler" for fact in facts)
    same = x.exact == y.exact and all(_is_same(p, q) for p, q in pairs)
    if same and not acts:
        return ScheduleDiff(identical=True, facts=facts)
    return ScheduleDiff(False, facts, _first(pairs, x, y), tuple(_ends(a, b)))


def _facts(x: Schedule, y: Schedule) -> Iterator[Fact]:
    if x.by != y.by:
        yield Fact(("train_cfg", "by_epoch"), x.by == "epoch", y.by == "epoch")
    for name, key in _FACTS.items():
        p, q = getattr(x, name), getattr(y, name)
        is_known = name != "epoch_length" or not (p is None or q is None)
        if p != q and is_known:
            unit = f"max_{'epochs' if x.by == 'epoch' else 'iters'}"
            yield Fact(tuple(key.format(unit).split(".")), p, q)
    p, q = x.total_batch_size, y.total_batch_size
    if p != q and not (p is None or q is None):
        yield Fact(("batch size",), p, q)
    for i in range(max(len(x.schedulers), len(y.schedulers))):
        path = ("param_scheduler", str(i))
        one, other = ((s.schedulers[i : i + 1] or ({},))[0] for s in (x, y))
        if one.get("type") != other.get("type"):
            yield Fact(path, one or None, other or None)
            continue
        for option in {**one, **other}:
            if one.get(option) != other.get(option):
                yield Fact((*path, option), one.get(option), other.get(option))


def _pairs(a: Plan, b: Plan, x: Schedule, y: Schedule) -> Iterator[tuple[_Values, _Values]]:
    """Yield the curves of what both train, once for each pair of param groups.

    Those of the lr are relative to the lr before schedulers, which `PlanDiff` compares.
    """
    seen = set()
    others = {p.name: p for p in b.trained}
    settings = {curve.setting for curve in (*x.curves, *y.curves)}
    for p in a.trained:
        q = others.get(p.name)
        if q is None or (p.group, q.group) in seen:
            continue
        seen.add((p.group, q.group))
        for setting in settings:
            one, other = x.curve_of(p.group, setting), y.curve_of(q.group, setting)
            if one is not None and other is not None:
                bases = (p.lr or 1.0, q.lr or 1.0) if setting == "lr" else (1.0, 1.0)
                factors = one.factor(p.group) / bases[0], other.factor(q.group) / bases[1]
                yield _Values(one, factors[0]), _Values(other, factors[1])


class _Values(NamedTuple):
    curve: Curve
    factor: float

    def at(self, step: float) -> float:
        return self.curve.value_at(step) * self.factor


def _is_same(p: _Values, q: _Values) -> bool:
    """Whether two curves have the same steps and values."""
    if (p.curve.unit, p.curve.at) != (q.curve.unit, q.curve.at):
        return False
    values = zip(p.curve.value, q.curve.value, strict=True)
    return all(math.isclose(v * p.factor, w * q.factor, rel_tol=_ROUNDING) for v, w in values)


def _first(
    pairs: list[tuple[_Values, _Values]], x: Schedule, y: Schedule
) -> FirstDifference | None:
    """Return up to where the curves that begin alike stay alike."""
    found: list[tuple[float, bool, str]] = []  # the lr first, where several differ
    in_epochs = x.by == y.by == "epoch"
    for p, q in pairs:
        length_p, length_q = (
            s.length_of("epoch", v.curve.unit) or 1 if in_epochs else 1 for v, s in ((p, x), (q, y))
        )
        steps_p = {step / length_p: step for step in p.curve.at}
        steps_q = {step / length_q: step for step in q.curve.at}
        alike, peak = 0.0, max(map(abs, (*p.curve.value, *q.curve.value))) * p.factor
        last = min(max(steps_p), max(steps_q))
        for step in sorted(x for x in {*steps_p, *steps_q} if x <= last):
            is_exact = step in steps_p and step in steps_q
            v, w = p.at(step * length_p), q.at(step * length_q)
            if not math.isclose(v, w, rel_tol=_ROUNDING, abs_tol=0 if is_exact else peak * _DRAWN):
                found.append((alike, p.curve.setting != "lr", p.curve.setting))
                break
            alike = step if is_exact else alike
        else:
            ends = max(steps_p), max(steps_q)
            found += [(min(ends), False, "lr")] if ends[0] != ends[1] else []
    if not found:
        return None
    at, _, setting = min(found)
    return FirstDifference("epoch" if in_epochs else "iteration", at, setting)


def _ends(a: Plan, b: Plan) -> Iterator[End]:
    """Yield the layers of A that end with another lr in B, stem first."""
    layers = {p.name: layer for layer in b.layers for p in layer.trained}
    for layer in a.layers:
        p = next((p for p in layer.trained if p.name in layers), None)
        if p is None:
            continue
        one, other = a.end_lr(layer), b.end_lr(layers[p.name])
        if one is None or other is None:
            continue
        if not math.isclose(one, other, rel_tol=_AT_END):
            yield End(layer.layer_id, p.name, one, other)

"""The lr of every layer over the whole training, as the param schedulers set it."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import overload

from lldtool.plan import Curve, LayerId, Parameter, Plan, Schedule
from lldtool.text import plural

#: Relative tolerances: of lrs that a reader takes for equal,
_RTOL = 1e-6
#: of rounding from one step to the next,
_ROUNDING = 1e-14
#: of final lrs of layers that have lost their layer decay,
_TOGETHER = 0.01
#: and of an lr that has reached the target of a scheduler.
_REACHED = 0.05
#: Options of schedulers that are an lr in absolute numbers, for every param group.
TARGETS = ("eta_max", "eta_min")


@dataclass(frozen=True)
class SchedulerSpan:
    """One scheduler of the lr, from step `begin` until before step `end`.

    Steps are epochs where `by_epoch`, else iterations. `target` is an absolute lr that it takes
    every param group to, whatever the group's own lr, and `option` the config's name for it:
    `eta_min` or `eta_max`. `optimizer` is the key of its optimizer, of several.
    """

    scheduler: str
    begin: float
    end: float
    by_epoch: bool
    option: str | None = None
    target: float | None = None
    optimizer: str = ""


@dataclass(frozen=True, eq=False)
class LrCurve:
    """The lr of one layer, step by step.

    `parameters` are the names of those that have these lrs, `configured` is the lr that the
    constructor gave them. `lrs` has the lr that the optimizer takes each step with. `optimizer` is
    its key, of several.
    """

    layer_id: LayerId | None
    parameters: tuple[str, ...]
    configured: float
    lrs: Sequence[float]
    optimizer: str = ""

    @cached_property
    def lowest(self) -> float:
        """The lowest lr of the training."""
        return min(self.turns)

    @cached_property
    def highest(self) -> float:
        """The highest lr of the training."""
        return max(self.turns)

    @property
    def turns(self) -> Sequence[float]:
        """The lrs without those that are on a line between two others."""
        if isinstance(self.lrs, Samples):
            return [value * self.lrs.factor for value in self.lrs.curve.value]
        return self.lrs

    @property
    def identity(self) -> tuple[object, ...]:
        """What is the same where the lrs are."""
        if isinstance(self.lrs, Samples):
            return self.optimizer, self.lrs.curve, self.lrs.factor
        return self.optimizer, array("d", self.lrs).tobytes()


class Samples(Sequence[float]):
    """The value of every step, of which a plan's curve has some.

    Args:
        curve: of the plan.
        factor: on its values.
        steps: of the training.
    """

    def __init__(self, curve: Curve, factor: float, steps: int) -> None:
        self.curve, self.factor = curve, factor
        self._steps = steps

    def __len__(self) -> int:
        return self._steps

    @overload
    def __getitem__(self, step: int) -> float: ...
    @overload
    def __getitem__(self, step: slice) -> Sequence[float]: ...
    def __getitem__(self, step: int | slice) -> float | Sequence[float]:
        if isinstance(step, slice):
            return [self[i] for i in range(*step.indices(self._steps))]
        if not -self._steps <= step < self._steps:
            raise IndexError(step)
        return self.curve.value_at(step % self._steps) * self.factor


@dataclass(frozen=True)
class LrCurves:
    """The lr of every layer over a training.

    A step is one iteration; where the epoch length is not known, and no scheduler needs it, one
    epoch (`unit`). `epoch_length` is in iterations, `epochs` is None where the training is counted
    in iterations only. `curves` come stem first, one for all parameters of a layer with the same
    lrs. `spans` are the schedulers of the lr, in the config's order.
    """

    plan: Plan
    unit: str
    steps: int
    epochs: int | None
    epoch_length: int | None
    curves: tuple[LrCurve, ...]
    spans: tuple[SchedulerSpan, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def warmed_up(self) -> dict[str, int]:
        """Optimizer -> the last step of its warm-up, 0 where it has none.

        A warm-up lasts as long as the lr rises at first, and no longer than a scheduler that raises
        it and ends. An lr that rises to the very end has no warm-up.
        """
        found = {}
        for optimizer in dict.fromkeys(curve.optimizer for curve in self.curves):
            own = [curve for curve in self.curves if curve.optimizer == optimizer]
            lrs = max(own, key=lambda curve: curve.configured).lrs
            falls = (i for i in range(len(lrs) - 1) if not _is_above(lrs[i + 1], lrs[i], _ROUNDING))
            bounds = (
                self._first_step(span, span.end)
                for span in self.spans
                if span.begin == 0 and span.optimizer == optimizer
            )
            ends = (
                max(end - 1, end, key=lrs.__getitem__) for end in bounds if 0 < end < self.steps
            )
            raised = (step for step in ends if lrs[step] > lrs[0])
            found[optimizer] = min(filter(None, (next(falls, 0), next(raised, 0))), default=0)
        return found

    def _first_step(self, span: SchedulerSpan, bound: float) -> int:
        """Return the first step of the training that is not before a bound of a scheduler."""
        length = (self.steps_per_epoch or 1) if span.by_epoch else 1
        return math.ceil(min(bound, self.steps)) * length

    @cached_property
    def acting(self) -> tuple[SchedulerSpan, ...]:
        """The schedulers that begin before the training ends."""
        return tuple(s for s in self.spans if self._first_step(s, s.begin) < self.steps)

    @property
    def warm_up(self) -> int:
        """The last step of the longest warm-up, 0 where there is none."""
        return max(self.warmed_up.values(), default=0)

    def after_warm_up(self, curve: LrCurve) -> float:
        """Return the lr at the end of the warm-up."""
        return curve.lrs[self.warmed_up[curve.optimizer]]

    @property
    def steps_per_epoch(self) -> int | None:
        """The number of steps in an epoch; None where the training is not counted in epochs."""
        if self.epochs is None:
            return None
        return 1 if self.unit == "epoch" else self.epoch_length

    @cached_property
    def rising(self) -> frozenset[LrCurve]:
        """Those that end above the lr that they had after the warm-up."""
        return frozenset(c for c in self.curves if _is_above(c.lrs[-1], self.after_warm_up(c)))

    @cached_property
    def rising_again(self) -> frozenset[LrCurve]:
        """Those that rise after they have fallen."""
        return frozenset(curve for curve in self.curves if rises_again(curve.turns))

    @cached_property
    def converged(self) -> frozenset[LrCurve]:
        """Those that end within 1 % of another, not at 0, though the constructor set them apart.

        Where that happens the layer decay is lost.
        """
        ends = [curve for curve in self.curves if curve.lrs[-1]]
        return frozenset(
            a
            for a in ends
            for b in ends
            if _is_near(a.lrs[-1], b.lrs[-1]) and not _is_near(a.configured, b.configured)
        )

    @cached_property
    def rows(self) -> list[tuple[LrCurve, ...]]:
        """All, with identical neighbours in one row."""
        same = groupby(self.curves, lambda curve: curve.identity)
        return [tuple(curves) for _, curves in same]

    def why_rising(self) -> SchedulerSpan | None:
        """Return the scheduler that raises all rising lrs; None where that can't be told.

        After the warm-up they are below its target, and come nearer to it.
        """
        return self._scheduler_with(
            self.rising,
            lambda c, target: (
                self.after_warm_up(c) < c.lrs[-1] and not _is_above(c.lrs[-1], target)
            ),
        )

    def why_converged(self) -> SchedulerSpan | None:
        """Return the scheduler that takes all converged layers to one lr; None where it is unclear.

        They end at its target, or have reached it on the way.
        """
        return self._scheduler_with(
            self.converged, lambda c, target: _is_near(c.lrs[-1], target, _REACHED)
        ) or self._scheduler_with(
            self.converged, lambda c, target: _is_near(c.highest, target, _REACHED)
        )

    def _scheduler_with(
        self, curves: Collection[LrCurve], explains: Callable[[LrCurve, float], bool]
    ) -> SchedulerSpan | None:
        """Return the first scheduler of these lrs whose target explains all of them."""
        targets = ((span, span.target) for span in self.acting)
        return next(
            (
                span
                for span, target in targets
                if target is not None
                and all(c.optimizer == span.optimizer and explains(c, target) for c in curves)
            ),
            None,
        )

    def step_at(self, number: int) -> int | None:
        """Return the step that an epoch of this number begins with, or an iteration of it.

        The end of the training is its last step; None for what comes after it.
        """
        step = number * (self.steps_per_epoch or 1)
        return min(step, self.steps - 1) if step <= self.steps else None


def lr_curves(
    plan: Plan, lrs_of: Callable[[int], Sequence[float] | None] | None = None
) -> LrCurves:
    """Return the lrs of the layers of a plan.

    Args:
        plan: that has a schedule.
        lrs_of: returns the lrs of a param group in each step, None for one that has none; without
            it they are those of the plan's curves.
    """
    schedule = plan.schedule
    assert schedule is not None
    unit = "iteration" if schedule.iterations is not None else "epoch"
    steps = schedule.length if schedule.iterations is None else schedule.iterations
    if lrs_of is None:

        def lrs_of(group: int) -> Sequence[float] | None:
            curve = schedule.curve_of(group, "lr")
            return None if curve is None else Samples(curve, curve.factor(group), steps)

    notes = [*_scheduler_notes(schedule), *schedule.notes]
    if others := len(plan.parameters) - len(plan.trained) + len(plan.frozen):
        verb = "is" if others == 1 else "are"
        notes.insert(0, f"{plural(others, 'tensor')} {verb} not trained, and not shown")
    return LrCurves(
        plan=plan,
        unit=unit,
        steps=steps,
        epochs=schedule.length if schedule.by == "epoch" else None,
        epoch_length=schedule.epoch_length,
        curves=tuple(_curves(plan, lrs_of)),
        spans=tuple(spans_of(schedule)),
        notes=tuple(notes),
    )


def _curves(plan: Plan, lrs_of: Callable[[int], Sequence[float] | None]) -> Iterator[LrCurve]:
    groups: dict[int, LrCurve | None] = {}
    for layer in plan.layers:
        members: dict[tuple[object, ...], list[Parameter]] = defaultdict(list)
        first: dict[tuple[object, ...], LrCurve] = {}
        for p in layer.trained:
            if p.group not in groups:
                lrs = lrs_of(p.group)
                named = p.optimizer or ""
                groups[p.group] = LrCurve(None, (), 0.0, lrs, named) if lrs is not None else None
            curve = groups[p.group]
            if curve is not None and layer.lr is not None:
                members[curve.identity].append(p)
                first.setdefault(curve.identity, curve)
        for identity, own in members.items():
            names = tuple(p.name for p in own)
            lrs, optimizer = first[identity].lrs, first[identity].optimizer
            yield LrCurve(layer.layer_id, names, layer.lr or 0.0, lrs, optimizer)


def spans_of(schedule: Schedule) -> Iterator[SchedulerSpan]:
    """Yield the schedulers of the lr."""
    for options in schedule.schedulers:
        if options.get("param_name") != "lr":
            continue
        option = next((key for key in TARGETS if _is_positive(options.get(key))), None)
        by_epoch, length = bool(options.get("by_epoch", True)), 1.0
        if options.get("convert_to_iter_based") and schedule.epoch_length is not None:
            by_epoch, length = False, schedule.epoch_length
        yield SchedulerSpan(
            scheduler=options["type"],
            begin=_bound(options.get("begin"), 0) * length,
            end=_bound(options.get("end"), math.inf) * length,
            by_epoch=by_epoch,
            option=option,
            target=None if option is None else float(options[option]),
            optimizer=options.get("optimizer", ""),
        )


def _bound(value: object, default: float) -> float:
    return value if isinstance(value, (int, float)) else default


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0


def _scheduler_notes(schedule: Schedule) -> Iterator[str]:
    """Yield what a reader could not see from the numbers."""
    for options in schedule.schedulers:
        name, begin = options["type"], _bound(options.get("begin"), 0)
        by_epoch = options.get("by_epoch", True) and not options.get("convert_to_iter_based")
        length = schedule.length if options.get("by_epoch", True) else schedule.iterations
        if "monitor" in options:
            yield f"{name} waits for a metric to get worse; shown is a training where it does not"
        elif by_epoch and schedule.by == "iteration":
            yield f"{name} goes by epochs, which a training by iterations has none of: no step"
        elif length is not None and begin >= length:
            yield f"{name} begins after the end of the training: it does nothing"


def rises_again(lrs: Sequence[float]) -> bool:
    """Return whether an lr rises after it has fallen, by more than rounding does."""
    least = _RTOL * max(lrs)
    peak = lowest = lrs[0]
    for lr in lrs:
        if peak - lowest > least and lr - lowest > least:
            return True
        lowest = lr if lr > peak else min(lr, lowest)
        peak = max(lr, peak)
    return False


def _is_above(a: float, b: float, rel_tol: float = _RTOL) -> bool:
    return a - b > rel_tol * abs(b)


def _is_near(a: float, b: float, rel_tol: float = _TOGETHER) -> bool:
    return math.isclose(a, b, rel_tol=rel_tol)

"""The lr of every layer over the whole training, as the param schedulers set it."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from lldtool.analysis.samples import Samples
from lldtool.plan import LayerId, Plan

#: Relative tolerances: of lrs that a reader takes for equal,
_RTOL = 1e-6
#: of rounding from one step to the next,
_ROUNDING = 1e-14
#: of final lrs of layers that have lost their layer decay,
_TOGETHER = 0.01
#: and of an lr that has reached the target of a scheduler.
_REACHED = 0.05


@dataclass(frozen=True)
class SchedulerSpan:
    """One scheduler of the lr, from step `begin` until before step `end`.

    Steps are epochs where `by_epoch`, else iterations. `target` is an absolute lr that it takes
    every param group to, whatever the group's own lr, and `option` the config's name for it:
    `eta_min` or `eta_max`. `optimizer` is the key of its optimizer, of several. `ends_inside` tells
    that it steps within epochs and so ends at the very start of `end`, not an epoch before.
    """

    scheduler: str
    begin: float
    end: float
    by_epoch: bool
    option: str | None = None
    target: float | None = None
    optimizer: str = ""
    ends_inside: bool = False


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
        return self.lrs.kept if isinstance(self.lrs, Samples) else self.lrs

    @property
    def identity(self) -> tuple[object, ...]:
        """What is the same where the lrs are."""
        if isinstance(self.lrs, Samples):
            return self.optimizer, self.lrs.curve, self.lrs.factor
        return self.optimizer, array("d", self.lrs).tobytes()


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
            ends = (
                step
                for span in self.spans
                if span.begin == 0 and span.optimizer == optimizer
                for end in [self._first_step(span, span.end)]
                if 0 < end < self.steps
                for step in ((end,) if span.ends_inside else (end - 1, end))
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

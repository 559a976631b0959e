"""What the param schedulers make of every lr over the whole training, as plain data."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from lldtool.plan import LayerId, Plan

#: lrs nearer to each other than this are equal to a reader; the real ones are never changed.
_RTOL = 1e-6
#: What rounding may do to an lr from one step to the next.
_ROUNDING = 1e-14
#: Layers that end this near to each other have lost what set them apart.
_TOGETHER = 0.01
#: Near enough to what a scheduler takes every layer to.
_THERE = 0.05


@dataclass(frozen=True)
class Length:
    """How long the training is, where the user says it.

    `epoch_length` is in iterations; `dataset_size` in samples, which the config's batch size and
    the number of GPUs turn into iterations. `epochs` overrides the config's `max_epochs`, and its
    `max_iters` by as many iterations.
    """

    epoch_length: int | None = None
    dataset_size: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Stage:
    """One scheduler of the lr, from step `begin` until before step `end`.

    Steps are epochs where `by_epoch`, else iterations. `target` is an lr in absolute numbers that
    it takes every param group to, whatever the group's own is, and `option` what the config calls
    that: `eta_min` or `eta_max`. `optimizer` is the name of the one that it is for, of several.
    """

    scheduler: str
    begin: float
    end: float
    by_epoch: bool
    option: str | None = None
    target: float | None = None
    optimizer: str = ""


@dataclass(frozen=True, eq=False)
class Course:
    """The lr of one layer, step by step.

    `layer_id` is the layer's, as in the table of `inspect`. `parameters` are the names of those
    that follow this course. `configured` is the lr that the constructor gave them. `lrs` has an lr
    for each step, the one that the optimizer takes the step with. `optimizer` is its name, of
    several.
    """

    layer_id: LayerId | None
    parameters: tuple[str, ...]
    configured: float
    lrs: Sequence[float]
    optimizer: str = ""

    @cached_property
    def lowest(self) -> float:
        """The lowest lr of the training."""
        return min(self.lrs)

    @cached_property
    def highest(self) -> float:
        """The highest lr of the training."""
        return max(self.lrs)


@dataclass(frozen=True)
class Schedule:
    """The lr of every layer over a training.

    A step is one iteration; where the epoch length is not known, and no scheduler needs it, one
    epoch (`unit`). `epoch_length` is in iterations, `epochs` is None where the training is counted
    in iterations only. `courses` come stem first; what follows the very same course in one layer
    is one. `stages` are the schedulers of the lr, in the config's order.
    """

    plan: Plan
    unit: str
    steps: int
    epochs: int | None
    epoch_length: int | None
    courses: tuple[Course, ...]
    stages: tuple[Stage, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def warmed_up(self) -> dict[str, int]:
        """Optimizer -> the last step of its warm-up, 0 where it has none.

        That is as long as the lr rises at first, and no longer than a scheduler that raises it and
        ends. What rises to the very end is no warm-up.
        """
        found = {}
        for name in dict.fromkeys(course.optimizer for course in self.courses):
            own = [course for course in self.courses if course.optimizer == name]
            lrs = max(own, key=lambda course: course.configured).lrs
            falls = (i for i in range(len(lrs) - 1) if not _is_above(lrs[i + 1], lrs[i], _ROUNDING))
            ends = [next(falls, 0), *self._first_ends(name, lrs)]
            found[name] = min((end for end in ends if end), default=0)
        return found

    def _first_ends(self, optimizer: str, lrs: Sequence[float]) -> list[int]:
        """The last steps of schedulers that raise the lr from the beginning on, and end."""
        ends = [
            self._first_step(stage, stage.end)
            for stage in self.stages
            if stage.begin == 0 and stage.optimizer == optimizer
        ]
        steps = [step for end in ends if 0 < end < self.steps for step in (end - 1, end)]
        return [step for step in steps if lrs[step] > lrs[0]][:1]

    def _first_step(self, stage: Stage, bound: float) -> int:
        """The first step that is not before a bound of a scheduler, in steps of the training."""
        length = (self.steps_per_epoch or 1) if stage.by_epoch else 1
        return math.ceil(min(bound, self.steps)) * length

    @cached_property
    def acting(self) -> tuple[Stage, ...]:
        """The schedulers that begin before the training ends."""
        return tuple(s for s in self.stages if self._first_step(s, s.begin) < self.steps)

    @property
    def warm_up(self) -> int:
        """The last step of the longest warm-up, 0 where there is none."""
        return max(self.warmed_up.values(), default=0)

    def after_warm_up(self, course: Course) -> float:
        """The lr of a course at the end of its warm-up."""
        return course.lrs[self.warmed_up[course.optimizer]]

    @property
    def steps_per_epoch(self) -> int | None:
        """How many steps make an epoch; None where the training is not counted in epochs."""
        if self.epochs is None:
            return None
        return 1 if self.unit == "epoch" else self.epoch_length

    @cached_property
    def rising(self) -> frozenset[Course]:
        """Courses that end above the lr that they had after the warm-up."""
        return frozenset(c for c in self.courses if _is_above(c.lrs[-1], self.after_warm_up(c)))

    @cached_property
    def rising_again(self) -> frozenset[Course]:
        """Courses that rise after they have fallen."""
        return frozenset(course for course in self.courses if _rises_again(course))

    @cached_property
    def converged(self) -> frozenset[Course]:
        """Courses that end within 1 % of another, not at 0, though the constructor sets them apart.

        Where that happens the layer decay is lost.
        """
        ends = [course for course in self.courses if course.lrs[-1]]
        return frozenset(
            a
            for a in ends
            for b in ends
            if _is_near(a.lrs[-1], b.lrs[-1]) and not _is_near(a.configured, b.configured)
        )

    @cached_property
    def rows(self) -> list[tuple[Course, ...]]:
        """The courses, with neighbours together that are the very same."""

        def what_is_shown(course: Course) -> tuple[str, bytes]:
            return course.optimizer, array("d", course.lrs).tobytes()

        same = groupby(self.courses, what_is_shown)
        return [tuple(courses) for _, courses in same]

    def why_rising(self) -> Stage | None:
        """The scheduler that all rising layers are taken up by; None where it can't be told.

        They have an lr below its target after the warm-up, and come nearer to that.
        """
        return self._stage(
            self.rising,
            lambda course, target: (
                self.after_warm_up(course) < course.lrs[-1]
                and not _is_above(course.lrs[-1], target)
            ),
        )

    def why_converged(self) -> Stage | None:
        """The scheduler that takes all converged layers to one lr; None where it can't be told.

        They end at its target, or have all been there at once.
        """
        return self._stage(
            self.converged, lambda course, target: _is_near(course.lrs[-1], target, _THERE)
        ) or self._stage(
            self.converged, lambda course, target: _is_near(course.highest, target, _THERE)
        )

    def _stage(
        self, courses: Collection[Course], explains: Callable[[Course, float], bool]
    ) -> Stage | None:
        """The first scheduler whose target explains all these courses, which are its own."""
        for stage in self.acting:
            target = stage.target
            if target is not None and all(
                course.optimizer == stage.optimizer and explains(course, target)
                for course in courses
            ):
                return stage
        return None

    def step_at(self, number: int) -> int | None:
        """The step that an epoch of this number begins with; an iteration where there are none.

        The end of the training is its last step; None for what comes after it.
        """
        step = number * (self.steps_per_epoch or 1)
        return min(step, self.steps - 1) if step <= self.steps else None


def _rises_again(course: Course) -> bool:
    """Whether an lr rises after it has fallen, by more than rounding does."""
    least = _RTOL * course.highest
    peak = lowest = course.lrs[0]
    for lr in course.lrs:
        if peak - lowest > least and lr - lowest > least:
            return True
        lowest = lr if lr > peak else min(lr, lowest)
        peak = max(lr, peak)
    return False


def _is_above(a: float, b: float, rel_tol: float = _RTOL) -> bool:
    return a - b > rel_tol * abs(b)


def _is_near(a: float, b: float, rel_tol: float = _TOGETHER) -> bool:
    return math.isclose(a, b, rel_tol=rel_tol)

"""What the param schedulers make of every lr over the whole training, as plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lldtool.plan import Plan

#: lrs nearer to each other than this are equal to a reader; the real ones are never changed.
_RTOL = 1e-6
#: Layers that end this near to each other have lost what set them apart.
_TOGETHER = 0.01


@dataclass(frozen=True, eq=False)
class Course:
    """The lr of one layer, step by step.

    `layer_id` and `name` are the layer's, as in the table of `inspect`: where no layers are known
    the name is that of a top-level module. `parameters` are the names of those that follow this
    course. `configured` is the lr that the constructor gave them. `lrs` has an lr for each step,
    the one that the optimizer takes the step with.
    """

    name: str
    layer_id: int | None
    parameters: tuple[str, ...]
    configured: float
    lrs: Sequence[float]

    @property
    def lowest(self) -> float:
        """The lowest lr of the training."""
        return min(self.lrs)

    @property
    def highest(self) -> float:
        """The highest lr of the training."""
        return max(self.lrs)


@dataclass(frozen=True)
class Floor:
    """An absolute lr, `eta_min` of a scheduler, that it takes every group towards."""

    scheduler: str
    lr: float


@dataclass(frozen=True)
class Schedule:
    """The lr of every layer over a training.

    A step is one iteration; where the epoch length is not known, and no scheduler needs it, one
    epoch (`unit`). `epoch_length` is in iterations, `epochs` is None where the training is counted
    in iterations only. `courses` come stem first; what follows the very same course in one layer
    is one.
    """

    plan: Plan
    unit: str
    steps: int
    epochs: int | None
    epoch_length: int | None
    courses: tuple[Course, ...]
    floors: tuple[Floor, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)

    @cached_property
    def peak(self) -> int:
        """The step at which the highest lr is first reached: the end of the warm-up, 0 without."""
        top = max(self.courses, key=lambda course: course.highest)
        return next(
            i for i, lr in enumerate(top.lrs) if math.isclose(lr, top.highest, rel_tol=_RTOL)
        )

    def rises(self, course: Course) -> bool:
        """Whether the course ends above the lr that it had after the warm-up."""
        return course.lrs[-1] > course.lrs[self.peak] * (1 + _RTOL)

    @cached_property
    def converged(self) -> frozenset[Course]:
        """Courses that end within 1 % of another, not at 0, and were apart after the warm-up."""
        ends = [course for course in self.courses if course.lrs[-1]]
        return frozenset(
            a
            for a in ends
            for b in ends
            if math.isclose(a.lrs[-1], b.lrs[-1], rel_tol=_TOGETHER)
            and not math.isclose(a.lrs[self.peak], b.lrs[self.peak], rel_tol=_TOGETHER)
        )

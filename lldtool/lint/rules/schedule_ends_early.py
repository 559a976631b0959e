"""LLD503 schedule-ends-early."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lldtool.config.edit import Edit
from lldtool.lint.rules._timelines import (
    LEAST_LEFT,
    Span,
    Timeline,
    of_base,
    stretched_milestones,
    timelines,
    whole,
)
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example

#: The lr may stay at its end value for this part of the training.
_MOST_HELD = 0.1
_COSINE = {"type": "CosineAnnealingLR", "T_max": 40, "eta_min_ratio": 0.01}


class ScheduleEndsEarly(Rule):
    """The schedule ends long before the training, or a cosine rises again.

    After the last scheduler's `end` the lr stays what it is, mostly too small to learn anything.
    A `CosineAnnealingLR` whose `T_max` is shorter than its `end`, or than the training where it has
    none, does not stay at its lowest lr: it rises again to the base lr, as the cosine does. Both
    come about where a config trains for longer and inherits the schedule.

    A schedule may end up to a tenth of the training before its end, and a warm-up may be all
    there is. A `ConstantLR` to the end says that the lr is to stay. Restarts that are meant are
    those of `CosineRestartLR`, or of several schedulers with an `end` each.

    Let the scheduler end with the training.
    """

    passes = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 42},
                "param_scheduler": {**_COSINE, "begin": 0, "end": 40},
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 80},
                "param_scheduler": [
                    {**_COSINE, "end": 40},
                    {"type": "ConstantLR", "factor": 1.0, "begin": 40, "end": 80},
                ],
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 90},
                "param_scheduler": {**_COSINE, "begin": 0, "end": 40},
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 90},
                "param_scheduler": [_COSINE],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 36},
                "param_scheduler": [{"type": "MultiStepLR", "milestones": [8, 11], "end": 12}],
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each cosine that rises again, or for a schedule that ends early."""
        for training in timelines(subject.plan):
            rising = {span.path: most for span in training.of_lr if (most := _rises_to(span))}
            for span in training.of_lr:
                if span.path in rising:
                    yield self._rises_again(training, span, rising[span.path])
            if not rising and training.is_complete:
                yield from self._ends_early(training)

    def _rises_again(self, training: Timeline, span: Span, most: float) -> Diagnostic:
        until = span.reaches_target or 0.0
        followed = any(until <= o.begin < span.stop for o in training.of_lr)
        edits = [Edit((*span.path, "end"), whole(span.in_own_unit(until)))]
        if not followed:
            length = whole(span.after(span.stop))
            edits = [] if length is None else [Edit((*span.path, "T_max"), length)]
        return self.diagnostic(
            f"the lr rises again, to {of_base(most)}: {span.type} has fallen at "
            f"{training.at(until)} and goes on until {training.at(span.stop)}",
            span.entry("T_max"),
            (),
            [edits] if edits else [],
            Severity.error,
            see=(*span.path, "end") if span.end < training.length else training.length_entry,
        )

    def _ends_early(self, training: Timeline) -> Iterator[Diagnostic]:
        acting = [s for s in training.of_lr if s.begin < training.length and not s.may_be_warm_up]
        ends = [(min(s.stop, s.reaches_target or math.inf), s) for s in acting]
        falling = [(end, s) for end, s in ends if not s.is_constant() and not _waits(s)]
        if not falling or max(end for end, _ in ends) >= training.length * (1 - _MOST_HELD):
            return
        end, span = max(falling, key=lambda one: one[0])
        way, rest = span.annealing, training.number(training.length - end)
        stays = f"stays at {of_base(way.factor(span.after(end)))}" if way else "does not change"
        yield self.diagnostic(
            f"the lr {stays} in the last {rest} of {training.number(training.length)} "
            f"{training.schedule.by}s: {span.type} ends at {training.at(end)}",
            span.entry("end", "T_max", "total_steps", "periods"),
            (),
            _longer(training, span),
            see=training.length_entry,
        )


def _rises_to(span: Span) -> float | None:
    """Return the factor of the base lr that a cosine rises to again, None if it hardly rises."""
    way, until = span.annealing, span.reaches_target
    if not way or not until or way.kind != "cosine" or span.stop <= until:
        return None
    most = min(span.after(span.stop), 2 * way.length)
    return way.factor(most) if way.left(most) > LEAST_LEFT else None


def _waits(span: Span) -> bool:
    """Whether a scheduler ends before one of its milestones, which LLD505 reports."""
    return any(one >= span.after(span.end) for one in span.numbers("milestones"))


def _longer(training: Timeline, span: Span) -> list[list[Edit]]:
    """Return the scheduler stretched to the end of the training."""
    edits = span.moved_end(training.length)
    return [[*edits, *stretched_milestones(training, span)]] if edits else []

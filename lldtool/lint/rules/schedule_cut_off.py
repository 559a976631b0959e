"""LLD502 schedule-cut-off."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules._timelines import LEAST_LEFT, Span, Timeline, of_base, timelines
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example

#: An lr with more than this part of the way left is one that no training is meant to end with.
_MUCH = 0.2
_COSINE = {"type": "CosineAnnealingLR", "T_max": 100, "eta_min_ratio": 0.01}


class ScheduleCutOff(Rule):
    """The training, or the scheduler's own `end`, comes before the lr has fallen.

    A cosine that is cut off at half of its way stops with half of the lr, where the last epochs are
    those in which a small lr pays. It comes about where a config shortens the training and inherits
    the schedule, or changes `T_max` and not `end`.

    It is an error where more than a fifth of the way is left, else a warning. The last 5 % are not
    reported, nor a schedule that ends one epoch after the training: `T_max` is often the length of
    the training though a warm-up comes first.

    Let the scheduler end with the training.
    """

    severity = Severity.error
    passes = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 100},
                "param_scheduler": [
                    {"type": "LinearLR", "start_factor": 0.01, "end": 5},
                    {**_COSINE, "begin": 5},
                ],
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 50},
                "param_scheduler": {**_COSINE, "begin": 0, "end": 100},
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": False, "max_iters": 40000},
                "param_scheduler": [
                    {"type": "PolyLR", "power": 0.9, "by_epoch": False, "begin": 0, "end": 45000}
                ],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 60},
                "param_scheduler": [{**_COSINE, "begin": 0, "end": 60}],
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each scheduler that is cut off, unless another one goes on."""
        for training in timelines(subject.plan):
            yield from self._each(training)

    def _each(self, training: Timeline) -> Iterator[Diagnostic]:
        for span in training.of_lr:
            way, until, stop = span.annealing, span.reaches_target, span.stop
            if way is None or until is None or span.begin >= stop:
                continue
            is_last = all(other.stop <= stop or other.is_constant() for other in training.of_lr)
            if stop < training.length and not (is_last and training.is_complete):
                continue
            left = way.left(span.after(stop))
            if left > LEAST_LEFT and until - stop > training.slack:
                yield self._cut_off(training, span, until, left)

    def _cut_off(self, training: Timeline, span: Span, until: float, left: float) -> Diagnostic:
        way, stop = span.annealing, span.stop
        assert way is not None
        by_training = stop == training.length
        ends = "the training ends" if by_training else "the scheduler ends"
        return self.diagnostic(
            f"the lr stops at {of_base(way.factor(span.after(stop)))}: {span.type} falls until "
            f"{training.at(until)}, and {ends} at {training.at(stop)}",
            span.entry(way.option, "end"),
            (),
            [edits] if (edits := span.moved_end(stop)) else [],
            None if left > _MUCH else Severity.warning,
            see=training.length_entry if by_training else (*span.path, "end"),
        )

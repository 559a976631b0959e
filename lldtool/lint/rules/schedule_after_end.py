"""LLD501 schedule-after-end."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.config.edit import Edit
from lldtool.lint.rules._timelines import Span, Timeline, timelines, whole
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example

#: A warm-up takes at most this part of a training, and this part where it is suggested.
_MOST, _SUGGESTED = 1 / 3, 0.1
#: The schedule of the examples: 5 epochs of warm-up, then a cosine to epoch 100.
_WARM_UP = {"type": "LinearLR", "start_factor": 0.01, "begin": 0, "end": 5}
_COSINE = {"type": "CosineAnnealingLR", "T_max": 95, "begin": 5, "end": 100}


class ScheduleAfterEnd(Rule):
    """A scheduler begins, or the warm-up ends, after the training has ended.

    A scheduler that begins after the last epoch or iteration does nothing. A warm-up that is longer
    than the training never reaches the base lr. Both come about where a config changes the length
    of the training and inherits the schedule of a longer one.

    It is a warning where the warm-up ends in time, but takes more than a third of the training.
    Schedulers by iteration are checked where the length of an epoch is known, in a training by
    epochs.

    Adapt `begin`, `end` and `T_max` to the length of the training, or train as long as the schedule
    is.
    """

    severity = Severity.error
    passes = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 100},
                "param_scheduler": [_WARM_UP, _COSINE],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 3},
                "param_scheduler": {**_WARM_UP, "by_epoch": False, "end": 500},
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 4},
                "param_scheduler": [_WARM_UP, _COSINE],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": False, "max_iters": 1000},
                "param_scheduler": {**_WARM_UP, "by_epoch": False, "end": 500},
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each scheduler that begins too late, or warms up for too long."""
        for training in timelines(subject.plan):
            for span in training.spans:
                if span.begin >= training.length:
                    if not span.is_constant() or span.is_constant(below=1.0):
                        yield self._begins_too_late(training, span)
                elif span.setting == "lr" and span.may_be_warm_up:
                    yield from self._too_long(training, span)

    def _begins_too_late(self, training: Timeline, span: Span) -> Diagnostic:
        return self.diagnostic(
            f"{span.type} does nothing: it begins at {training.at(span.begin)}, and the training "
            f"ends at {training.at(training.length)}",
            span.entry("begin"),
            see=training.length_entry,
        )

    def _too_long(self, training: Timeline, span: Span) -> Iterator[Diagnostic]:
        if span.end > training.length:
            yield self.diagnostic(
                f"the warm-up does not reach the base lr: it ends at {training.at(span.end)}, and "
                f"the training at {training.at(training.length)}",
                span.entry("end"),
                (),
                _shortened(training, span),
                see=training.length_entry,
            )
        elif span.end - span.begin > training.length * _MOST:
            lasts = training.number(span.end - span.begin)
            yield self.diagnostic(
                f"the warm-up takes {lasts} of the training's {training.number(training.length)} "
                f"{training.schedule.by}s",
                span.entry("end"),
                (),
                _shortened(training, span),
                Severity.warning,
                see=training.length_entry,
            )


def _shortened(training: Timeline, span: Span) -> list[list[Edit]]:
    """Return a warm-up of a tenth of the training, with the next schedulers moved to its end."""
    end = span.begin + max(1.0, round(training.length * _SUGGESTED))
    last = whole(span.in_own_unit(end))
    least = 2 if span.by_epoch else 1
    if last is None or span.after(end) < least or span.begin + end >= training.length:
        return []
    edits = [Edit((*span.path, "end"), last)]
    for other in training.of_lr:
        if other is span or abs(other.begin - span.end) > training.slack:
            continue
        begin = whole(other.in_own_unit(end))
        edits += [Edit((*other.path, "begin"), begin)] if begin is not None else []
        if "T_max" in other.configured and begin is not None:
            length = whole(other.in_own_unit(min(other.end, training.length) - end))
            edits += [Edit((*other.path, "T_max"), length)]
        if other.end > training.length and "end" in other.configured:
            edits += [Edit((*other.path, "end"), whole(other.in_own_unit(training.length)))]
    return [edits]

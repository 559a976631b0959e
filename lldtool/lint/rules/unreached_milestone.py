"""LLD505 unreached-milestone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lldtool.config.edit import Edit
from lldtool.lint.rules._timelines import Span, Timeline, stretched_milestones, timelines
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example

#: Milestones of this many times the epochs may be iterations.
_MANY = 20
#: Steps by iteration that all come in this first part of a training are none.
_FIRST_ITERATIONS, _FIRST_EPOCHS = 0.01, 0.05
#: A StepLR with a gamma above that is no schedule of a few steps.
_LEAST_GAMMA = 0.5
_STEPS = {"type": "MultiStepLR", "gamma": 0.1}


class UnreachedMilestone(Rule):
    """The training ends before a milestone of `MultiStepLR`, or has it at its very beginning.

    Milestones that never come leave the lr as high as it was, so that the training ends without
    the phases of a small lr. They come about where a config shortens the training and inherits
    the schedule, or where they are given in iterations and `by_epoch` is true, as it is by default.
    Milestones given in epochs to a scheduler with `by_epoch=False` come within the first
    iterations: the whole training has the lowest lr. Milestones after the scheduler's own `end`,
    which may be inherited, do nothing either.

    Milestones are counted from the scheduler's `begin`. The same holds for the `step_size` of
    `StepLR`. It is a warning where other milestones are reached. A milestone at the very end of the
    training is not reported if there are others.

    Write milestones within the training, or the `by_epoch` that they are meant for.
    """

    severity = Severity.error
    passes = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 40},
                "param_scheduler": {**_STEPS, "milestones": [24, 33]},
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 40},
                "param_scheduler": {**_STEPS, "milestones": [100, 150], "end": 200},
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 12},
                "param_scheduler": [{**_STEPS, "milestones": [8, 11, 16]}],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 100},
                "param_scheduler": [{**_STEPS, "milestones": [60000, 80000]}],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 36},
                "param_scheduler": [{**_STEPS, "milestones": [24, 33], "by_epoch": False}],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 20},
                "param_scheduler": [{"type": "StepLR", "step_size": 30}],
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each scheduler with milestones out of the training."""
        for training in timelines(subject.plan):
            yield from self._each(training)

    def _each(self, training: Timeline) -> Iterator[Diagnostic]:
        for span in training.of_lr:
            option, steps = _milestones(span)
            active = span.after(span.stop)
            missed = [step for step in steps if step >= active]
            most = span.after(training.length)
            if missed and not (len(missed) < len(steps) and max(missed) <= most):
                if span.begin < training.length:
                    yield self._missed(training, span, option, missed)
            elif steps and _is_in_epochs(training, span, max(steps)):
                yield self._too_early(training, span, option, steps)
        for span in training.unplaced:
            option, steps = _milestones(span)
            if steps and training.schedule.by == "epoch" and max(steps) <= training.length:
                yield self._too_early(training, span, option, steps)

    def _missed(
        self, training: Timeline, span: Span, option: str, missed: Sequence[float]
    ) -> Diagnostic:
        """Return the finding for milestones that do not come."""
        _, steps = _milestones(span)
        by_training = span.end >= training.length
        number = span.in_own_unit(training.length if by_training else span.stop)
        unit = span.counts
        what = "the training" if by_training else span.type
        after = f", counted from {unit} {span.options['begin']:,}" if span.options["begin"] else ""
        return self.diagnostic(
            f"{_named(option, missed)}{after}: never reached, as {what} ends at {unit} "
            f"{number:,.6g}{_other_reading(training, missed) if unit == 'epoch' else ''}",
            span.entry(option),
            (),
            _fixes(training, span, missed),
            None if len(missed) == len(steps) else Severity.warning,
            see=training.length_entry if by_training else (*span.path, "end"),
        )

    def _too_early(
        self, training: Timeline, span: Span, option: str, steps: Sequence[float]
    ) -> Diagnostic:
        """Return the finding for milestones in epochs that are counted in iterations."""
        schedule = training.schedule
        whole = f"{training.length:,} {schedule.by}s"
        if schedule.by == "iteration":
            other = "a training by iterations has no epochs"
        else:
            other = "epochs need by_epoch=True"
        edit = Edit((*span.path, "by_epoch"), value=True)
        return self.diagnostic(
            f"{_named(option, steps)}: these are iterations, at the very beginning of {whole}; "
            f"{other}",
            span.entry(option),
            (),
            [[edit]] if schedule.by == "epoch" else [],
            see=(*span.path, "by_epoch"),
        )


def _milestones(span: Span) -> tuple[str, list[float]]:
    """Return the option that says when a scheduler lowers the lr, and when it does; none if no."""
    milestones, size = span.numbers("milestones"), span.number("step_size", 0.0)
    if milestones:
        return "milestones", milestones
    is_step = size > 0 and span.number("gamma", 1.0) <= _LEAST_GAMMA
    return "step_size", [size] if is_step else []


def _is_in_epochs(training: Timeline, span: Span, last: float) -> bool:
    """Whether the last milestone of a scheduler by iteration makes sense only as an epoch."""
    if span.counts == "epoch":
        return False
    if training.schedule.by == "iteration":
        return last <= _FIRST_ITERATIONS * training.length
    return last <= training.length and last * span.unit <= _FIRST_EPOCHS * training.length


def _other_reading(training: Timeline, missed: Sequence[float]) -> str:
    """Return what milestones by epoch are as iterations, where they are too many for epochs."""
    if not _may_be_iterations(training, missed):
        return ""
    length = training.schedule.epoch_length
    if length is None:
        return "; iterations need by_epoch=False"
    epochs = _listed([round(step / length, 1) for step in missed])
    return f"; as iterations, with by_epoch=False, they are epoch {epochs}"


def _may_be_iterations(training: Timeline, missed: Sequence[float]) -> bool:
    iterations = training.schedule.iterations
    fits = iterations is None or max(missed) <= iterations
    return training.schedule.by == "epoch" and min(missed) >= _MANY * training.length and fits


def _fixes(training: Timeline, span: Span, missed: Sequence[float]) -> list[list[Edit]]:
    """Return milestones in iterations, or a later end, or milestones in the training."""
    _, steps = _milestones(span)
    if span.counts == "epoch" and _may_be_iterations(training, missed):
        converted = "convert_to_iter_based" in span.configured
        return [] if converted else [[Edit((*span.path, "by_epoch"), value=False)]]
    if span.stop < training.length and max(missed) < span.after(training.length):
        return [edits] if (edits := span.moved_end(training.length)) else []
    if "milestones" not in span.configured:
        return []
    kept = [step for step in steps if step not in missed]
    if kept:
        return [[Edit((*span.path, "milestones"), kept)]]
    if span.end > training.length and "end" in span.configured and not span.begin:
        edits = span.moved_end(training.length)
        return [[*edits, *stretched_milestones(training, span)]] if edits else []
    return []


def _named(option: str, steps: Sequence[float]) -> str:
    """`milestone 24`, `milestones 24 and 33`, `step_size 30`."""
    name = option.removesuffix("s") if len(steps) == 1 else option
    return f"{name} {_listed(steps)}"


def _listed(steps: Sequence[float]) -> str:
    """`24`, `24 and 33`, `8, 11 and 16`."""
    *others, last = [f"{step:,g}" if step < 1e5 else f"{step:,.0f}" for step in steps]
    return f"{', '.join(others)} and {last}" if others else last

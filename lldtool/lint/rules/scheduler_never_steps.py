"""LLD506 scheduler-never-steps."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.config.edit import Edit
from lldtool.lint.rules._schedulers import Scheduler, configured_schedulers
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example
from lldtool.text import setting

_ITERATIONS = {"by_epoch": False, "max_iters": 8000}
_EPOCHS = {"by_epoch": True, "max_epochs": 40}
#: Schedulers that need a second step to change a setting.
_GRADUAL = ("Linear", "CosineAnnealing", "Poly", "Exponential")
#: The options with times of a scheduler.
_TIMES = ("T_max", "end", "total_steps", "step_size")


class SchedulerNeverSteps(Rule):
    """A scheduler is never stepped, so the lr stays where it starts.

    With `by_epoch=True`, the default, a scheduler is stepped after each epoch. A training by
    iterations (`IterBasedTrainLoop`) is one epoch to mmengine, which ends with the training: a
    cosine by epochs never begins, and a warm-up by epochs stays at its `start_factor`. Write
    `by_epoch=False` and count in iterations, or keep the epochs and convert them with
    `convert_to_iter_based=True`.

    A scheduler from epoch 0 to epoch 1 has one value and no step: `LinearLR(end=1)` by epochs
    leaves the lr at `start_factor` for the whole training. `convert_to_iter_based=True` makes it a
    warm-up over the iterations of that epoch.

    With `default_hooks.param_scheduler=None` nothing steps any scheduler.
    """

    severity = Severity.error
    passes = (
        Example(
            SGD,
            config={
                "train_cfg": _ITERATIONS,
                "param_scheduler": [
                    {"type": "LinearLR", "by_epoch": False, "end": 500},
                    {
                        "type": "CosineAnnealingLR",
                        "by_epoch": True,
                        "T_max": 40,
                        "convert_to_iter_based": True,
                    },
                ],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": [
                    {"type": "LinearLR", "by_epoch": True, "end": 1, "convert_to_iter_based": True},
                    {"type": "MultiStepLR", "by_epoch": True, "milestones": [20, 30]},
                ],
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": _ITERATIONS,
                "param_scheduler": {"type": "PolyLR", "eta_min": 1e-4, "end": 8000},
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": _ITERATIONS,
                "param_scheduler": [
                    {"type": "LinearLR", "start_factor": 0.1, "by_epoch": True, "end": 4},
                ],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": [
                    {"type": "LinearLR", "start_factor": 0.1, "by_epoch": True, "end": 1},
                ],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": {"type": "CosineAnnealingLR", "T_max": 40},
                "default_hooks": {"param_scheduler": None},
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each scheduler that is never stepped, or one if none is."""
        schedule, schedulers = subject.plan.schedule, configured_schedulers(subject.plan)
        if schedule is None or schedule.error or not schedulers:
            return
        if schedule.is_stepped is False:
            yield self.diagnostic(
                "default_hooks.param_scheduler is None, so no scheduler is ever stepped",
                ("default_hooks", "param_scheduler"),
            )
        elif schedule.is_stepped:
            reasons = [(one, _never_steps(one)) for one in schedulers]
            fixes = [[edit for one, reason in reasons if reason for edit in _edits(one)]]
            for one, reason in reasons:
                if reason:
                    yield self.diagnostic(
                        f"{one.type} {reason}: {_effect(one)}",
                        (*one.path, "by_epoch" if one.has_no_epochs else "end"),
                        (),
                        fixes if _edits(one) else (),
                    )


def _never_steps(scheduler: Scheduler) -> str | None:
    """Return why a scheduler takes no step after its first value, None if it takes some."""
    if scheduler.type.startswith("ReduceOnPlateau"):  # stepped after a validation
        return None
    if scheduler.has_no_epochs:
        return (
            "is stepped by epoch, and a training by iterations has no epochs, so it takes no step"
        )
    if not scheduler.has_one_step:
        return None
    # A constant in the middle of a training is one way to write a step, up or down.
    is_low = scheduler.is_warm_up and scheduler.own_begin == 0
    if not (scheduler.type.startswith(_GRADUAL) or is_low):
        return None
    unit = "epoch" if scheduler.by_epoch else "iteration"
    begin, end = setting(scheduler.own_begin), setting(scheduler.own_end)
    return f"by {unit}s, from {unit} {begin} to {end}, has one value and takes no step"


def _first_factor(scheduler: Scheduler) -> float | None:
    """Return the factor that a scheduler applies before its first step, None if it is 1."""
    option = "factor" if scheduler.type.startswith("Constant") else "start_factor"
    factor = scheduler.number(option)
    return None if factor == 1 else factor


def _effect(scheduler: Scheduler) -> str:
    factor = _first_factor(scheduler)
    never_begins = scheduler.has_no_epochs and scheduler.own_begin > 0
    if factor is None or never_begins:
        return f"the {scheduler.setting} stays as it is"
    return f"the {scheduler.setting} stays at {setting(factor)} of its value"


def _edits(scheduler: Scheduler) -> list[Edit]:
    """Return the edit with which a scheduler steps by iteration, converted if it counts epochs."""
    if not scheduler.by_epoch:
        return []
    path = scheduler.path
    times = [t for t in map(scheduler.number, _TIMES) if t is not None]
    most = max([*times, *scheduler.numbers("milestones")], default=0)
    if scheduler.has_no_epochs and (most <= 1 or most > scheduler.schedule.length / 10):
        return [Edit((*path, "by_epoch"), False)]
    return [Edit((*path, "convert_to_iter_based"), True)]

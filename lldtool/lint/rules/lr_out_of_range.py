"""LLD508 lr-out-of-range."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from lldtool.config.edit import Edit
from lldtool.lint.rules._lr_curves import main_lr_curves
from lldtool.lint.rules._schedulers import Scheduler, schedulers_of
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example
from lldtool.plan import Curve, Plan
from lldtool.text import lr, plural

#: Parts of the highest lr that are 0 but for rounding.
_ROUNDING = 1e-9
#: An lr that is 0 for a smaller part of the training is a common habit.
_MOST = 0.01
_EPOCHS = {"by_epoch": True, "max_epochs": 40}
_COSINE = {"type": "CosineAnnealingLR", "T_max": 40, "end": 40}
#: Options that take an lr below 0 where they are.
_OPTIONS = ("eta_min", "eta_min_ratio", "gamma")
#: The entry of hooks, which may set the lr as well.
_HOOKS = ("custom_hooks",)


class LrOutOfRange(Rule):
    """The lr is negative, or 0 for a part of the training.

    With a negative lr the optimizer goes up the slope. At an lr of 0 nothing is trained, and the
    time is lost: a cosine to 0 that ends before the training does, a step by a `gamma` of 0, a
    warm-up that starts at 0 and is stepped after each epoch.

    It is not reported that the last value is 0, or that the lr is 0 for up to one percent of the
    training; nor param groups with an lr of 0 from the start, which are frozen so.

    Let the schedule end where the training does, or above 0.
    """

    severity = Severity.error
    passes = (
        Example(SGD, config={"train_cfg": _EPOCHS, "param_scheduler": _COSINE}),
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": {"type": "PolyLR", "eta_min": 0.0, "end": 40, "power": 0.9},
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 44},
                "param_scheduler": {"type": "PolyLR", "eta_min": 0.0, "end": 40},
            },
        ),
        Example(
            SGD,
            config={"train_cfg": _EPOCHS, "param_scheduler": {**_COSINE, "eta_min": -1e-3}},
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each optimizer with an lr below 0, or at 0 for too long."""
        for optimizer, (_, curve) in main_lr_curves(subject.plan).items():
            least = _ROUNDING * max(curve.value)
            first = next(
                (s for s, v in zip(curve.at, curve.value, strict=True) if v < -least), None
            )
            if first is not None:
                one = _scheduler_at(subject.plan, optimizer, curve, first)
                at = _HOOKS if one is None else one.path
                option = next((o for o in _OPTIONS if one and one.number(o, 0) < 0), None)
                yield self.diagnostic(
                    f"the lr is negative from {curve.unit} {first:,} on, down to "
                    f"{lr(min(curve.value))}",
                    at if option is None else (*at, option),
                    (),
                    [[Edit((*at, option), 0.0)]] if option is not None else (),
                )
                continue
            runs = _runs_at_zero(curve, least)
            steps, length = sum(last - first + 1 for first, last in runs), curve.at[-1] + 1
            if runs and runs[-1][1] == curve.at[-1]:
                steps -= 1
            if steps > _MOST * length:
                one = _scheduler_at(subject.plan, optimizer, curve, runs[0][0])
                yield self.diagnostic(
                    f"the lr is 0 from {curve.unit} {runs[0][0]:,} on, for "
                    f"{plural(steps, curve.unit)} of {length:,}, in which nothing is trained",
                    _HOOKS if one is None else one.path,
                    (),
                    [] if one is None else _fixes(one, curve),
                    Severity.warning,
                )


def _runs_at_zero(curve: Curve, least: float) -> list[tuple[int, int]]:
    """Return the first and the last step of each part of a curve that is at 0."""
    runs: list[tuple[int, int]] = []
    for is_zero, points in groupby(
        zip(curve.at, curve.value, strict=True), key=lambda point: abs(point[1]) <= least
    ):
        steps = [step for step, _ in points]
        runs += [(steps[0], steps[-1])] if is_zero else []
    return runs


def _scheduler_at(plan: Plan, optimizer: str | None, curve: Curve, step: int) -> Scheduler | None:
    """Return the scheduler that began last before a step; None where only a hook sets the lr."""
    begins = {
        begin: one
        for one in schedulers_of(plan)
        if one.optimizer == optimizer and one.setting == "lr"
        if (begin := one.step_in(curve.unit, one.own_begin)) is not None and begin <= step
    }
    return begins[max(begins)] if begins else None


def _fixes(scheduler: Scheduler, curve: Curve) -> list[list[Edit]]:
    """Return a cosine or a polynomial that ends where the training does."""
    end = curve.at[-1] + 1
    if scheduler.is_converted or scheduler.by_epoch != (curve.unit == "epoch"):
        return []
    times = {"end": end, "T_max": end - scheduler.own_begin}
    options = [option for option in times if scheduler.number(option) is not None]
    return [[Edit((*scheduler.path, option), times[option]) for option in options]]

"""LLD507 base-lr-not-reached."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.config.edit import Edit
from lldtool.lint.rules._schedules import configured_schedulers, lr_curves
from lldtool.lint.rules.base import Diagnostic, Rule, Subject
from lldtool.lint.rules.examples import SGD, Example
from lldtool.text import lr, setting

#: A highest lr from here on, as a part of the base lr, is as good as that.
_REACHED = 0.95
_EPOCHS = {"by_epoch": True, "max_epochs": 40}
_COSINE = {"type": "CosineAnnealingLR", "T_max": 36, "begin": 4, "end": 40}


class BaseLrNotReached(Rule):
    """A warm-up ends below the base lr, and nothing raises the lr to it afterwards.

    `LinearLR` takes the lr from `start_factor` to `end_factor` times what it was. With an
    `end_factor` below 1 the lr stays there: the schedulers that follow multiply what they find. A
    cosine after a warm-up to 0.5 falls from half of the lr that the optimizer names.

    Leave `end_factor` at 1, and set the lr that is meant in the optimizer.
    """

    passes = (
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": [{"type": "LinearLR", "start_factor": 0.1, "end": 4}, _COSINE],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": {
                    "type": "LinearLR",
                    "start_factor": 1.0,
                    "end_factor": 0.01,
                    "end": 40,
                },
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": [
                    {"type": "LinearLR", "start_factor": 0.1, "end_factor": 0.5, "end": 4},
                    _COSINE,
                ],
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each warm-up to less than the base lr, if that is never reached."""
        schedule = subject.plan.schedule
        if schedule is None:
            return
        curves = {optimizer: (base, curve) for optimizer, base, curve in lr_curves(subject.plan)}
        for one in configured_schedulers(subject.plan):
            base, curve = curves.get(one.optimizer, (0.0, None))
            factor = one.number("end_factor")
            if curve is None or factor is None or factor >= _REACHED or not one.is_warm_up:
                continue
            end, peak = (
                one.step_in(curve.unit, one.end or 0, schedule.epoch_length),
                max(curve.value),
            )
            is_over = end is not None and 0 < end <= curve.at[-1] + 1
            if is_over and peak < _REACHED * base:
                yield self.diagnostic(
                    f"the warm-up by {one.type} ends at {setting(factor)} of the lr and nothing "
                    f"raises it afterwards: the highest lr is {lr(peak)}, not {lr(base)}",
                    (*one.path, "end_factor"),
                    (),
                    [[Edit((*one.path, "end_factor"), 1.0)]],
                )

"""LLD507 base-lr-not-reached."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.config.edit import Edit
from lldtool.lint.rules._lr_curves import main_lr_curves
from lldtool.lint.rules._schedulers import Scheduler, configured_schedulers
from lldtool.lint.rules.base import Diagnostic, Rule, Subject
from lldtool.lint.rules.examples import SGD, Example
from lldtool.plan import Curve
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
        curves = main_lr_curves(subject.plan)
        for one in configured_schedulers(subject.plan):
            factor = one.number("end_factor")
            if one.optimizer not in curves or factor is None or factor >= _REACHED:
                continue
            base, curve = curves[one.optimizer]
            peak = max(curve.value)
            if peak < _REACHED * base and _gets_to_its_end(one, curve):
                yield self.diagnostic(
                    f"the warm-up by {one.type} ends at {setting(factor)} of the lr and nothing "
                    f"raises it afterwards: the highest lr is {lr(peak)}, not {lr(base)}",
                    (*one.path, "end_factor"),
                    (),
                    [[Edit((*one.path, "end_factor"), 1.0)]],
                )


def _gets_to_its_end(scheduler: Scheduler, curve: Curve) -> bool:
    """Whether a scheduler is a warm-up that is stepped up to its end; LLD506 has those that aren't.

    Args:
        scheduler: with an `end_factor`.
        curve: of the lr that it changes.
    """
    if scheduler.has_no_epochs or not scheduler.is_warm_up or scheduler.has_one_step:
        return False
    end = scheduler.own_end and scheduler.step_in(curve.unit, scheduler.own_end)
    return end is not None and end <= curve.at[-1] + 1

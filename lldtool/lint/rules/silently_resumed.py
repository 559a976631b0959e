"""LLD703 silently-resumed."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules.base import Diagnostic, Rule, Subject
from lldtool.lint.rules.examples import RECIPE, SCHEDULED, Example

_STEPS = {
    "param_scheduler": [
        {"type": "LinearLR", "start_factor": 0.01, "begin": 0, "end": 2},
        {"type": "MultiStepLR", "milestones": [5, 8], "begin": 2, "end": 10},
    ]
}
#: Code of a problem -> the entry of the config that it is about.
_ENTRIES = {
    "other-schedulers": ("param_scheduler",),
    "schedule-is-over": ("train_cfg", "max_epochs"),
    "nothing-left": ("train_cfg",),
    "other-loop": ("train_cfg",),
    "other-optimizer": ("optim_wrapper", "optimizer", "type"),
    "auto-scale-lr": ("auto_scale_lr",),
}


class SilentlyResumed(Rule):
    """Resuming accepts without a message what is probably not intended.

    mmengine pairs schedulers with their saved states by position, whatever their classes: after a
    removed warm-up, the cosine takes over the state of the warm-up, and the lr stays constant. A
    training that is prolonged keeps the schedule of the checkpoint, which ends before it. A
    checkpoint without the state of the optimizer or of the schedulers combines new lrs with an old
    schedule. Averaged weights that are resumed without their `EMAHook` replace the raw ones.

    `lldtool resume` shows every lr to the end, and the guide lists what is found.

    The message says what to do; in most cases, start over from the weights with `load_from` and
    without `resume`.
    """

    passes = (Example(RECIPE, config=SCHEDULED, resumed={}),)
    finds = (
        Example(RECIPE, config=SCHEDULED, resumed=_STEPS),
        Example(
            RECIPE,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 12},
                "param_scheduler": {"type": "CosineAnnealingLR", "begin": 0, "end": 12},
            },
            resumed={
                "train_cfg": {"by_epoch": True, "max_epochs": 10},
                "param_scheduler": {"type": "CosineAnnealingLR", "begin": 0, "end": 10},
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each problem."""
        for problem in subject.resume.problems if subject.resume is not None else ():
            yield self.diagnostic(
                f"{problem.message} ({problem.fix})", _ENTRIES.get(problem.code, ("load_from",))
            )

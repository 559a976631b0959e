"""LLD511 scheduler-raises."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lldtool.config.edit import Edit
from lldtool.lint.rules._schedulers import Scheduler, configured_schedulers
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example

_EPOCHS = {"by_epoch": True, "max_epochs": 100}


class SchedulerRaises(Rule):
    """Training crashes when a scheduler is built or stepped.

    lldtool builds the schedulers and steps them over the whole training, as mmengine's Runner does.
    `OneCycleLR` with `total_steps=50` raises after 50 of 100 epochs; a `LinearLR` with a
    `start_factor` above 1, or with an option that it does not have, raises at startup.

    Correct the option that the message names.
    """

    severity = Severity.error
    passes = (
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": {"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 100},
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": {"type": "LinearLR", "by_epoch": False, "end": 500},
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": {"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 50},
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": _EPOCHS,
                "param_scheduler": [
                    {"type": "LinearLR", "start_factor": 0.1, "end": 5},
                    {"type": "StepLR", "step": 30, "begin": 5},
                ],
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding if a scheduler raises."""
        schedule = subject.plan.schedule
        if schedule is None or schedule.error is None:
            return
        error = schedule.error.removeprefix("param_scheduler: ").rstrip(".")
        named = [one for one in configured_schedulers(subject.plan) if _is_named(one.type, error)]
        if len(named) != 1:
            yield self.diagnostic(error, ("param_scheduler",))
            return
        (one,) = named
        options = [name for name in one.options if name != "type" and _is_named(name, error)]
        path = (*one.path, *sorted(options, key=len)[-1:])
        yield self.diagnostic(error, path, (), _fixes(one, path))


def _is_named(name: str, error: str) -> bool:
    words = re.escape(name).replace("_", "[_ ]")
    return re.search(rf"(?<!\w){words}(?!\w)", error) is not None


def _fixes(scheduler: Scheduler, path: tuple[str, ...]) -> list[list[Edit]]:
    """Return the `total_steps` that cover all steps of a one-cycle scheduler."""
    if path[-1] != "total_steps" or scheduler.steps is None:
        return []
    return [[Edit(path, int(scheduler.steps))]]

"""LLD512 short-warm-up."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules._schedulers import configured_schedulers
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example
from lldtool.text import plural

_ITERATIONS = {"by_epoch": False, "max_iters": 8000}


class ShortWarmUp(Rule):
    """A warm-up is over before the optimizer has taken two steps, for gradients are accumulated.

    With `accumulative_counts=16` the optimizer takes a step in every 16th iteration, but schedulers
    by iterations are stepped in each one. A warm-up of 10 iterations is over when the optimizer
    takes its first step, at the full lr. It is only information where one step is within the
    warm-up.

    Make the warm-up longer by the factor `accumulative_counts`, and let what follows begin later.
    """

    severity = Severity.warning
    passes = (
        Example(
            SGD,
            config={
                "train_cfg": _ITERATIONS,
                "optim_wrapper.accumulative_counts": 4,
                "param_scheduler": [{"type": "LinearLR", "by_epoch": False, "end": 500}],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": _ITERATIONS,
                "param_scheduler": [{"type": "LinearLR", "by_epoch": False, "end": 4}],
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": _ITERATIONS,
                "optim_wrapper.accumulative_counts": 16,
                "param_scheduler": [{"type": "LinearLR", "by_epoch": False, "end": 10}],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": _ITERATIONS,
                "optim_wrapper.accumulative_counts": 16,
                "param_scheduler": [{"type": "LinearLR", "by_epoch": False, "end": 24}],
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each warm-up in which the optimizer takes at most one step."""
        schedule = subject.plan.schedule
        if schedule is None or schedule.accumulative_counts == 1:
            return
        for one in configured_schedulers(subject.plan):
            if one.by_epoch or not one.is_warm_up or one.steps is None:
                continue
            length = one.step_in("iteration", one.steps)
            # The last of its values is the full lr.
            steps = None if length is None else int(length - 1) // schedule.accumulative_counts
            if length is not None and steps is not None and steps < 2:
                yield self.diagnostic(
                    f"the optimizer takes {['no step', 'only one step'][steps]} below the full lr "
                    f"in a warm-up of {plural(int(length), 'iteration')}, for accumulative_counts "
                    f"is {schedule.accumulative_counts}",
                    (*one.path, "end"),
                    severity=Severity.info if steps else None,
                )

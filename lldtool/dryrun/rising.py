"""Whether an lr rises again over a training: by stepping its schedulers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lldtool.dryrun.stepping import schedule_of
from lldtool.dryrun.train_loop import assumed_length, train_loop
from lldtool.dryrun.training import Training
from lldtool.plan import Plan

#: A training with more steps takes seconds to step.
_MOST_STEPS = 50_000


def rises_again(training: Training, plan: Plan) -> bool:
    """Return whether some lr rises after it has fallen; False for a training too long to step.

    Where the config does not say how long the training is, a length is assumed.

    Args:
        training: whose schedulers are stepped.
        plan: of this training.

    Raises:
        LldtoolError: training would fail at a scheduler.
    """
    config, request = training.config, training.request
    configured = list(_schedulers(config.get("param_scheduler", None)))
    length = assumed_length(config, request, configured)
    if train_loop(config, request, length, configured).steps > _MOST_STEPS:
        return False
    return bool(schedule_of(training, plan, length).rising_again)


def _schedulers(configured: Any) -> Iterator[Any]:
    """The schedulers of all optimizers."""
    if isinstance(configured, dict) and "type" in configured:
        yield configured
    elif isinstance(configured, dict):
        for own in configured.values():
            yield from _schedulers(own)
    elif isinstance(configured, (list, tuple)):
        yield from (one for one in configured if isinstance(one, dict) and "type" in one)

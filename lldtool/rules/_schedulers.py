"""What param schedulers do to the lr in absolute numbers, whatever a group's own lr is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Ends of the names of schedulers that leave the lr alone.
_OF_OTHER_SETTINGS = ("Momentum", "WeightDecay")


def lr_schedulers(
    schedulers: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The schedulers of the lr, with their places in the list."""
    for index, scheduler in enumerate(schedulers):
        name = str(scheduler.get("type", ""))
        setting = scheduler.get("param_name", "lr")
        if setting == "lr" and not name.endswith(_OF_OTHER_SETTINGS):
            yield index, scheduler


def scheduler_path(schedulers: Sequence[Mapping[str, Any]], index: int) -> tuple[str, ...]:
    """The keys that lead to a scheduler; the only one may stand there without a list."""
    return ("param_scheduler",) if len(schedulers) == 1 else ("param_scheduler", str(index))


def floor_of(scheduler: Mapping[str, Any]) -> tuple[str | None, object]:
    """The option that gives the lowest lr in absolute numbers, and its value.

    Source: mmengine 0.10.7, optim/scheduler/param_scheduler.py.
    """
    options = ("eta_min", "min_value", "min_lr", "end_lr")
    return next(((o, scheduler[o]) for o in options if scheduler.get(o)), (None, None))

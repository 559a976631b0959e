"""What param schedulers do to the lr in absolute numbers, whatever a group's own lr is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lldtool.plan import Plan

#: Ends of the names of schedulers that leave the lr alone.
_OF_OTHER_SETTINGS = ("Momentum", "WeightDecay")


def lr_schedulers(plan: Plan) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """The schedulers of the lr, with the keys that lead to them.

    None where a config has schedulers for each of several optimizers.
    """
    configured = plan.param_scheduler
    several: dict[tuple[str, ...], Any] = {("param_scheduler",): configured}
    if not isinstance(configured, dict):
        several = {("param_scheduler", str(i)): one for i, one in enumerate(configured or ())}
    for path, scheduler in several.items():
        if not isinstance(scheduler, dict) or "type" not in scheduler:
            continue
        name, setting = str(scheduler["type"]), scheduler.get("param_name", "lr")
        if setting == "lr" and not name.endswith(_OF_OTHER_SETTINGS):
            yield path, scheduler

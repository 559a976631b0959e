"""How commands get the plan that the user named."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from lldtool.errors import LldtoolError
from lldtool.plan import Plan
from lldtool.request import Request
from lldtool.source import saved_plan


def plan_of(request: Request) -> Plan:
    """The saved plan that the request names, or a dry run's.

    Raises:
        LldtoolError: neither can be had.
    """
    return plans_of([request])[0]


def plans_of(requests: Sequence[Request]) -> list[Plan]:
    """The same of several; options that only a dry run can heed are for those that have one.

    Raises:
        LldtoolError: a plan can't be had, or none can heed the options.
    """
    saved = {i: plan for i, r in enumerate(requests) if (plan := saved_plan(r.path, r.name))}
    live = [i for i in range(len(requests)) if i not in saved]
    for number in saved:
        request = requests[number]
        asked = request.cfg_options or request.auto_scale_lr or request.world_size
        if request.edits or (asked and not live):
            raise LldtoolError(
                "a saved plan can't be overridden or scaled", config=request.name,
                hint="name the config instead",
            )  # fmt: skip
    if live:
        from lldtool.dryrun import dry_runs

        saved |= dict(zip(live, dry_runs([requests[i] for i in live]), strict=True))
    return [saved[i] for i in range(len(requests))]


def near_name(pattern: str, names: Sequence[str]) -> str | None:
    """A hint at the parameter whose name is nearest to a pattern that none is like."""
    near = difflib.get_close_matches(pattern, names, n=1, cutoff=0.4)
    return f"did you mean {near[0]}?" if near else None

"""How commands get the plan that the user named."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

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
    """The same of several. Options that a saved plan can't heed are for the others.

    Raises:
        LldtoolError: a plan can't be had, or there are options and all plans are saved ones.
    """
    plans = {i: plan for i, r in enumerate(requests) if (plan := saved_plan(r.path, r.name))}
    live = [i for i in range(len(requests)) if i not in plans]
    for number in plans:
        request = requests[number]
        asked = request.cfg_options or request.auto_scale_lr or request.world_size
        if request.edits or (asked and not live):
            raise LldtoolError(
                "a saved plan can't be overridden or scaled", config=request.name,
                hint="name the config instead",
            )  # fmt: skip
    if live:
        from lldtool.dryrun import dry_runs

        plans |= dict(zip(live, dry_runs([requests[i] for i in live]), strict=True))
    return [plans[i] for i in range(len(requests))]


def named_plans_of(requests: Sequence[Request]) -> list[Plan]:
    """The same, each called as the user called it; a saved plan says of what it is one."""
    plans = zip(requests, plans_of(requests), strict=True)
    return [
        plan
        if plan.config == request.name
        else replace(plan, config=f"{request.name}, a plan of {plan.config}")
        for request, plan in plans
    ]


def require_like(pattern: str, names: Sequence[str], config: str | None = None) -> None:
    """See to it that some name is like a glob.

    Raises:
        LldtoolError: none is; with the pattern or the name that may have been meant.
    """
    if any(fnmatchcase(name, pattern) for name in names):
        return
    inside = any(pattern in name for name in names)
    hint = f"did you mean '*{pattern}*'?" if inside else near_name(pattern, names)
    raise LldtoolError(f"no parameter's name is like {pattern!r}", config=config, hint=hint)


def near_name(pattern: str, names: Sequence[str]) -> str | None:
    """A hint at the parameter whose name is nearest to a pattern that none is like."""
    near = difflib.get_close_matches(pattern, names, n=1, cutoff=0.4)
    return f"did you mean {near[0]}?" if near else None

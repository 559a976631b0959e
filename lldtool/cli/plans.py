"""How commands get the plan that the user named."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from lldtool.config import saved_plan
from lldtool.config.request import Request
from lldtool.config.selectors import anywhere, matching_pattern
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter, Plan, UntrainedParameter


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


def require_match(
    pattern: str, parameters: Sequence[Parameter | UntrainedParameter], config: str | None = None
) -> None:
    """See to it that a pattern matches some parameter.

    Raises:
        LldtoolError: it matches none; with the pattern or the name that may have been meant.
    """
    if not any(matching_pattern([pattern], p) for p in parameters):
        raise no_parameter(pattern, parameters, config)


def no_parameter(
    pattern: str, parameters: Sequence[Parameter | UntrainedParameter], config: str | None = None
) -> LldtoolError:
    """Return the error for a pattern that matches no parameter."""
    names = [p.name for p in parameters]
    if any(pattern in name for name in names):
        hint: str | None = f"did you mean {anywhere(pattern)!r}?"
    else:
        classes = {f"type:{p.module_type}" for p in parameters if isinstance(p, Parameter)}
        near = difflib.get_close_matches(pattern, [*names, *sorted(classes)], n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else None
    return LldtoolError(f"no parameter's name is like {pattern!r}", config=config, hint=hint)

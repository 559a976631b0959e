"""The plans that the user named: saved ones are read, the others dry-run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from lldtool.config import saved_plan
from lldtool.config.request import Request
from lldtool.config.selectors import anywhere, matching_pattern
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter, Plan, UntrainedParameter


def load_plan(request: Request) -> Plan:
    """Return the saved plan that the request names, or that of a dry run.

    Raises:
        LldtoolError: there is no such config, or its dry run failed.
    """
    return load_plans([request])[0]


def load_plans(requests: Sequence[Request]) -> list[Plan]:
    """Return the plan of each request. `--cfg-options` and scaling only apply to dry runs.

    Raises:
        LldtoolError: a dry run failed, or there are such options but only saved plans.
    """
    plans = {i: plan for i, r in enumerate(requests) if (plan := saved_plan(r.path, r.name))}
    live = [i for i in range(len(requests)) if i not in plans]
    for number in plans:
        request = requests[number]
        options = (request.cfg_options, request.auto_scale_lr, request.world_size)
        changed = any((*options, request.load_from))
        if request.edits or (changed and not live):
            raise LldtoolError(
                "a saved plan can't be overridden or scaled", config=request.name,
                hint="name the config instead",
            )  # fmt: skip
    if live:
        from lldtool.dryrun import dry_runs

        plans |= dict(zip(live, dry_runs([requests[i] for i in live]), strict=True))
    return [plans[i] for i in range(len(requests))]


def load_named_plans(requests: Sequence[Request]) -> list[Plan]:
    """Return the plan of each request, named as the user named it."""
    plans = zip(requests, load_plans(requests), strict=True)
    return [
        plan
        if plan.config == request.name
        else replace(plan, config=f"{request.name}, a plan of {plan.config}")
        for request, plan in plans
    ]


def require_match(
    pattern: str, parameters: Sequence[Parameter | UntrainedParameter], config: str | None = None
) -> None:
    """Raise an LldtoolError if a pattern matches no parameter."""
    if not any(matching_pattern([pattern], p) for p in parameters):
        raise no_parameter(pattern, parameters, config)


def no_parameter(
    pattern: str, parameters: Sequence[Parameter | UntrainedParameter], config: str | None = None
) -> LldtoolError:
    """Return the error for a pattern that matches no parameter, with a suggestion."""
    names = [p.name for p in parameters]
    if any(pattern in name for name in names):
        hint: str | None = f"did you mean {anywhere(pattern)!r}?"
    else:
        classes = {f"type:{p.module_type}" for p in parameters if isinstance(p, Parameter)}
        near = difflib.get_close_matches(pattern, [*names, *sorted(classes)], n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else None
    return LldtoolError(f"no parameter's name is like {pattern!r}", config=config, hint=hint)

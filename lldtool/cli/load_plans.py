"""The plans that the user named: saved ones are read, the others dry-run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from lldtool.config import plan_in_file, saved_plan
from lldtool.config.request import Request
from lldtool.config.selectors import anywhere, matching_pattern
from lldtool.errors import LldtoolError
from lldtool.files import is_checkpoint
from lldtool.plan import Parameter, Plan, UntrainedParameter


def load_plan(request: Request, *, whole: bool = False) -> Plan:
    """Return the plan that the request names, saved or in a checkpoint, or that of a dry run.

    Arguments and errors as `load_plans`.
    """
    return load_plans([request], whole=whole)[0]


def load_plans(requests: Sequence[Request], *, whole: bool = False) -> list[Plan]:
    """Return the plan of each request. `--cfg-options` and scaling only apply to dry runs.

    Args:
        requests: for configs, saved plans and checkpoints.
        whole: also dry-run the configs of checkpoints, for reasons and lr curves.

    Raises:
        LldtoolError: a dry run failed, or there are such options but only saved plans.
    """
    in_file = saved_plan if whole else plan_in_file
    plans = {i: plan for i, r in enumerate(requests) if (plan := in_file(r.path, r.name))}
    live = [i for i in range(len(requests)) if i not in plans]
    has_configs = any(not is_checkpoint(requests[i].path) for i in live)
    for number, request in enumerate(requests):
        if number in plans or is_checkpoint(request.path):
            kind = "checkpoint" if is_checkpoint(request.path) else "saved plan"
            # Beside a config, the options are for that; edits are of the config itself.
            own = _unchanged(request) if has_configs else request
            own.require_unchanged(kind)
    if live:
        from lldtool.dryrun import dry_run, dry_runs

        # What a checkpoint tells of itself is not all, and torch is imported anyway.
        checkpoints = [i for i, r in enumerate(requests) if is_checkpoint(r.path)]
        plans |= {i: dry_run(_unchanged(requests[i])) for i in checkpoints}
        configs = [i for i in live if i not in checkpoints]
        if configs:
            plans |= dict(zip(configs, dry_runs([requests[i] for i in configs]), strict=True))
    return [plans[i] for i in range(len(requests))]


def _unchanged(request: Request) -> Request:
    """Return the request without the options, but for edits, that configs beside it may have."""
    return replace(request, cfg_options=(), auto_scale_lr=False, world_size=None, load_from=None)


def load_plans_at_one_step(requests: Sequence[Request]) -> list[Plan]:
    """Return the named plan of each request; without a step of its own, at the first checkpoint's.

    Raises:
        LldtoolError: as `load_plans`, or a training has no such step.
    """
    first = next((r for r in requests if is_checkpoint(r.path)), None)
    if first is None:
        return load_named_plans(requests)
    from lldtool.checkpoint import read_checkpoint
    from lldtool.checkpoint.plans import step_of

    checkpoint = read_checkpoint(first.path, first.name)
    step, epoch_length = step_of(checkpoint), checkpoint.epoch_length
    if step is None:
        return load_named_plans(requests)
    plans = load_named_plans([
        request
        if is_checkpoint(request.path)
        else replace(request, at=step, length=request.length.in_checkpoint(epoch_length))
        for request in requests
    ])  # fmt: skip
    for plan in plans:
        if plan.step is None:
            raise LldtoolError(
                "a saved plan does not have the settings of the checkpoint's step",
                config=plan.config,
                hint="name the config instead",
            )
    return plans


def load_named_plans(requests: Sequence[Request], *, whole: bool = False) -> list[Plan]:
    """Return the plan of each request, named as the user named it; arguments as `load_plans`."""
    plans = zip(requests, load_plans(requests, whole=whole), strict=True)
    return [
        plan
        if plan.config == request.name
        else replace(plan, config=f"{request.name}, a plan of {plan.config}")
        for request, plan in plans
    ]


def require_resumable(request: Request) -> None:
    """Raise an LldtoolError if a request names something else than a config to resume."""
    if is_checkpoint(request.path):
        kind = "checkpoint"
    elif saved_plan(request.path, request.name) is not None:
        kind = "saved plan"
    else:
        return
    hint = "name the config instead"
    raise LldtoolError(f"a {kind} can't be resumed", config=request.name, hint=hint)


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

"""A config's train loop and param schedulers -> the `Schedule` of its plan."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lldtool.config.request import Request
from lldtool.dryrun.auto_scaling import part, train_batch_size
from lldtool.dryrun.curves import plan_curves
from lldtool.dryrun.epoch_lengths import world_size
from lldtool.dryrun.lr_hooks import lr_hooks
from lldtool.dryrun.param_groups import plain
from lldtool.dryrun.param_schedulers import SchedulerError, resolved, schedulers_of_each
from lldtool.dryrun.registries import class_named, type_name
from lldtool.dryrun.runners import is_mmengines
from lldtool.dryrun.stepping import stepped
from lldtool.dryrun.train_loop import TrainLoop, train_loop
from lldtool.errors import LldtoolError
from lldtool.plan import LENGTH_ASSUMED, Parameter, Schedule
from lldtool.text import strict_json

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training


def schedule_of(training: Training, parameters: Sequence[Parameter]) -> Schedule | None:
    """Return the schedule of a training, None if its length is unknown.

    Args:
        training: the training.
        parameters: the parameters in the optimizer's groups.
    """
    config, request = training.config, training.request
    try:
        loop = train_loop(config, request)
    except LldtoolError:
        return None
    hooks = _lr_hooks(config)
    schedule = Schedule(
        by="epoch" if loop.epochs is not None else "iteration",
        length=loop.epochs if loop.epochs is not None else loop.steps,
        epoch_length=loop.epoch_length,
        epoch_length_from=loop.epoch.source,
        batch_size=train_batch_size(config),
        world_size=world_size(config, request),
        accumulative_counts=_accumulation(config),
        ema=_ema(config),
        notes=loop.notes,
        # Another train loop or hook than mmengine's may step the schedulers in its own way.
        is_stepped=loop.is_stepped if loop.is_mmengines and not hooks else None,
        base_batch_size=_base_batch_size(config, request),
    )
    names = dict.fromkeys(p.optimizer or "" for p in parameters)
    try:
        own = schedulers_of_each(config.get("param_scheduler", None), names)
    except LldtoolError as error:
        return replace(schedule, error=error.message)
    schedule = replace(
        schedule,
        schedulers=tuple(resolved(one, loop, name) for name in own for one in own[name]),
    )
    if hooks:
        note = f"{', '.join(hooks)} set lrs, called on a runner without data"
        schedule = replace(schedule, notes=(note, *schedule.notes))
    elif not schedule.schedulers:
        note = "no param_scheduler: every lr stays as it is"
        schedule = replace(schedule, notes=(note, *schedule.notes))
    unknown = []
    try:
        stepping = loop.for_stepping([one for each in own.values() for one in each])
    except LldtoolError as error:
        unknown.append(error.message)
    else:
        if stepping.is_assumed:
            unknown.append(LENGTH_ASSUMED)
    digest = _digest(schedule, loop, parameters, hooks)
    exact = not unknown
    schedule = replace(schedule, unknown=tuple(unknown), exact=exact, digest=digest)
    return _with_curves(schedule, training)


def _with_curves(schedule: Schedule, training: Training) -> Schedule:
    """Return the schedule with its curves, or with the error that training would crash with."""
    if training.request.curves == "none" or schedule.error or not schedule.is_known:
        return schedule
    try:
        made = stepped(training, only_main=training.request.curves == "main")
    except SchedulerError as error:
        return replace(schedule, error=error.message)
    except LldtoolError as error:
        return replace(schedule, unknown=(*schedule.unknown, error.message), exact=False)
    return replace(schedule, curves=plan_curves(schedule, made))


def _digest(
    schedule: Schedule, loop: TrainLoop, parameters: Sequence[Parameter], hooks: Sequence[str]
) -> str:
    """Return the SHA-256 of everything that determines the curves."""
    groups = {
        p.group: (p.optimizer, p.lr, p.weight_decay, sorted(p.extras.items())) for p in parameters
    }
    content = {
        "schedule": [schedule.by, schedule.length, schedule.epoch_length],
        "schedulers": schedule.schedulers,
        "accumulative_counts": schedule.accumulative_counts,
        "is_stepped": loop.is_stepped,
        "hooks": hooks,
        "groups": plain(sorted(groups.items())),
    }
    return hashlib.sha256(strict_json(content).encode()).hexdigest()


def _lr_hooks(config: Any) -> list[str]:
    """Return the names of the hooks that set lrs, or the error if one can't be built."""
    try:
        return [type(hook).__name__ for hook in lr_hooks(config) if not is_mmengines(type(hook))]
    except LldtoolError as error:
        return [error.message]


def _base_batch_size(config: Any, request: Request) -> int | None:
    """Return the batch size that the lrs are meant for, None if they are scaled."""
    settings = part(config, "auto_scale_lr")
    base = settings.get("base_batch_size", None)
    is_scaled = settings.get("enable", False) or request.auto_scale_lr
    return base if isinstance(base, int) and base > 0 and not is_scaled else None


def _accumulation(config: Any) -> int:
    counts = config.optim_wrapper.get("accumulative_counts", None)
    return counts if isinstance(counts, int) and counts > 0 else 1


def _ema(config: Any) -> dict[str, Any] | None:
    """Return the options of the hook that averages the weights, None if there is none."""
    from mmengine.hooks import EMAHook

    hooks = [*(config.get("custom_hooks", None) or ()), *part(config, "default_hooks").values()]
    for one in hooks:
        kind = class_named("HOOKS", one.get("type", None)) if isinstance(one, dict) else None
        if kind is not None and issubclass(kind, EMAHook):
            options = {key: one[key] for key in one if key != "type"}
            named: dict[str, Any] = plain({"type": type_name(one["type"]), **options})
            return named
    return None

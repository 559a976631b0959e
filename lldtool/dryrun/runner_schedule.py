"""A Runner in training -> the differences between its schedule and that of a plan."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from lldtool.plan import Plan, Schedule
from lldtool.text import setting

#: Attributes of schedulers that hold their progress, not their options.
_STATE = {
    "base_values", "last_step", "_global_step", "_last_value", "verbose", "best",
    "num_bad_epochs", "cooldown_counter",
}  # fmt: skip
#: The relative difference up to which lrs are equal; and, as a part of the highest lr, that of lrs
#: that a plan interpolates, or has for epochs of an assumed length.
_ROUNDING, _OF_PEAK = 1e-6, 0.01


def schedule_differences(runner: Any, schedule: Schedule) -> Iterator[str]:
    """Yield the differences between the schedule that a runner built and that of a plan.

    The plan's schedulers are built as well, and compared by their attributes.

    Args:
        runner: an `mmengine.Runner` with built schedulers.
        schedule: the schedule of the plan.
    """
    by = "iteration" if type(runner.train_loop).__name__.startswith("Iter") else "epoch"
    length = runner.max_iters if by == "iteration" else runner.max_epochs
    if (by, length) != (schedule.by, schedule.length):
        yield f"{schedule.length:,} {schedule.by}s → {length:,} {by}s"
    for name, built in _by_optimizer(runner.param_schedulers).items():
        planned = [s for s in schedule.schedulers if s.get("optimizer", "") == name]
        kinds, others = [s["type"] for s in planned], [type(s).__name__ for s in built]
        if kinds != others:
            yield f"schedulers {', '.join(kinds) or 'none'} → {', '.join(others) or 'none'}"
            continue
        for options, scheduler in zip(planned, built, strict=True):
            yield from _attributes_that_differ(runner, options, scheduler)


def _by_optimizer(schedulers: Any) -> Mapping[str, list[Any]]:
    if isinstance(schedulers, dict):
        return schedulers
    return {"": list(schedulers or ())}


def _attributes_that_differ(
    runner: Any, options: Mapping[str, Any], scheduler: Any
) -> Iterator[str]:
    import torch
    from mmengine.registry import PARAM_SCHEDULERS

    groups = [{"params": [torch.zeros(1)]} for _ in scheduler.optimizer.param_groups]
    momentum = 0.9 if options.get("param_name") == "momentum" else 0.0
    optimizer = torch.optim.SGD(groups, lr=1.0, momentum=momentum)
    content = {
        key: value for key, value in options.items() if key not in ("optimizer", "param_name")
    }
    if content.get("end") is None:
        by_epoch = content.get("by_epoch", True)
        content["end"] = runner.max_epochs if by_epoch else runner.max_iters
    if "ParamScheduler" in options["type"]:
        content["param_name"] = options["param_name"]
    defaults = {"optimizer": optimizer, "epoch_length": _epoch_length(runner)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            planned = PARAM_SCHEDULERS.build(content, default_args=defaults)
    except Exception:  # a class of the user's, with options that a plan only has as text
        return
    for name, value in vars(scheduler).items():
        other = vars(planned).get(name)
        is_plain = isinstance(value, (int, float, str, list, tuple, Counter, type(None)))
        if is_plain and name not in _STATE and value != other:
            yield f"{name} of {options['type']} {_shown(other)} → {_shown(value)}"


def _epoch_length(runner: Any) -> int | None:
    """Return the iterations of an epoch, or None if the data loader has no length."""
    with contextlib.suppress(TypeError):
        return len(runner.train_dataloader)
    return None


def _shown(value: object) -> str:
    if isinstance(value, Counter):
        return str(sorted(value.elements()))
    return setting(value) if isinstance(value, float) else str(value)


def lr_differences(runner: Any, plan: Plan, groups: Mapping[int, int]) -> Iterator[str]:
    """Yield the param groups whose lr in the next step differs from the plan.

    Nothing is compared if the plan has no curves, or was made for a different epoch length.

    Args:
        runner: a runner that is about to take a step.
        plan: a plan with a schedule.
        groups: param group of the plan -> param group of the runner.
    """
    schedule = plan.schedule
    assert schedule is not None
    length = _epoch_length(runner)
    if length is None or schedule.epoch_length not in (None, length):
        return
    wrapper = runner.optim_wrapper
    wrappers = wrapper.values() if hasattr(wrapper, "values") else [wrapper]
    running = [group for one in wrappers for group in one.optimizer.param_groups]
    for group, own in groups.items():
        curve = schedule.curve_of(group, "lr")
        if curve is None or "lr" not in running[own]:
            continue
        step = runner.iter / length if curve.unit == "epoch" else runner.iter
        expected = curve.value_at(step) * curve.factor(group)
        is_exact = schedule.exact and step in curve.at
        peak = max(map(abs, curve.value)) * curve.factor(group)
        lr = float(running[own]["lr"])
        near = 0.0 if is_exact else _OF_PEAK * peak
        if not math.isclose(lr, expected, rel_tol=_ROUNDING, abs_tol=near):
            names = (p.name for p in plan.trained if p.group == group)
            yield f"lr of {next(names, group)} {setting(expected)} → {setting(lr)}"

"""The plan of a config, and what it is resumed with -> the plan of the resumed training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lldtool.analysis.lr_curves import LrCurves
from lldtool.analysis.plan_curves import lr_curves
from lldtool.dryrun.curves import plan_curves
from lldtool.dryrun.param_groups import setting_of
from lldtool.dryrun.resuming import Resumed
from lldtool.plan import Parameter, Plan, Reason, Reasons, Schedule

#: The reason of a setting that a checkpoint gives.
_CHECKPOINT = Reason("checkpoint")


def resumed_plan(fresh: Plan, resumed: Resumed, *, has_optimizer: bool) -> Plan:
    """Return the plan of the training as it goes on.

    Args:
        fresh: the plan of the config.
        resumed: what it is resumed with.
        has_optimizer: the checkpoint has the state of the optimizer.
    """
    schedule = fresh.schedule
    if schedule is not None:
        schedule = _schedule(schedule, resumed)
    return replace(
        fresh,
        parameters=tuple(_parameter(p, resumed, has_optimizer) for p in fresh.parameters),
        schedule=schedule,
        step=resumed.step,
        notes=(*fresh.notes, *resumed.notes),
        auto_scale_lr=1.0 if has_optimizer else fresh.auto_scale_lr,
    )


def resumed_curves(plan: Plan, resumed: Resumed) -> LrCurves | None:
    """Return the lr of every layer in every step from the next one on; None where not known."""
    made = resumed.made
    if made is None or plan.schedule is None or resumed.loop.steps == 0:
        return None
    curves = lr_curves(plan, lambda group: made.tracks[group][0].values)
    loop = made.loop
    return replace(curves, unit=loop.unit, steps=loop.steps, epochs=loop.epochs, spans=())


def _parameter(p: Parameter, resumed: Resumed, has_optimizer: bool) -> Parameter:
    group, base = resumed.groups[p.group], resumed.base.get(p.optimizer or "", {})
    lr, base_lr = setting_of(group, "lr"), setting_of(base, "lr")
    scale = setting_of(group, "lr_scale") if "lr_scale" in group else p.lr_scale
    if "lr_scale" not in group and lr is not None and base_lr:
        scale = lr / base_lr
    state = p.state
    if state in ("trained", "zero_lr") and lr is not None:
        tracks = resumed.made.tracks[p.group] if resumed.made is not None else ()
        lrs = tracks[0].values if tracks else (lr,)
        state = "trained" if any(lrs) or lr != 0 else "zero_lr"
    return replace(
        p,
        lr=lr,
        lr_scale=scale,
        weight_decay=setting_of(group, "weight_decay"),
        state=state,
        reason=Reasons(_CHECKPOINT, _CHECKPOINT) if has_optimizer else p.reason,
    )


def _schedule(schedule: Schedule, resumed: Resumed) -> Schedule:
    states = [state for own in resumed.schedulers.values() for _, state in own]
    options = schedule.schedulers
    if len(options) == len(states):
        pairs = zip(options, states, strict=True)
        options = tuple(_options(one, state) for one, state in pairs)
    content = (resumed.step, resumed.loop.steps, resumed.groups, resumed.schedulers)
    schedule = replace(
        schedule,
        schedulers=options,
        error=None,  # of the schedulers as they would begin
        digest=hashlib.sha256(repr(content).encode()).hexdigest(),
        epoch_length=resumed.loop.epoch_length,
        epoch_length_from=resumed.loop.epoch.source,
    )
    if resumed.made is None:
        unknown = () if resumed.no_curves is None else (resumed.no_curves.message,)
        return replace(schedule, exact=False, unknown=(*schedule.unknown, *unknown))
    if resumed.loop.steps == 0:
        return schedule
    step = resumed.step
    first = step.epoch if resumed.loop.unit == "epoch" else step.iteration
    return replace(schedule, curves=plan_curves(schedule, resumed.made, first))


def _options(configured: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a scheduler as they are in its state, unless that is damaged."""
    options = dict(configured)
    for key, value in configured.items():
        found = state.get(key, value)
        if key == "milestones" and isinstance(found, dict):
            found = _milestones(found)
        if _kind(found) == _kind(value) or (value is None and _kind(found) == "number"):
            options[key] = found
    # What was converted is in iterations now.
    return options | {"convert_to_iter_based": False}


def _milestones(counts: Mapping[str, Any]) -> list[int] | None:
    """Return the milestones of which a scheduler keeps the counts; None where these are damaged."""
    if not all(at.isdecimal() and isinstance(n, int) and n < 100 for at, n in counts.items()):
        return None
    return sorted(int(at) for at, n in counts.items() for _ in range(n))


def _kind(value: object) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return "number" if is_number else type(value).__name__

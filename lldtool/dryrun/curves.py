"""The values of each step -> the curves of the layers, and those of a plan."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lldtool.analysis.lr_curves import LrCurve, LrCurves, rises_again
from lldtool.analysis.plan_curves import lr_curves
from lldtool.config.request import Length
from lldtool.dryrun.lr_hooks import unfollowed_hooks
from lldtool.dryrun.param_schedulers import schedulers_in
from lldtool.dryrun.sampling import sampled
from lldtool.dryrun.stepping import Stepped, stepped
from lldtool.dryrun.train_loop import assumed_loop
from lldtool.errors import LldtoolError
from lldtool.plan import Curve, Plan, Schedule
from lldtool.plan.schedule import Unit, unit_of
from lldtool.text import layer_name

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training

#: Stepping a training with more steps takes seconds.
_MOST_STEPS = 50_000
#: Relative difference up to which values count as those of another group times a factor.
_ROUNDING = 1e-9


def lr_rises_again(training: Training, plan: Plan) -> bool:
    """Whether some lr rises after it has fallen; False for a training too long to step.

    Where the config does not say how long the training is, a length is assumed.

    Args:
        training: the training to step.
        plan: its plan.

    Raises:
        LldtoolError: training would fail at a scheduler.
    """
    config, request = training.config, training.request
    configured = list(schedulers_in(config.get("param_scheduler", None)))
    loop = assumed_loop(config, request, configured)
    if loop.steps > _MOST_STEPS:
        return False
    length = Length(loop.epoch_length, epochs=loop.epochs)
    made = stepped(replace(training, request=replace(request, length=length)))
    groups = {p.group for p in plan.trained}
    return any(rises_again(made.tracks[group][0].values) for group in groups)


def stepped_curves(training: Training, plan: Plan, made: Stepped) -> LrCurves:
    """Return the lr of every layer in every step.

    Args:
        training: the training that was stepped.
        plan: its plan.
        made: the values of each step.

    Raises:
        LldtoolError: an lr gets too large to be a number.
    """
    every = made.loop.epoch_length if made.loop.is_assumed else 1
    followed = set(unfollowed_hooks(training.config))  # by a schedule
    plan = replace(plan, notes=tuple(n for n in plan.notes if n not in followed))
    if plan.schedule is not None:
        kept = plan_curves(plan.schedule, made)
        plan = replace(plan, schedule=replace(plan.schedule, curves=kept))
    curves = lr_curves(plan, lambda group: made.tracks[group][0].values[::every])
    _require_finite(curves.curves, curves.unit)
    return curves


def plan_curves(schedule: Schedule, made: Stepped, first: int = 0) -> tuple[Curve, ...]:
    """Return the curves of a plan: one for all groups whose values differ by a factor only.

    Args:
        schedule: the schedule of the plan, without curves.
        made: the values of each step.
        first: the step that they begin with.
    """
    loop = made.loop
    every = loop.epoch_length or 1 if loop.is_assumed else 1
    unit: Unit = "epoch" if loop.is_assumed else loop.unit
    bounds = {bound - first for bound in _bounds(schedule, unit)}
    members: dict[tuple[str, str, bytes], list[int]] = defaultdict(list)
    values: dict[tuple[str, str, bytes], array[float]] = {}
    for group, (optimizer, tracks) in enumerate(zip(made.optimizers, made.tracks, strict=True)):
        for track in tracks:
            key = (optimizer, *track.shape)
            members[key].append(group)
            values[key] = track.values[::every]
    found = []
    for alike in _proportional(values):
        (base, _), *_ = alike
        at = sampled(values[base], bounds)
        own = [(g, factor) for key, factor in alike for g in members[key]]
        groups, factors = zip(*sorted(own), strict=True)
        is_one = all(factor == 1.0 for factor in factors)
        value = tuple(values[base][i] for i in at)
        steps = tuple(first + i for i in at)
        found.append(Curve(groups, base[1], unit, steps, value, () if is_one else factors))
    return tuple(found)


def _bounds(schedule: Schedule, unit: Unit) -> Iterator[int]:
    """Yield the steps at which schedulers begin or end, and the steps before."""
    for options in schedule.schedulers:
        length = schedule.length_of(unit_of(options), unit) or 1
        for key in ("begin", "end"):
            bound = options.get(key)
            if isinstance(bound, (int, float)) and math.isfinite(bound):
                step = math.floor(bound * length)
                yield from (step, step - 1)


def _proportional(
    values: dict[tuple[str, str, bytes], array[float]],
) -> list[list[tuple[tuple[str, str, bytes], float]]]:
    """Return lists of the keys whose values are proportional, with factors relative to the first.

    The first of each list has the highest values.
    """
    import numpy as np

    arrays = {key: np.frombuffer(own, dtype=np.float64) for key, own in values.items()}
    found: list[list[tuple[tuple[str, str, bytes], float]]] = []
    for key in sorted(arrays, key=lambda key: -float(arrays[key].max())):
        own = arrays[key]
        for alike in found:
            base = alike[0][0]
            peak = int(arrays[base].argmax())
            factor = float(own[peak] / arrays[base][peak]) if arrays[base][peak] > 0 else 0.0
            is_same = base[:2] == key[:2] and factor > 0
            if is_same and np.allclose(own, arrays[base] * factor, rtol=_ROUNDING, atol=0.0):
                alike.append((key, factor))
                break
        else:
            found.append([(key, 1.0)])
    return found


def _require_finite(curves: Sequence[LrCurve], unit: str) -> None:
    """Check that every lr is finite.

    Raises:
        LldtoolError: an lr is infinite or NaN.
    """
    for curve in curves:
        if all(map(math.isfinite, curve.lrs)):
            continue
        step = next(i for i, lr in enumerate(curve.lrs) if not math.isfinite(lr))
        layer = curve.layer_id
        where = curve.parameters[0] if layer is None else f"layer {layer_name(layer)}"
        raise LldtoolError(f"the lr of {where} is {curve.lrs[step]} in {unit} {step}")

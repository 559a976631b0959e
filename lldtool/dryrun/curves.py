"""What the schedulers did in each step -> the curves of the layers, and those of a plan."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lldtool.analysis.lr_curves import LrCurve, LrCurves
from lldtool.config.request import Length
from lldtool.dryrun.lr_hooks import unfollowed_hooks
from lldtool.dryrun.param_schedulers import schedulers_in
from lldtool.dryrun.sampling import sampled
from lldtool.dryrun.stepping import Stepped, stepped
from lldtool.dryrun.train_loop import assumed_loop
from lldtool.errors import LldtoolError
from lldtool.plan import Curve, Plan
from lldtool.text import layer_name, plural

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training

#: A training with more steps takes seconds to step.
_MOST_STEPS = 50_000
#: Relative difference up to which values are those of another group times a factor.
_ROUNDING = 1e-9


def rises_again(training: Training, plan: Plan) -> bool:
    """Return whether some lr rises after it has fallen; False for a training too long to step.

    Where the config does not say how long the training is, a length is assumed.

    Args:
        training: whose schedulers are stepped.
        plan: of this training.

    Raises:
        LldtoolError: training would fail at a scheduler.
    """
    config, request = training.config, training.request
    configured = list(schedulers_in(config.get("param_scheduler", None)))
    loop = assumed_loop(config, request, configured)
    if loop.steps > _MOST_STEPS:
        return False
    length = Length(loop.epoch_length, epochs=loop.epochs)
    assumed = replace(training, request=replace(request, length=length))
    return bool(lr_curves(assumed, plan, stepped(assumed)).rising_again)


def lr_curves(training: Training, plan: Plan, made: Stepped) -> LrCurves:
    """Return the lr of every layer in every step.

    Args:
        training: whose schedulers were stepped.
        plan: of this training.
        made: by the schedulers.

    Raises:
        LldtoolError: an lr gets too large to be a number.
    """
    loop, notes = made.loop, list(made.notes)
    if others := len(plan.parameters) - len(plan.trained) + len(plan.frozen):
        verb = "is" if others == 1 else "are"
        notes.insert(0, f"{plural(others, 'tensor')} {verb} not trained, and not shown")
    curves = tuple(_curves(plan, made))
    followed = set(unfollowed_hooks(training.config))  # by a schedule
    plan = replace(plan, notes=tuple(n for n in plan.notes if n not in followed))
    epoch_length, unit, steps = loop.epoch_length, loop.unit, loop.steps
    if loop.is_assumed:
        curves = tuple(replace(c, lrs=c.lrs[:: loop.epoch_length]) for c in curves)
        epoch_length, unit, steps = None, "epoch", loop.epochs or 1
        notes.append(
            "the length of an epoch is not known: each lr is that at the start of an epoch"
        )
    _require_finite(curves, unit)
    return LrCurves(
        plan=plan,
        unit=unit,
        steps=steps,
        epochs=loop.epochs,
        epoch_length=epoch_length,
        curves=curves,
        spans=made.spans,
        notes=(*notes, *loop.notes),
    )


def plan_curves(made: Stepped) -> tuple[Curve, ...]:
    """Return the curves of a plan: one for all groups that have it, times a factor or not.

    Args:
        made: by the schedulers.
    """
    loop = made.loop
    every = loop.epoch_length or 1 if loop.is_assumed else 1
    unit = "epoch" if loop.is_assumed else loop.unit
    bounds = set(_bounds(made))
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
        found.append(Curve(groups, base[1], unit, tuple(at), value, () if is_one else factors))
    return tuple(found)


def _bounds(made: Stepped) -> Iterator[int]:
    """Yield the steps at which a scheduler begins or ends, and those before."""
    loop = made.loop
    for span in made.spans:
        for bound in (span.begin, span.end):
            step = bound
            if span.by_epoch and loop.unit == "iteration":
                step = bound * (loop.epoch_length or 1)
            if loop.is_assumed:
                step = step / (loop.epoch_length or 1)
            if step < loop.steps:
                yield from (math.floor(step), math.floor(step) - 1)


def _proportional(
    values: dict[tuple[str, str, bytes], array[float]],
) -> list[list[tuple[tuple[str, str, bytes], float]]]:
    """Return the keys of values that are the first ones' times a factor, with the factors.

    The first ones of each list are the highest.
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
    """An lr that is no number any more is the end of a training.

    Raises:
        LldtoolError: a curve has one.
    """
    for curve in curves:
        if all(map(math.isfinite, curve.lrs)):
            continue
        step = next(i for i, lr in enumerate(curve.lrs) if not math.isfinite(lr))
        layer = curve.layer_id
        where = curve.parameters[0] if layer is None else f"layer {layer_name(layer)}"
        raise LldtoolError(f"the lr of {where} is {curve.lrs[step]} in {unit} {step}")


def _curves(plan: Plan, made: Stepped) -> Iterator[LrCurve]:
    for layer in plan.layers:
        by_track: dict[tuple[str, tuple[str, bytes]], list[Any]] = {}
        for parameter in layer.trained:
            key = made.optimizers[parameter.group], made.tracks[parameter.group][0].shape
            by_track.setdefault(key, []).append(parameter)
        for (optimizer, _), members in by_track.items():
            if layer.lr is not None:
                names, track = tuple(p.name for p in members), made.tracks[members[0].group][0]
                yield LrCurve(layer.layer_id, names, layer.lr, track.values, optimizer)

"""Plan -> the lr of each of its layers over the training."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from lldtool.analysis.lr_curves import LrCurve, LrCurves, SchedulerSpan
from lldtool.analysis.samples import Samples
from lldtool.plan import Parameter, Plan, Schedule
from lldtool.plan.schedule import unit_of
from lldtool.text import plural

#: Options of schedulers that are an lr in absolute numbers, for every param group.
TARGETS = ("eta_max", "eta_min")


def why_no_curves(plan: Plan) -> str | None:
    """Return why there are no curves of a plan's schedule; None where there are."""
    schedule = plan.schedule
    if schedule is None:
        return "there is no schedule: the length of the training is not known"
    if schedule.error or not schedule.is_known:
        return schedule.error or schedule.unknown[0]
    if not schedule.curves:
        return "the plan was saved without curves: `lldtool inspect --format json` saves them"
    return None


def lr_curves(
    plan: Plan, lrs_of: Callable[[int], Sequence[float] | None] | None = None
) -> LrCurves:
    """Return the lrs of the layers of a plan.

    Args:
        plan: that has a schedule.
        lrs_of: returns the lrs of a param group in each step, None for one that has none; without
            it they are those of the plan's curves.
    """
    schedule = plan.schedule
    assert schedule is not None
    unit = "iteration" if schedule.iterations is not None else "epoch"
    steps = schedule.length if schedule.iterations is None else schedule.iterations
    if lrs_of is None:

        def lrs_of(group: int) -> Sequence[float] | None:
            curve = schedule.curve_of(group, "lr")
            return None if curve is None else Samples(curve, curve.factor(group), steps)

    notes = [*_scheduler_notes(schedule), *schedule.notes]
    if others := len(plan.parameters) - len(plan.trained) + len(plan.frozen):
        verb = "is" if others == 1 else "are"
        notes.insert(0, f"{plural(others, 'tensor')} {verb} not trained, and not shown")
    return LrCurves(
        plan=plan,
        unit=unit,
        steps=steps,
        epochs=schedule.length if schedule.by == "epoch" else None,
        epoch_length=schedule.epoch_length,
        curves=tuple(_curves(plan, lrs_of)),
        spans=tuple(spans_of(schedule)),
        notes=tuple(notes),
    )


def _curves(plan: Plan, lrs_of: Callable[[int], Sequence[float] | None]) -> Iterator[LrCurve]:
    groups: dict[int, LrCurve | None] = {}
    for layer in plan.layers:
        members: dict[tuple[object, ...], list[Parameter]] = defaultdict(list)
        first: dict[tuple[object, ...], LrCurve] = {}
        for p in layer.trained:
            if p.group not in groups:
                lrs = lrs_of(p.group)
                named = p.optimizer or ""
                groups[p.group] = LrCurve(None, (), 0.0, lrs, named) if lrs is not None else None
            curve = groups[p.group]
            if curve is not None and layer.lr is not None:
                members[curve.identity].append(p)
                first.setdefault(curve.identity, curve)
        for identity, own in members.items():
            names = tuple(p.name for p in own)
            lrs, optimizer = first[identity].lrs, first[identity].optimizer
            yield LrCurve(layer.layer_id, names, layer.lr or 0.0, lrs, optimizer)


def spans_of(schedule: Schedule) -> Iterator[SchedulerSpan]:
    """Yield the schedulers of the lr."""
    for options in schedule.schedulers:
        if options.get("param_name") != "lr":
            continue
        option = next((key for key in TARGETS if _is_positive(options.get(key))), None)
        is_converted = bool(options.get("convert_to_iter_based"))
        length = schedule.length_of(unit_of(options), "iteration") if is_converted else None
        yield SchedulerSpan(
            scheduler=options["type"],
            begin=_bound(options.get("begin"), 0) * (length or 1.0),
            end=_bound(options.get("end"), math.inf) * (length or 1.0),
            by_epoch=unit_of(options) == "epoch" and length is None,
            option=option,
            target=None if option is None else float(options[option]),
            optimizer=options.get("optimizer", ""),
            ends_inside=is_converted and length is None,
        )


def _bound(value: object, default: float) -> float:
    return value if isinstance(value, (int, float)) else default


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0


def _scheduler_notes(schedule: Schedule) -> Iterator[str]:
    """Yield what a reader could not see from the numbers."""
    for options in schedule.schedulers:
        name, begin = options["type"], _bound(options.get("begin"), 0)
        by_epoch = options.get("by_epoch", True) and not options.get("convert_to_iter_based")
        length = schedule.length if options.get("by_epoch", True) else schedule.iterations
        if "monitor" in options:
            yield f"{name} waits for a metric to get worse; shown is a training where it does not"
        elif by_epoch and schedule.by == "iteration":
            reason = "a training by iterations has no epochs"
            yield f"{name} is stepped by epoch, and {reason}: it takes no step"
        elif length is not None and begin >= length:
            yield f"{name} begins after the end of the training: it does nothing"

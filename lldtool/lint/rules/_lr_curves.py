"""The lr curve of each optimizer's highest lr."""

from __future__ import annotations

from dataclasses import replace

from lldtool.plan import Curve, Plan


def main_lr_curves(plan: Plan) -> dict[str | None, tuple[float, Curve]]:
    """Return the highest lr of each optimizer before any scheduler, and its curve.

    The keys are those of the optimizers, None if there is only one. The param group's factor is
    applied to the curve. If several groups have the highest lr, the first with a curve counts.
    """
    found: dict[str | None, tuple[float, Curve]] = {}
    if plan.schedule is None:
        return found
    for optimizer in dict.fromkeys(p.optimizer for p in plan.parameters):
        own = [(p.lr or 0.0, p.group) for p in plan.parameters if p.optimizer == optimizer]
        for lr, group in sorted(own, key=lambda one: one[0], reverse=True):
            curve = plan.schedule.curve_of(group, "lr")
            if curve is not None and lr > 0:
                factor = curve.factor(group)
                values = tuple(factor * value for value in curve.value)
                found[optimizer] = lr, replace(curve, value=values)
                break
    return found

"""Hand-written schedules."""

import math

from conftest import make_parameter, make_plan

from lldtool.analysis.lr_curves import LrCurve, LrCurves, SchedulerSpan
from lldtool.plan import Schedule

EPOCHS, LENGTH, WARM_UP, FLOOR = 10, 10, 20, 1e-4


SCHEDULERS = (
    {
        "type": "LinearLR", "param_name": "lr", "begin": 0, "end": WARM_UP, "by_epoch": False,
        "start_factor": 0.05,
    },
    {
        "type": "CosineAnnealingLR", "param_name": "lr", "begin": 2, "end": EPOCHS,
        "eta_min": FLOOR,
    },
)  # fmt: skip


def lr_at(step, base):
    """Warm-up, then a cosine down, or up, to the floor."""
    if step < WARM_UP:
        return base * (step + 1) / WARM_UP
    part = (step - WARM_UP) / (EPOCHS * LENGTH - WARM_UP - 1)
    return FLOOR + (base - FLOOR) * (1 + math.cos(math.pi * part)) / 2


def schedule_of(bases, layer_ids=None):
    """A layer for each lr, all of them through the same warm-up and cosine."""
    ids = range(len(bases)) if layer_ids is None else layer_ids
    names = [f"backbone.layers.{i}.weight" for i in range(len(bases))]
    parameters = [
        make_parameter(name, layer_id=layer, lr=base)
        for name, layer, base in zip(names, ids, bases, strict=True)
    ]
    curves = [
        LrCurve(layer, (name,), base, [lr_at(i, base) for i in range(EPOCHS * LENGTH)])
        for name, layer, base in zip(names, ids, bases, strict=True)
    ]
    spans = (
        SchedulerSpan("LinearLR", 0, 20, False),
        SchedulerSpan("CosineAnnealingLR", 2, 10, True, "eta_min", FLOOR),
    )
    schedule = Schedule("epoch", EPOCHS, LENGTH, SCHEDULERS)
    plan = make_plan(*parameters, schedule=schedule)
    return LrCurves(plan, "iteration", EPOCHS * LENGTH, EPOCHS, LENGTH, tuple(curves), spans)

"""What differs between the schedules of two hand-written plans."""

import math
from dataclasses import replace

import pytest
from conftest import make_parameter, make_plan

from lldtool.analysis.diff import diff_plans
from lldtool.analysis.schedule_diff import diff_schedules
from lldtool.plan import Curve, Schedule

COSINE = {"type": "CosineAnnealingLR", "param_name": "lr", "begin": 0, "end": 40, "eta_min": 0.0}


def plan_of(*, options=COSINE, lrs=(1e-3, 1e-4), floor=0.0, curves=True, **changes):
    """A plan of two layers with a cosine to a floor."""
    length = changes.get("length", 40)
    parameters = [
        make_parameter(f"backbone.layers.{i}.weight", layer_id=i, lr=lr, group=i)
        for i, lr in enumerate(lrs)
    ]
    at = tuple(range(length))
    values = [
        tuple(floor + (lr - floor) * (1 + math.cos(math.pi * i / 40)) / 2 for i in at) for lr in lrs
    ]
    made = [Curve((i,), "lr", "epoch", at, own) for i, own in enumerate(values)]
    schedule = Schedule("epoch", **{"length": 40, "schedulers": (options,), **changes})
    return make_plan(*parameters, schedule=replace(schedule, curves=tuple(made) if curves else ()))


def test_the_same_schedule_is_identical_whatever_the_lrs():
    assert diff_schedules(plan_of(), plan_of()).identical
    assert diff_schedules(plan_of(), plan_of(lrs=(2e-3, 2e-4))).identical
    assert diff_schedules(plan_of(curves=False), plan_of(curves=False)).identical


def test_a_floor_differs_from_the_second_step_and_at_the_end():
    found = diff_schedules(plan_of(), plan_of(options=COSINE | {"eta_min": 1e-5}, floor=1e-5))
    assert not found.identical
    assert found.first == ("epoch", 0, "lr")
    assert [end.layer_id for end in found.ends] == [0, 1]
    assert found.ends[0].a < found.ends[0].b
    ((path, a, b),) = found.facts
    assert (path, a, b) == (("param_scheduler", "0", "eta_min"), 0.0, 1e-5)


def test_a_shorter_training_is_the_same_until_its_end():
    found = diff_schedules(plan_of(), plan_of(length=22))
    assert found.first == ("epoch", 21, "lr")
    assert [fact.path for fact in found.facts] == [("train_cfg", "max_epochs")]


def test_options_without_effect_are_named_and_identical():
    found = diff_schedules(plan_of(), plan_of(options=COSINE | {"note": 1}))
    assert found.identical
    assert [fact.path[-1] for fact in found.facts] == ["note"]
    result = diff_plans(plan_of(), plan_of(options=COSINE | {"note": 1}))
    assert result.identical
    assert [change.key for change in result.config] == ["param_scheduler.0.note"]


def test_without_curves_it_is_said_that_they_are_needed():
    a, b = (plan_of(curves=False, length=n) for n in (40, 50))
    assert diff_schedules(a, b).needs_curves
    assert not diff_schedules(a, plan_of(curves=False, length=50, unknown=("x",))).needs_curves


@pytest.mark.parametrize(
    "changes",
    [
        {"ema": {"type": "EMAHook", "momentum": 1e-4}},
        {"epoch_length": 7},
        {"batch_size": 64},
    ],
)
def test_what_else_acts_on_the_steps_is_compared(changes):
    both = {"epoch_length": 8, "batch_size": 32}
    found = diff_schedules(plan_of(**both), plan_of(**(both | changes)))
    assert not found.identical
    assert len(found.facts) == 1


def test_an_epoch_length_that_one_side_does_not_know_is_not_compared():
    assert diff_schedules(plan_of(), plan_of(epoch_length=8)).identical


def test_a_plan_without_a_schedule_is_not_compared():
    old = replace(plan_of(), schedule=None)
    assert diff_schedules(old, plan_of()) is None
    assert diff_plans(old, plan_of()).identical


def test_the_schedule_can_be_ignored():
    a, b = plan_of(), plan_of(length=22)
    assert not diff_plans(a, b).identical
    assert diff_plans(a, b, ignore=["schedule"]).identical

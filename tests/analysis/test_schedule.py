"""What is said of schedules: where the warm-up ends, which layers rise or end as one."""

import math

import pytest
from conftest import make_parameter, make_plan
from schedules import FLOOR, schedule_of

from lldtool.analysis.lr_curves import LrCurve, LrCurves, SchedulerSpan
from lldtool.output.schedule_document import remarks


def followed(*lrs, configured=None, spans=(), epochs=None, optimizers=("",) * 9):
    """A layer for each list of lrs; steps are iterations, of which half make one of two epochs."""
    curves = tuple(
        LrCurve(i, (f"layer{i}",), own[0] if configured is None else configured[i], own, optimizer)
        for i, (own, optimizer) in enumerate(zip(lrs, optimizers, strict=False))
    )
    plan = make_plan(*(make_parameter(f"layer{i}", layer_id=i) for i in range(len(lrs))))
    steps = len(lrs[0])
    return LrCurves(plan, "iteration", steps, epochs, epochs and steps // epochs, curves, spans)


@pytest.mark.parametrize("steps", [30, 3000, 100_000])
def test_a_slow_warm_up_is_one(steps):
    linear = [0.1 * (i + 1) / steps for i in range(steps)]
    cosine = [0.1 - 0.05 * (1 + math.cos(math.pi * i / (steps - 1))) for i in range(steps)]
    for lrs in (linear, cosine):
        assert followed([*lrs, *reversed(lrs)]).warm_up in (steps - 2, steps - 1)


def test_rounding_is_no_warm_up():
    assert followed([0.1, 0.1 * (1 + 2e-16), 0.1, 0.1]).warm_up == 0


@pytest.mark.parametrize("end", [2, 2.5, 3.0, 1e9, math.inf])
def test_a_scheduler_may_end_anywhere(end):
    span = SchedulerSpan("LinearLR", 0, end, True)
    lrs = [0.1 * (i + 1) for i in range(12)]
    made = followed(lrs, spans=(span,), epochs=4)
    assert made.warm_up == {2: 5, 2.5: 8, 3.0: 8}.get(end, 0)


def test_what_rises_is_above_where_it_was():
    made = followed([1.0, 2.0], [2.0, 1.0], [-1.0, -1.0], [-1.0, -0.5], [0.0, 0.0])
    assert sorted(curve.layer_id for curve in made.rising) == [0, 3]


@pytest.mark.parametrize(
    ("lrs", "rises"),
    [
        ([1.0, 2.0, 3.0, 1.0, 0.0], False),
        ([3.0, 1.0, 2.0], True),
        ([1.0, 3.0, 2.0, 2.5, 0.0], True),
        ([1.0, 1.0, 1.0], False),
        ([1.0, 1e-20, 2e-20], False),
        ([2.0, *(1.0 + 1e-7 * i for i in range(10_000))], True),
    ],
)
def test_what_rises_again_has_fallen_before(lrs, rises):
    assert bool(followed(lrs).rising_again) is rises


def test_only_a_scheduler_that_acts_is_the_reason():
    late = SchedulerSpan("CosineAnnealingLR", 7, 9, True, "eta_min", 2.0)
    acts = SchedulerSpan("PolyLR", 0, 9, True, "eta_min", 2.0)
    made = followed([1.0, 2.0], [0.5, 2.0], spans=(late, acts), epochs=2)
    assert made.why_rising() == made.why_converged() == acts
    assert followed([1.0, 2.0], spans=(late,), epochs=2).why_rising() is None


def test_layers_that_end_as_one_are_those_that_the_constructor_sets_apart():
    made = followed([1.0, 0.5], [1.0, 0.5], [1.0, 0.0], [1.0, 0.0], configured=(1.0, 2.0, 3.0, 4.0))
    assert {curve.layer_id for curve in made.converged} == {0, 1}
    assert not followed([1.0, 0.5], [1.0, 0.5]).converged


def test_a_warm_up_is_told_of_the_optimizer_that_has_one():
    lrs = [0.5, 1.0, 0.5, 0.4], [1.0, 1.1, 1.2, 1.3]
    made = followed(*lrs, optimizers=("gen", "dis"))
    assert made.warmed_up == {"gen": 1, "dis": 0}
    assert "layer 1 rises over the training" in remarks(made)[0]
    assert "rises after the warm-up" in remarks(schedule_of([FLOOR / 2, 1.0]))[0]

"""The steps that a curve keeps draw the curve that all steps draw."""

import math

import pytest

from lldtool.dryrun.sampling import sampled
from lldtool.plan import Curve

STEPS = 30_000


def cosine(i):
    return (1 + math.cos(math.pi * i / (STEPS - 1))) / 2


CURVES = {
    "cosine": cosine,
    "warm-up and cosine": lambda i: i / 1500 if i < 1500 else cosine(i),
    "milestones": lambda i: 0.1 ** ((i >= 20_000) + (i >= 27_000)),
    "stairs of a cosine": lambda i: cosine(i - i % 100),
    "polynomial": lambda i: (1 - i / STEPS) ** 0.9,
    "exponential": lambda i: 0.9997**i,
    "restarts": lambda i: cosine((i % 3000) * 10),
    "constant": lambda _: 0.3,
    "zero": lambda _: 0.0,
    "negative": lambda i: 1 - 2 * i / STEPS,
}


@pytest.mark.parametrize("name", CURVES)
def test_lines_between_the_kept_steps_are_near_all_values(name):
    values = [CURVES[name](i) for i in range(STEPS)]
    kept = sampled(values, {1500, 1499})
    assert len(kept) < 256
    assert kept == sorted(set(kept))
    assert {0, STEPS - 1, 1500, 1499} <= set(kept)
    curve = Curve((0,), "lr", "iteration", tuple(kept), tuple(values[i] for i in kept))
    assert {max(values), min(values)} <= set(curve.value)
    off = max(abs(curve.value_at(i) - values[i]) for i in range(STEPS))
    stair = math.pi / 2 * 100 / STEPS if "stairs" in name else 0
    assert off <= 0.005 * max(map(abs, values)) + stair


def test_both_steps_of_a_jump_are_kept():
    kept = sampled([CURVES["milestones"](i) for i in range(STEPS)])
    assert {19_999, 20_000, 26_999, 27_000} <= set(kept)


def test_a_short_curve_keeps_all_steps_and_bounds_outside_are_none():
    assert sampled([0.1] * 200, {500, -1}) == list(range(200))
    assert sampled([0.1] * 300, {500, -1}) == [0, 299]


def test_a_curve_ends_as_it_began_outside_of_its_steps():
    curve = Curve((3, 5), "lr", "epoch", (0, 10, 11), (1.0, 2.0, 0.5), (1.0, 0.25))
    assert [curve.value_at(x) for x in (-1, 0, 5, 10, 10.5, 11, 99)] == [
        1.0, 1.0, 1.5, 2.0, 1.25, 0.5, 0.5,
    ]  # fmt: skip
    assert (curve.factor(3), curve.factor(5)) == (1.0, 0.25)

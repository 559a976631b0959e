"""What `lldtool schedule` shows, from hand-written schedules."""

import csv
import io
import math

import pytest
from conftest import make_parameter, make_plan
from schedules import EPOCHS, FLOOR, LENGTH, schedule_of

from lldtool.analysis.lr_curves import LrCurve, LrCurves, SchedulerSpan
from lldtool.errors import LldtoolError
from lldtool.output.csv_formats import schedule_csv
from lldtool.output.formats import written
from lldtool.output.schedule_document import points_of, remarks, schedule_document


def shown(schedule, width=80, at=()):
    return written(schedule_document(schedule, points_of(schedule, at)), "table", width=width)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_layers(snapshot, width):
    assert shown(schedule_of([2e-5, 5e-5, 3e-4, 1e-3]), width) == snapshot


def test_layers_of_one_lr_are_one_row(snapshot):
    assert shown(schedule_of([1e-4, 1e-3, 1e-3, 1e-3])) == snapshot


def test_without_layers_modules_are_named(snapshot):
    assert shown(schedule_of([1e-3, 1e-3, 1e-2], [None] * 3)) == snapshot


def test_more_points_than_fit_come_in_parts(snapshot):
    assert shown(schedule_of([1e-4, 1e-3]), at=range(EPOCHS)) == snapshot


def test_a_reason_is_told_only_where_it_holds():
    schedule = schedule_of([2e-5, 5e-5, 1e-3])
    lower = SchedulerSpan("CosineAnnealingLR", 2, 10, True, "eta_min", FLOOR / 2)
    unexplained = LrCurves(
        schedule.plan, "iteration", 100, EPOCHS, LENGTH, schedule.curves, (lower,)
    )
    assert all("eta_min" in line for line in remarks(schedule))
    assert not any("eta_min" in line for line in remarks(unexplained))


@pytest.mark.parametrize("lr", [math.inf, -math.inf, math.nan])
def test_an_lr_that_overflows_is_shown_without_a_curve(lr):
    for lrs in ([lr] * 4, [0.1, 0.2, lr, lr]):
        plan = make_plan(make_parameter("a", layer_id=0))
        curve = LrCurve(0, ("a",), 0.1, lrs)
        schedule = LrCurves(
            plan, "iteration", 4, 2, 2, (curve,), (SchedulerSpan("S", 0, 4, False),)
        )
        assert "▄▄▄▄" in shown(schedule)


def test_the_csv_has_every_step():
    schedule = schedule_of([2e-5, 1e-3])
    rows = list(csv.DictReader(io.StringIO(schedule_csv([schedule], None))))
    assert [float(row["lr"]) for row in rows] == [x for c in schedule.curves for x in c.lrs]


def test_a_point_after_the_end_is_an_error():
    with pytest.raises(LldtoolError, match="the training has 10 epochs"):
        points_of(schedule_of([1e-3]), [11])

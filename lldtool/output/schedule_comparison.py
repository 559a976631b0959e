"""Several schedules -> what `lldtool schedule A B` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lldtool.analysis.lr_curves import LrCurve, LrCurves
from lldtool.output.comparison import Comparison, letters
from lldtool.output.document import (
    Cell,
    Column,
    Curve,
    Document,
    Facts,
    Notes,
    Row,
    Section,
    Table,
    listed,
    styled,
)
from lldtool.output.schedule_document import CURVE_COLUMN, all_notes, point_column
from lldtool.output.schedule_words import length, scheduler_words
from lldtool.text import lr


def schedules_document(
    schedules: Sequence[LrCurves], points: Sequence[Mapping[str, int]]
) -> Document:
    """Return the lrs of the layers of several configs below each other.

    Args:
        schedules: the schedules to show.
        points: title -> step for each schedule, from `points_of`.
    """
    titles = letters(len(schedules))
    legend = [
        (title, listed([schedule.plan.config, *_about(schedule)], " · "))
        for title, schedule in zip(titles, schedules, strict=True)
    ]
    notes = dict.fromkeys(note for schedule in schedules for note in all_notes(schedule))
    return Document([
        Section([Facts(legend, style="bold")]),
        Section([_table(schedules, points, titles)]),
        *([Section([Notes(list(notes))])] if notes else []),
    ])  # fmt: skip


def _about(schedule: LrCurves) -> list[str]:
    made = schedule.plan.schedule
    assert made is not None
    return [*length(made), *(scheduler_words(options) for options in made.schedulers)]


def _table(
    schedules: Sequence[LrCurves], points: Sequence[Mapping[str, int]], titles: Sequence[str]
) -> Table:
    """Return a row for each layer and each different curve of it, with the letters that have it."""
    plans = tuple(schedule.plan for schedule in schedules)
    comparison = Comparison(plans, tuple(titles), ())
    curves = [
        {name: curve for curve in schedule.curves for name in curve.parameters}
        for schedule in schedules
    ]
    names = list(dict.fromkeys(title for own in points for title in own))
    rows = []
    for number, row in enumerate(comparison.rows):
        label = comparison.alignment.labels[number] or comparison.contents[number]
        sharing: dict[object, tuple[LrCurve, int, list[str]]] = {}
        for i, layer in enumerate(row):
            curve = curves[i].get(layer.trained[0].name) if layer and layer.trained else None
            if curve is not None:
                key = curve.identity, schedules[i].steps
                sharing.setdefault(key, (curve, i, []))[2].append(titles[i])
        for at, (curve, i, letters_) in enumerate(sharing.values()):
            lrs: list[Cell] = [
                lr(curve.lrs[points[i][name]]) if name in points[i] else "" for name in names
            ]
            title = "".join(letters_) if len(sharing) > 1 or len(letters_) < len(titles) else "all"
            first: list[Cell] = ["" if at else label, styled((title, "bold"))]
            rows.append(Row([*first, *lrs, Curve(curve.lrs)]))
    columns = [Column("layer", "right", "bold"), Column("")]
    columns += [point_column(name, "green") for name in names]
    return Table([*columns, CURVE_COLUMN], rows, repeated=2)

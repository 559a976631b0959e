"""Plan, LrCurves, Comparison -> CSV, for scripts and for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from lldtool.analysis.lr_curves import LrCurves
from lldtool.output.comparison import WEIGHT_DECAY_DIFFERS, Comparison
from lldtool.output.schedule_document import names_of
from lldtool.plan import Plan
from lldtool.text import printable

_COLUMNS = (
    "name", "shape", "numel", "dtype", "module_type", "layer_id",
    "lr", "lr_scale", "weight_decay", "group", "state", "optimizer", "start",
)  # fmt: skip

#: What a spreadsheet takes for the start of a formula, and a full-width form of each.
#: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def plan_csv(plan: Plan) -> str:
    """Return a row for each parameter; nothing for a setting that it lacks."""
    shapes = ("x".join(map(str, p.shape)) for p in plan.parameters)
    rows = (
        [size if column == "shape" else getattr(p, column) for column in _COLUMNS]
        for p, size in zip(plan.parameters, shapes, strict=True)
    )
    return csv_text([_COLUMNS, *rows])


def schedule_csv(schedules: Sequence[LrCurves], points: Sequence[Mapping[str, int]] | None) -> str:
    """Return a row for each layer and point, of every step where there are no points.

    Several schedules have the name of the config in each row.
    """
    several = len(schedules) > 1
    units = list(dict.fromkeys(schedule.unit for schedule in schedules))
    unit = units[0] if len(units) == 1 else "step"
    rows: list[list[object]] = [
        [*["config"] * several, "layer", "tensors", unit, "lr", "optimizer"]
    ]
    for number, schedule in enumerate(schedules):
        steps = range(schedule.steps) if points is None else points[number].values()
        config = [schedule.plan.config] * several
        for curve in schedule.curves:
            name, tensors = names_of(schedule, [curve]), len(curve.parameters)
            rows += [[*config, name, tensors, i, curve.lrs[i], curve.optimizer] for i in steps]
    return csv_text(rows)


def comparison_csv(comparison: Comparison) -> str:
    """Return a row for each layer; lr as `repr` has it, nothing where a variant has no such layer.

    `layer_id` is the role of a layer that has not the same id in every variant.
    """
    ends = [f"{title} end" for title in comparison.titles] if comparison.ends else []
    table: list[list[object]] = [["layer_id", "contents", *comparison.titles, *ends]]
    labels = comparison.alignment.labels
    rows = zip(labels, comparison.contents, comparison.rows, strict=True)
    for i, (label, contents, row) in enumerate(rows):
        lrs = (layer.lr if layer and layer.trained else "" for layer in row)
        table.append([label, contents, *lrs, *(own[i] for own in comparison.ends)])
    table.append(["", WEIGHT_DECAY_DIFFERS, *comparison.weight_decay_differs])
    return csv_text(table)


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """The rows as CSV: numbers as `repr` has them, nothing for None, and no text is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    """Return text that would start a formula with the apostrophe that makes it text."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

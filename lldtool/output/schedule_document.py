"""LrCurves -> what `lldtool schedule` shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from lldtool.analysis.lr_curves import LrCurve, LrCurves, SchedulerSpan
from lldtool.errors import LldtoolError
from lldtool.output.contents import folded, largest_modules
from lldtool.output.document import (
    Cell,
    Column,
    Curve,
    Document,
    Facts,
    Notes,
    Paragraph,
    Row,
    Section,
    Table,
    Text,
    styled,
)
from lldtool.output.schedule_words import schedule_facts
from lldtool.text import lr, plural, ranges, setting

#: What a terminal narrows names down to.
_NAMES = 16
CURVE_COLUMN = Column("curve", style="cyan", least=8, most=24, drop=4)
#: Columns that a narrow terminal leaves out, the lowest number first.
_OPTIONAL = {"75%": 1, "25%": 2, "50%": 3}
#: Marks of layers whose lr rises, and of layers that end with the same lr.
RISES, CONVERGES = "↑", "="
_MARK_COLORS = {RISES: "bold red", CONVERGES: "yellow"}


def schedule_document(schedule: LrCurves, points: Mapping[str, int]) -> Document:
    """Return a row for each layer, with its lr at some points of the training.

    Args:
        schedule: what to show.
        points: title -> step, as `points_of` has them.
    """
    notes = [Notes(found)] if (found := all_notes(schedule)) else []
    sections = [
        Section([Facts(schedule_facts(schedule.plan))]),
        Section([schedule_table(schedule, points)]),
        Section(_other_settings(schedule, points)),
        Section([*remark_lines(schedule), *notes]),
    ]
    return Document([x for x in sections if x.blocks], title=schedule.plan.config)


def points_of(schedule: LrCurves, at: Sequence[int] = ()) -> dict[str, int]:
    """Return title -> step, for the epochs or iterations of `--at`, or else for a default choice.

    Raises:
        LldtoolError: the training is shorter than that.
    """
    unit = "iteration" if schedule.steps_per_epoch is None else "epoch"
    points = {}
    for number in at:
        step = schedule.step_at(number)
        if step is None:
            ends = plural(schedule.epochs or schedule.steps, unit)
            raise LldtoolError(f"--at {number}: the training has {ends}")
        is_end = number == (schedule.epochs or schedule.steps)
        points["end" if is_end else f"{unit} {number}"] = step
    if points:
        return points
    quarters = {f"{25 * n}%": schedule.steps * n // 4 for n in (1, 2, 3)}
    warm_up = {"warm-up": schedule.warm_up} if schedule.warm_up else {}
    return {"start": 0, **warm_up, **quarters, "end": schedule.steps - 1}


def schedule_table(schedule: LrCurves, points: Mapping[str, int]) -> Table:
    """Return a row for each distinct curve."""
    rows = schedule.rows
    rising, converged = schedule.rising, schedule.converged
    marks = [RISES * (row[0] in rising) + CONVERGES * (row[0] in converged) for row in rows]
    columns: list[tuple[Column, list[Cell]]] = _name_columns(schedule, marks)
    if schedule.plan.optimizers:
        columns.append((Column("optimizer"), [row[0].optimizer for row in rows]))
    repeated = len(columns)
    for title, step in points.items():
        columns.append((point_column(title, "green"), [lr(row[0].lrs[step]) for row in rows]))
    bounds = "start" in points
    if bounds:
        columns.append((Column("min", "right", "dim"), [lr(row[0].lowest) for row in rows]))
    columns.append((CURVE_COLUMN, [Curve(row[0].lrs) for row in rows]))
    if bounds:
        columns.append((Column("max", "right", "dim"), [lr(row[0].highest) for row in rows]))
    cells = zip(*(cells for _, cells in columns), strict=True)
    return Table([column for column, _ in columns], [Row(row) for row in cells], repeated=repeated)


def point_column(title: str, style: str = "") -> Column:
    """Return the column of a point of the training."""
    return Column(title, "right", style, drop=_OPTIONAL.get(title, 0))


def _other_settings(schedule: LrCurves, points: Mapping[str, int]) -> list[Table]:
    """Return a row for each curve of another setting: momentum, weight decay."""
    made = schedule.plan.schedule
    curves = [c for c in made.curves if c.setting != "lr"] if made is not None else []
    tensors = Counter(p.group for p in schedule.plan.trained)
    rows = []
    for curve in curves:
        number = sum(tensors[group] for group in curve.groups)
        values = [
            [curve.value_at(step) * factor for step in points.values()]
            for factor in sorted({curve.factor(group) for group in curve.groups})
        ]
        cells: list[Cell] = [curve.setting, f"{number:,}"]
        cells += [
            " to ".join(dict.fromkeys(setting(own[i], 3) for own in (values[0], values[-1])))
            for i in range(len(points))
        ]
        rows.append(Row([*cells, Curve(curve.value)]))
    if not rows:
        return []
    columns = [Column("setting", style="bold"), Column("tensors", "right")]
    columns += [point_column(title) for title in points]
    columns.append(CURVE_COLUMN)
    return [Table(columns, rows, repeated=1)]


def _name_columns(schedule: LrCurves, marks: Sequence[str]) -> list[tuple[Column, list[Cell]]]:
    """Return the column with the names of the rows, and the marks before them."""
    names = [names_of(schedule, row) for row in schedule.rows]
    if not schedule.plan.has_layers:
        contents: list[Cell] = [Text(((name, ""),), ", ") for name in names]
        before: list[tuple[Column, list[Cell]]] = [(Column(""), [_marked(mark) for mark in marks])]
        return [*before * any(marks), (Column("contents", least=_NAMES), contents)]
    room, width = (max(map(len, texts), default=0) for texts in (marks, names))
    cells: list[Cell] = [
        styled(*_marked(f"{mark:>{room}}").spans, " " * (room > 0) + f"{name:>{width}}")
        for mark, name in zip(marks, names, strict=True)
    ]
    return [(Column("layer", "right", "bold"), cells)]


def _marked(marks: str) -> Text:
    return styled(*((mark, _MARK_COLORS.get(mark, "")) for mark in marks))


def remark_lines(schedule: LrCurves) -> list[Paragraph]:
    """Return what is to be said of the marked layers."""
    said = ((line[:1], line[1:]) for line in remarks(schedule))
    return [Paragraph(styled((mark, _MARK_COLORS[mark]), text), hang=2) for mark, text in said]


def remarks(schedule: LrCurves) -> list[str]:
    """Return remarks on layers whose lr rises or ends up equal, with the reason if known."""
    lines = []
    if schedule.rising:
        warmed_up = any(schedule.warmed_up[curve.optimizer] for curve in schedule.rising)
        when = "after the warm-up" if warmed_up else "over the training"
        lines.append(
            f"{RISES} the lr of {which_layers(schedule, schedule.rising)} rises {when}, "
            f"to {lr(max(curve.lrs[-1] for curve in schedule.rising))}"
            f"{_because(schedule.why_rising(), 'is above it')}"
        )
    if schedule.converged:
        ends = [curve.lrs[-1] for curve in schedule.converged]
        which = which_layers(schedule, schedule.converged)
        lines.append(
            f"{CONVERGES} the lrs of {which}, set apart by the constructor, end as one, "
            f"{' to '.join(dict.fromkeys((lr(min(ends)), lr(max(ends)))))}"
            f"{_because(schedule.why_converged(), 'is the same for all')}"
        )
    return lines


def _because(span: SchedulerSpan | None, how: str) -> str:
    if span is None or span.target is None:
        return ""
    return f": {span.option} {lr(span.target)} of {span.scheduler} {how}"


def which_layers(schedule: LrCurves, curves: Collection[LrCurve]) -> str:
    """Return the layers of curves as `layers 0 to 4`, or names of modules without layers."""
    chosen = [curve for curve in schedule.curves if curve in curves]
    ids = [curve.layer_id for curve in chosen if curve.layer_id is not None]
    if ids and len(ids) == len(chosen):
        return f"layer{'s' * (len(ids) > 1)} {ranges(ids, ' to ')}"
    return names_of(schedule, chosen)


def names_of(schedule: LrCurves, curves: Sequence[LrCurve]) -> str:
    """Return the layers of curves as `0–4`, or names of modules without layers."""
    ids = [curve.layer_id for curve in curves if curve.layer_id is not None]
    others = [curve.parameters for curve in curves if curve.layer_id is None]
    if not others:
        return ranges(ids)
    whole = [curve.parameters for curve in schedule.curves if curve not in curves]
    names = [name for parameters in others for name in parameters]
    (modules,) = largest_modules([names], [names, *whole])
    return ", ".join([ranges(ids)] * bool(ids) + folded(modules))


def row_name(schedule: LrCurves, row: Sequence[LrCurve]) -> str:
    """Return the name of a row of the table, with its optimizer if there are several."""
    names = names_of(schedule, row)
    return f"{row[0].optimizer}: {names}" if schedule.plan.optimizers else names


def all_notes(schedule: LrCurves) -> list[str]:
    """Return the notes of the schedule and of the plan."""
    return [*schedule.notes, *schedule.plan.notes]

"""Schedule -> table, JSON, CSV and Markdown."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lldtool.analysis.lr_curves import Course, Schedule, Stage
from lldtool.errors import LldtoolError
from lldtool.output.contents import folded, largest_modules
from lldtool.output.csv_formats import csv_text
from lldtool.output.old_terminal import notes_table, plain_table, rendered, wrapped
from lldtool.output.tables import markdown, markdown_table
from lldtool.text import lr, plural, printable, ranges, strict_json

#: Of the JSON of a schedule.
SCHEMA_VERSION = 1
_BLOCKS = "▁▂▃▄▅▆▇█"
#: Widths of the course, and what names are cut down to.
_COURSE, _NAMES = (8, 24), 16
#: Titles of columns.
_MARKS, _LOWEST, _COURSE_TITLE, _HIGHEST = "", "min", "course", "max"
_OPTIMIZER = "optimizer"
_STYLES = {
    "layer": "bold",
    "contents": "",
    _OPTIMIZER: "",
    _LOWEST: "dim",
    _COURSE_TITLE: "cyan",
    _HIGHEST: "dim",
}
#: What is left out first where there is no room.
_OPTIONAL = ("75%", "25%", "50%")
#: The marks of what deserves a look.
RISES, CONVERGES = "↑", "="
_MARK_COLORS = {RISES: "bold red", CONVERGES: "yellow"}


def points_of(schedule: Schedule, at: Sequence[int] = ()) -> dict[str, int]:
    """Title -> step: what `--at` names, in epochs where there are any; else the milestones.

    Raises:
        LldtoolError: the training is over by then.
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


def schedule_text(schedule: Schedule, points: Mapping[str, int], *, width: int, color: bool) -> str:
    """A row for each layer, for a terminal; in parts, where it has more points than fit.

    Args:
        schedule: what to show.
        points: title -> step, as `points_of` has them.
        width: columns of the terminal.
        color: with escape sequences for colour.
    """
    parts: list[RenderableType] = [Text(printable(schedule.plan.config), "bold")]
    parts += [Text(line, "dim") for line in wrapped(about(schedule), " · ", width)]
    for table in _tables(schedule, points, width):
        parts += [Text(), table]
    parts.append(Text())
    for line in remarks(schedule):
        text = "\n  ".join(wrapped(line.split(" "), " ", width - 2))
        parts.append(Text.assemble((text[0], _MARK_COLORS[text[0]]), text[1:]))
    parts.append(notes_table(all_notes(schedule)))
    return rendered(Group(*parts), width=width, color=color).rstrip("\n") + "\n"


def _tables(schedule: Schedule, points: Mapping[str, int], width: int) -> Iterator[Table]:
    columns = schedule_columns(schedule, points)
    if schedule.plan.has_layers and (marks := columns.pop(_MARKS, None)):
        columns["layer"] = _joined(marks, columns["layer"])
    for title in _OPTIONAL:
        if _free(columns, width) < _COURSE[0]:
            columns.pop(title, None)
    free = _free(columns, width)
    if free >= _COURSE[0]:
        sparks = [_spark(row[0], min(_COURSE[1], free)) for row in schedule.rows]
        highest = columns.pop(_HIGHEST, None)
        columns[_COURSE_TITLE] = sparks
        columns |= {_HIGHEST: highest} if highest else {}
        yield _table(columns)
        return
    fixed = {title: columns.pop(title) for title in list(columns) if title not in points}
    number = max(1, _free(fixed, width) // (max(map(_width, columns.items())) + 1))
    while columns:
        part = {title: columns.pop(title) for title in list(columns)[:number]}
        yield _table(fixed | part)


def _joined(marks: Sequence[str], names: Sequence[str]) -> list[str]:
    """Marks in the room that is before the short names of layers."""
    before, after = max(map(len, marks)), max(map(len, names))
    return [f"{mark:>{before}} {name:>{after}}" for mark, name in zip(marks, names, strict=True)]


def _table(columns: Mapping[str, Sequence[str]]) -> Table:
    table = plain_table()
    for title in columns:
        table.add_column(
            title,
            justify="left" if title in ("contents", _OPTIMIZER, _COURSE_TITLE) else "right",
            no_wrap=title != "contents",
            overflow="fold",
            style=_STYLES.get(title, "green"),
        )
    for cells in zip(*columns.values(), strict=True):
        first, *others = map(Text, cells)
        for mark, color in _MARK_COLORS.items():
            first.highlight_words([mark], color)
        table.add_row(first, *others)
    return table


def _free(columns: Mapping[str, Sequence[str]], width: int) -> int:
    """The columns of the terminal that are left for one more column, a blank before it."""
    return width - sum(_width(column) + 1 for column in columns.items())


def _width(column: tuple[str, Sequence[str]]) -> int:
    title, cells = column
    widest = max(map(len, cells))
    return max(len(title), min(_NAMES, widest) if title == "contents" else widest)


def schedule_markdown(schedule: Schedule, points: Mapping[str, int]) -> str:
    """The same as a Markdown table."""
    columns = schedule_columns(schedule, points)
    lines = [f"### {markdown(schedule.plan.config)}", ""]
    lines += [markdown(" · ".join(about(schedule))), ""]
    rows = list(zip(*columns.values(), strict=True))
    left = (_MARKS, "contents", _OPTIMIZER)
    lines += markdown_table(list(columns), rows, right=[t for t in columns if t not in left])
    lines += ["", *(f"{markdown(line)}  " for line in remarks(schedule))]
    lines += [f"\n> {markdown(note)}" for note in all_notes(schedule)]
    return "\n".join(lines) + "\n"


def schedule_csv(schedule: Schedule, points: Mapping[str, int] | None) -> str:
    """A row for each layer and point, of every step where there are no points."""
    steps = range(schedule.steps) if points is None else points.values()
    rows: list[list[object]] = [["layer", "tensors", schedule.unit, "lr", "optimizer"]]
    for course in schedule.courses:
        name, tensors = names_of(schedule, [course]), len(course.parameters)
        rows += [[name, tensors, i, course.lrs[i], course.optimizer] for i in steps]
    return csv_text(rows)


def schedule_json(schedule: Schedule, points: Mapping[str, int]) -> str:
    """The lrs at the points, with bounds, as JSON; floats read back bit for bit."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "config": schedule.plan.config,
        "unit": schedule.unit,
        "steps": schedule.steps,
        "epochs": schedule.epochs,
        "epoch_length": schedule.epoch_length,
        "points": points,
        "schedulers": [asdict(stage) for stage in schedule.stages],
        "layers": [
            {
                "layer_id": course.layer_id,
                "optimizer": course.optimizer,
                "contents": names_of(schedule, [course]),
                "parameters": course.parameters,
                "configured_lr": course.configured,
                "lr": {title: course.lrs[step] for title, step in points.items()},
                "min": course.lowest,
                "max": course.highest,
                "rises": course in schedule.rising,
                "converges": course in schedule.converged,
            }
            for course in schedule.courses
        ],
        "remarks": remarks(schedule),
        "notes": all_notes(schedule),
    }
    return strict_json(content, indent=2) + "\n"


def about(schedule: Schedule) -> list[str]:
    """How long the training is, and its schedulers of the lr."""
    if schedule.epochs is None:
        length = plural(schedule.steps, "iteration")
    else:
        length = plural(schedule.epochs, "epoch")
        if schedule.epoch_length is not None:
            length += f" of {plural(schedule.epoch_length, 'iteration')}"
    return [length, *(_stage(schedule, stage) for stage in schedule.stages)]


def _stage(schedule: Schedule, stage: Stage) -> str:
    """`CosineAnnealingLR from epoch 5, eta_min 1.00e-6`; bounds where it is not for all steps."""
    unit, length = ("epoch", 1) if stage.by_epoch else ("iteration", schedule.epoch_length or 0)
    total = float(schedule.steps if unit == "iteration" else schedule.epochs or 1)
    begin, end = float(stage.begin), float(stage.end)
    if length and unit == "iteration" and schedule.epochs is not None:
        in_epochs = begin / length, end / length
        if all(number == int(number) for number in in_epochs):
            unit, total, (begin, end) = "epoch", schedule.epochs, in_epochs
    words = [
        printable(f"{stage.optimizer}: " if stage.optimizer else "") + printable(stage.scheduler)
    ]
    words += [f"from {unit} {begin:g}"] if begin else []
    words += [f"to {'' if begin else f'{unit} '}{end:g}"] if end < total else []
    target = [] if stage.target is None else [f"{stage.option} {lr(stage.target)}"]
    return ", ".join([" ".join(words), *target])


def remarks(schedule: Schedule) -> list[str]:
    """What is to be said of layers that rise or end up equal, with the reason where it is known."""
    lines = []
    if schedule.rising:
        warmed_up = any(schedule.warmed_up[course.optimizer] for course in schedule.rising)
        when = "after the warm-up" if warmed_up else "over the training"
        lines.append(
            f"{RISES} the lr of {which_layers(schedule, schedule.rising)} rises {when}, "
            f"to {lr(max(course.lrs[-1] for course in schedule.rising))}"
            f"{_because(schedule.why_rising(), 'is above it')}"
        )
    if schedule.converged:
        ends = [course.lrs[-1] for course in schedule.converged]
        which = which_layers(schedule, schedule.converged)
        lines.append(
            f"{CONVERGES} the lrs of {which}, set apart by the constructor, end as one, "
            f"{' to '.join(dict.fromkeys((lr(min(ends)), lr(max(ends)))))}"
            f"{_because(schedule.why_converged(), 'is the same for all')}"
        )
    return lines


def _because(stage: Stage | None, how: str) -> str:
    if stage is None or stage.target is None:
        return ""
    return f": {stage.option} {lr(stage.target)} of {printable(stage.scheduler)} {how}"


def which_layers(schedule: Schedule, courses: Collection[Course]) -> str:
    """`layers 0 to 4`, or names of modules where no layers are known."""
    chosen = [course for course in schedule.courses if course in courses]
    ids = [course.layer_id for course in chosen if course.layer_id is not None]
    if ids and len(ids) == len(chosen):
        return f"layer{'s' * (len(ids) > 1)} {ranges(ids, ' to ')}"
    return names_of(schedule, chosen)


def names_of(schedule: Schedule, courses: Sequence[Course]) -> str:
    """`0–4`, or names of modules where no layers are known."""
    ids = [course.layer_id for course in courses if course.layer_id is not None]
    others = [course.parameters for course in courses if course.layer_id is None]
    if not others:
        return ranges(ids)
    whole = [course.parameters for course in schedule.courses if course not in courses]
    names = [name for parameters in others for name in parameters]
    (modules,) = largest_modules([names], [names, *whole])
    return ", ".join([ranges(ids)] * bool(ids) + folded(modules))


def row_name(schedule: Schedule, row: Sequence[Course]) -> str:
    """The names of a row of the table; with its optimizer, of several."""
    names = names_of(schedule, row)
    return f"{printable(row[0].optimizer)}: {names}" if schedule.plan.optimizers else names


def all_notes(schedule: Schedule) -> list[str]:
    """What else is to be said, of the schedule and of the plan."""
    return [*schedule.notes, *schedule.plan.notes]


def _names_title(schedule: Schedule) -> str:
    return "layer" if schedule.plan.has_layers else "contents"


def schedule_columns(schedule: Schedule, points: Mapping[str, int]) -> dict[str, list[str]]:
    """Title -> cells, a row for what follows the very same course; without the course."""
    rows = schedule.rows
    columns = {_MARKS: [_marks(schedule, row[0]) for row in rows]}
    columns[_names_title(schedule)] = [names_of(schedule, row) for row in rows]
    if schedule.plan.optimizers:
        columns[_OPTIMIZER] = [printable(row[0].optimizer) for row in rows]
    for title, step in points.items():
        columns[title] = [lr(row[0].lrs[step]) for row in rows]
    if "start" in points:
        columns[_LOWEST] = [lr(row[0].lowest) for row in rows]
        columns[_HIGHEST] = [lr(row[0].highest) for row in rows]
    if not any(columns[_MARKS]):
        del columns[_MARKS]
    return columns


def _marks(schedule: Schedule, course: Course) -> str:
    return RISES * (course in schedule.rising) + CONVERGES * (course in schedule.converged)


def _spark(course: Course, width: int) -> str:
    """The course in so many characters, from its own lowest to its highest lr."""
    low, span = course.lowest, course.highest - course.lowest
    last = len(course.lrs) - 1
    chosen = [course.lrs[round(i * last / (width - 1))] for i in range(width)]
    if span <= 0 or not all(map(math.isfinite, course.lrs)):  # an lr that overflowed
        return _BLOCKS[3] * width
    return "".join(_BLOCKS[min(7, int((x - low) / span * 8))] for x in chosen)

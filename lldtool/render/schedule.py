"""Schedule -> table, JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from rich.console import Group
from rich.text import Text

from lldtool.plan import SCHEMA_VERSION
from lldtool.render.tables import markdown, markdown_table
from lldtool.render.terminal import grid, rendered
from lldtool.schedule import Course, Schedule
from lldtool.text import lr, plural, printable

_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARK = 12


def points_of(schedule: Schedule, at: Sequence[int] = ()) -> dict[str, int]:
    """Title -> step: what `--at` names, in epochs where these are known; else the milestones."""
    last = schedule.steps - 1
    if at:
        length = 1 if schedule.unit == "epoch" or not schedule.epochs else schedule.epoch_length
        return {f"at {number}": min(number * (length or 1), last) for number in at}
    points = {"start": 0, "warm": schedule.peak, "50%": schedule.steps // 2, "end": last}
    if schedule.peak == 0:
        del points["warm"]
    return points


def schedule_text(schedule: Schedule, *, at: Sequence[int], width: int, color: bool) -> str:
    """A row for each layer, for a terminal."""
    titles, rows = _rows(schedule, at)
    table = grid()
    for title in titles:
        table.add_column(justify="left" if title in ("course", "") else "right", no_wrap=True)
    table.add_row(*(Text(title, "dim") for title in titles))
    for row in rows:
        table.add_row(*(Text(cell, "red bold" if row[-1].strip() else "") for cell in row))
    parts = [Text(printable(schedule.plan.config), "bold"), Text(_length(schedule), "dim"), Text()]
    foot = [Text(), *(Text(line) for line in remarks(schedule))]
    return rendered(Group(*parts, table, *foot), width=width, color=color)


def schedule_markdown(schedule: Schedule, *, at: Sequence[int]) -> str:
    """The same as a Markdown table."""
    titles, rows = _rows(schedule, at)
    left = ("course", "", "layer")
    lines = [f"### {markdown(printable(schedule.plan.config))}", "", _length(schedule), ""]
    lines += markdown_table(titles, rows, right=[t for t in titles if t not in left])
    return "\n".join([*lines, "", *(f"{markdown(r)}  " for r in remarks(schedule))]) + "\n"


def schedule_csv(schedule: Schedule, *, at: Sequence[int]) -> str:
    """A row for each layer and point: every step, or those of `--at`."""
    steps = points_of(schedule, at).values() if at else range(schedule.steps)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["layer", "tensors", schedule.unit, "lr"])
    for course in schedule.courses:
        name = printable(course.name)
        writer.writerows([name, len(course.parameters), i, course.lrs[i]] for i in steps)
    return out.getvalue()


def schedule_json(schedule: Schedule, *, at: Sequence[int]) -> str:
    """The lrs at the points, with bounds, as JSON; floats read back bit for bit."""
    points = points_of(schedule, at)
    content = {
        "schema_version": SCHEMA_VERSION,
        "config": schedule.plan.config,
        "unit": schedule.unit,
        "steps": schedule.steps,
        "epochs": schedule.epochs,
        "epoch_length": schedule.epoch_length,
        "points": points,
        "layers": [
            {
                "layer_id": course.layer_id,
                "name": course.name,
                "parameters": course.parameters,
                "configured_lr": course.configured,
                "lr": {title: course.lrs[step] for title, step in points.items()},
                "min": course.lowest,
                "max": course.highest,
                "rises": schedule.rises(course),
                "converges": course in schedule.converged,
            }
            for course in schedule.courses
        ],
        "floors": [{"scheduler": f.scheduler, "lr": f.lr} for f in schedule.floors],
        "notes": [*remarks(schedule)],
    }
    return json.dumps(content, indent=2) + "\n"


def remarks(schedule: Schedule) -> list[str]:
    """What is to be said of layers that rise or end up equal, with the reason where it is known."""
    lines = list(schedule.notes)
    rising = [course for course in schedule.courses if schedule.rises(course)]
    if rising:
        least = min(course.lrs[schedule.peak] for course in rising)
        above = [f for f in schedule.floors if f.lr > least]
        why = "".join(f"; eta_min {lr(f.lr)} of {printable(f.scheduler)} is above" for f in above)
        lines.append(f"↑ {plural(len(rising), 'layer')}: the lr rises over the training{why}")
    if schedule.converged:
        ends = sorted({lr(course.lrs[-1]) for course in schedule.converged})
        count = plural(len(schedule.converged), "layer")
        lines.append(f"= {count}: apart at first, at one lr in the end, {', '.join(ends)}")
    return lines


def _rows(schedule: Schedule, at: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    points = points_of(schedule, at)
    titles = ["layer", *points, *(() if at else ("min", "max")), "course", ""]
    rows = []
    for course in schedule.courses:
        bounds = [] if at else [lr(course.lowest), lr(course.highest)]
        marks = "↑" * schedule.rises(course) + "=" * (course in schedule.converged)
        values = [lr(course.lrs[step]) for step in points.values()]
        rows.append([printable(course.name), *values, *bounds, _spark(course), marks])
    return titles, rows


def _spark(course: Course) -> str:
    """The course in a few characters, from its own lowest to its highest lr."""
    low, span = course.lowest, course.highest - course.lowest
    last = len(course.lrs) - 1
    chosen = [course.lrs[round(i * last / (_SPARK - 1))] for i in range(_SPARK)]
    if span <= 0:
        return _BLOCKS[3] * _SPARK
    return "".join(_BLOCKS[min(7, int((x - low) / span * 8))] for x in chosen)


def _length(schedule: Schedule) -> str:
    if schedule.epochs is None:
        return plural(schedule.steps, "iteration")
    of = f" of {plural(schedule.epoch_length, 'iteration')}" if schedule.epoch_length else ""
    return f"{plural(schedule.epochs, 'epoch')}{of}"

"""`lldtool schedule`: the lr of every layer over the whole training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lldtool.cli.inspect import Format
from lldtool.cli.output import Color, check_writable, emit, use_color, width
from lldtool.cli.pictures import Plot
from lldtool.cli.progress import Bar
from lldtool.errors import LldtoolError
from lldtool.request import Request
from lldtool.schedule import Length, Schedule
from lldtool.source import saved_plan


def schedule(
    request: Request,
    length: Length,
    *,
    at: Sequence[int],
    form: Format,
    output: Path | None,
    color: Color,
    plot: Plot,
) -> int:
    """Step the config's schedulers, print what they do, and draw it.

    Raises:
        LldtoolError: there is no plan to be had, or the length of the training is not known.
    """
    check_writable(output, request.path)
    plot.check(output, request.path)
    if saved_plan(request.path, request.name) is not None:
        raise LldtoolError(
            "a saved plan has no schedulers to step", config=request.name,
            hint="name the config instead",
        )  # fmt: skip
    from lldtool.dryrun.schedule import dry_run_schedule
    from lldtool.render import schedule as render

    made = dry_run_schedule(request, length, progress=Bar("stepping the schedulers"))
    if not made.courses:
        raise LldtoolError("the optimizer has no lr", config=request.name)
    points = render.points_of(made, at)
    if form is Format.json:
        text = render.schedule_json(made, points)
    elif form is Format.csv:
        text = render.schedule_csv(made, points if at else None)
    elif form is Format.markdown:
        text = render.schedule_markdown(made, points)
    else:
        colored = use_color(color, output)
        text = render.schedule_text(made, points, width=width(), color=colored)
    emit(text, output)
    plot.draw(partial(_picture, made))
    return 0


def _picture(made: Schedule, form: str, dark: bool) -> bytes:
    from lldtool.render.plots import schedule_picture

    return schedule_picture(made, form, dark=dark)


def epochs_of(given: str | None) -> list[int]:
    """`0,5,10` -> its numbers.

    Raises:
        LldtoolError: one of them is none.
    """
    parts = given.split(",") if given else []
    if not all(part.strip().isdecimal() for part in parts):
        raise LldtoolError(f"--at {given}: expected numbers with commas between them")
    return [int(part) for part in parts]

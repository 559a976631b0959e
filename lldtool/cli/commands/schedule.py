"""`lldtool schedule`: the lr of every layer over the whole training."""

from __future__ import annotations

from typing import Annotated

from lldtool.cli.options import (
    ConfigArgument,
    DryRunOptions,
    LengthOptions,
    OutputOptions,
    PlotOptions,
    format_option,
    option,
)
from lldtool.cli.progress import Bar
from lldtool.config import saved_plan
from lldtool.errors import LldtoolError

POSITION = 50
#: The most digits of an epoch or iteration.
_MOST_DIGITS = 20


def schedule(
    config: ConfigArgument,
    *,
    training: LengthOptions,
    at: Annotated[str | None, option(
        "--at", metavar="N,N,...",
        help="Show the lr at the start of these epochs, or iterations if training has none.",
    )] = None,
    form: Annotated[str, format_option("table", "json", "csv")] = "table",
    output: OutputOptions,
    plot: PlotOptions,
    run: DryRunOptions,
) -> None:  # fmt: skip
    """Show how the lr of every layer changes over the training.

    Steps the config's own param schedulers as training would. Marks layers whose lr rises (↑)
    and layers that end with the same lr (=).
    """
    length, points_asked_for = training.length, _epochs(at)
    request = run.request(config, length)
    output.check(request.path)
    plot.check(output.output, request.path)
    if saved_plan(request.path, request.name) is not None:
        raise LldtoolError(
            "a saved plan has no schedulers to step", config=request.name,
            hint="name the config instead",
        )  # fmt: skip
    from lldtool.dryrun import Want, capture
    from lldtool.output.schedule_document import points_of

    want = Want(steps=True, reasons=False)
    found = capture(request, want, progress=Bar("stepping the schedulers"))
    made = found.required_schedule
    if not made.curves:
        why = "the optimizer has no lr" if made.plan.trained else "no parameter is trained"
        raise LldtoolError(why, config=request.name)
    points = points_of(made, points_asked_for)
    if form == "json":
        from lldtool.output.json_formats import schedule_json

        text = schedule_json(made, points)
    elif form == "csv":
        from lldtool.output.csv_formats import schedule_csv

        text = schedule_csv(made, points if at else None)
    else:
        from lldtool.output.schedule_document import schedule_document

        text = output.laid_out(schedule_document(made, points), form)
    output.emit(text)
    if plot.plot:
        from lldtool.output.plots import schedule_picture

        plot.save(schedule_picture, made)


def _epochs(given: str | None) -> list[int]:
    """Parse `0,5,10`.

    Raises:
        LldtoolError: it is not a list of numbers.
    """
    parts = given.split(",") if given else []
    if not all(part.strip().isdecimal() and len(part) < _MOST_DIGITS for part in parts):
        raise LldtoolError(f"--at {given}: expected numbers separated by commas")
    return [int(part) for part in parts]

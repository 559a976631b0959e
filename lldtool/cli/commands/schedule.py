"""`lldtool schedule`: the lr of every layer over the whole training."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from lldtool.analysis.lr_curves import Schedule
from lldtool.cli.commands.inspect import Format
from lldtool.cli.options import (
    AllowNetwork,
    AutoScaleLr,
    CfgOptions,
    ColorOption,
    ConfigArgument,
    Dark,
    DatasetSize,
    Device,
    EpochLength,
    Epochs,
    Output,
    PlotFile,
    Traceback,
    WorldSize,
    length,
    requests,
)
from lldtool.cli.output import Color, check_writable, emit, use_color, width
from lldtool.cli.pictures import Plot
from lldtool.cli.progress import Bar
from lldtool.config import saved_plan
from lldtool.errors import LldtoolError

#: A number of more digits than this is none of steps.
_MOST_DIGITS = 20


def schedule(
    config: ConfigArgument,
    epoch_length: EpochLength = None,
    dataset_size: DatasetSize = None,
    epochs: Epochs = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="N,N,...", show_default=False,
            help="The lr at the beginning of these epochs; iterations where there are no epochs.",
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="The form of the result.")
    ] = Format.table,
    output: Output = None,
    plot: PlotFile = None,
    dark: Dark = False,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Show the lr of every layer over the whole training.

    Steps the config's own param schedulers, as training would. Marks layers whose lr rises (↑)
    or that end at one lr (=).
    """
    duration = length(epoch_length, dataset_size, epochs)
    request = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)(config)
    picture, points_asked_for = Plot(plot, dark), _epochs(at)
    check_writable(output, request.path)
    picture.check(output, request.path)
    if saved_plan(request.path, request.name) is not None:
        raise LldtoolError(
            "a saved plan has no schedulers to step", config=request.name,
            hint="name the config instead",
        )  # fmt: skip
    from lldtool.dryrun import Want, capture
    from lldtool.output.schedule_document import points_of

    want = Want(length=duration, reasons=False)
    found = capture(request, want, progress=Bar("stepping the schedulers"))
    made = found.required_schedule
    if not made.courses:
        why = "the optimizer has no lr" if made.plan.trained else "no parameter is trained"
        raise LldtoolError(why, config=request.name)
    points = points_of(made, points_asked_for)
    if form is Format.json:
        from lldtool.output.json_formats import schedule_json

        text = schedule_json(made, points)
    elif form is Format.csv:
        from lldtool.output.csv_formats import schedule_csv

        text = schedule_csv(made, points if at else None)
    else:
        from lldtool.output.formats import written
        from lldtool.output.schedule_document import schedule_document

        document = schedule_document(made, points)
        text = written(document, form.value, width=width(), color=use_color(color, output))
    emit(text, output)
    picture.draw(partial(_picture, made))


def _picture(made: Schedule, form: str, dark: bool) -> bytes:
    from lldtool.output.plots import schedule_picture

    return schedule_picture(made, form, dark=dark)


def _epochs(given: str | None) -> list[int]:
    """`0,5,10` -> its numbers.

    Raises:
        LldtoolError: one of them is none.
    """
    parts = given.split(",") if given else []
    if not all(part.strip().isdecimal() and len(part) < _MOST_DIGITS for part in parts):
        raise LldtoolError(f"--at {given}: expected numbers with commas between them")
    return [int(part) for part in parts]

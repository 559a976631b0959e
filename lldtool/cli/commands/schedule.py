"""`lldtool schedule`: the lr of every layer over the whole training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from lldtool.analysis.lr_curves import LrCurves
from lldtool.analysis.plan_curves import lr_curves, why_no_curves
from lldtool.cli.load_plans import load_named_plans
from lldtool.cli.options import (
    ConfigArguments,
    DryRunOptions,
    LengthOptions,
    OutputOptions,
    PlotOptions,
    format_option,
    option,
)
from lldtool.cli.progress import Bar
from lldtool.config import saved_plan
from lldtool.config.request import Curves, Request
from lldtool.errors import LldtoolError

POSITION = 50
#: The most digits of an epoch or iteration.
_MOST_DIGITS = 20


def schedule(
    configs: ConfigArguments,
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
    and layers that end with the same lr (=). Several configs are shown together.
    """
    points_asked_for = _epochs(at)
    # The curves of several are compared at the few steps that a plan keeps.
    curves: Curves = "all" if len(configs) > 1 else "none"
    requests = [run.request(config, training.length, curves) for config in configs]
    paths = [request.path for request in requests]
    output.check(*paths)
    plot.check(output.output, *paths)
    from lldtool.output.schedule_document import points_of

    made = [_stepped(requests[0])] if len(requests) == 1 else _of_plans(requests)
    points = [points_of(one, points_asked_for) for one in made]
    if form == "json":
        from lldtool.output.json_formats import schedule_json, schedules_json

        is_one = len(made) == 1
        text = schedule_json(made[0], points[0]) if is_one else schedules_json(made, points)
    elif form == "csv":
        from lldtool.output.csv_formats import schedule_csv

        text = schedule_csv(made, points if at else None)
    else:
        from lldtool.output.schedule_comparison import schedules_document
        from lldtool.output.schedule_document import schedule_document

        is_one = len(made) == 1
        document = (
            schedule_document(made[0], points[0]) if is_one else schedules_document(made, points)
        )
        text = output.laid_out(document, form)
    output.emit(text)
    if plot.plot:
        from lldtool.output.plots import schedule_picture
        from lldtool.output.schedule_plots import schedules_picture

        if len(made) == 1:
            plot.save(schedule_picture, made[0])
        else:
            plot.save(schedules_picture, made)


def _stepped(request: Request) -> LrCurves:
    """Return the lr of every step of a config, or what a saved plan has of it."""
    if saved_plan(request.path, request.name) is not None:
        return _of_plans([request])[0]
    from lldtool.dryrun import Want, capture

    want = Want(steps=True, reasons=False)
    found = capture(request, want, progress=Bar("stepping the schedulers"))
    return _shown(found.required_schedule, request)


def _of_plans(requests: Sequence[Request]) -> list[LrCurves]:
    """Return the curves that plans have, saved ones or not.

    Raises:
        LldtoolError: one has none.
    """
    made = []
    for request, plan in zip(requests, load_named_plans(requests, whole=True), strict=True):
        if why := why_no_curves(plan):
            raise LldtoolError(why, config=request.name)
        made.append(_shown(lr_curves(plan), request))
    return made


def _shown(made: LrCurves, request: Request) -> LrCurves:
    """Return the curves.

    Raises:
        LldtoolError: there are none.
    """
    if not made.curves:
        why = "the optimizer has no lr" if made.plan.trained else "no parameter is trained"
        raise LldtoolError(why, config=request.name)
    return made


def _epochs(given: str | None) -> list[int]:
    """Parse `0,5,10`.

    Raises:
        LldtoolError: it is not a list of numbers.
    """
    parts = given.split(",") if given else []
    if not all(part.strip().isdecimal() and len(part) < _MOST_DIGITS for part in parts):
        raise LldtoolError(f"--at {given}: expected numbers separated by commas")
    return [int(part) for part in parts]

"""`lldtool diff`: what differs between what two configs do."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Annotated

import typer

from lldtool.analysis.diff import SETTINGS, PlanDiff, diff_plans
from lldtool.cli.options import (
    AllowNetwork,
    AutoScaleLr,
    CfgOptions,
    ColorOption,
    ConfigArgument,
    Dark,
    Device,
    Match,
    Output,
    PlotFile,
    Traceback,
    WorldSize,
    requests,
)
from lldtool.cli.output import Color, check_writable, emit, use_color, width
from lldtool.cli.pictures import Plot
from lldtool.cli.plans import named_plans_of, require_match
from lldtool.config.selectors import matching_pattern
from lldtool.errors import LldtoolError


class Format(str, Enum):
    """The form of the result."""

    table = "table"
    json = "json"
    markdown = "markdown"


class Setting(str, Enum):
    """What may be left out of the comparison."""

    lr = "lr"
    lr_scale = "lr_scale"
    weight_decay = "weight_decay"
    layer_id = "layer_id"


def diff(
    config: ConfigArgument,
    other: Annotated[
        str | None,
        typer.Argument(metavar="OTHER", help="What to compare it with.", show_default=False),
    ] = None,
    edits: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="KEY=VALUE", show_default=False,
            help="Compare CONFIG with itself after this change; DELETE as VALUE removes KEY. "
            "Repeatable.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against", metavar="REVISION", show_default=False,
            help="Compare CONFIG at this git revision with CONFIG.",
        ),
    ] = None,
    every_layer: Annotated[
        bool, typer.Option("--all", help="Also the layers that do not differ.")
    ] = False,
    params: Annotated[
        bool, typer.Option("--params", help="List every parameter that differs.")
    ] = False,
    match: Match = None,
    ignore: Annotated[
        list[Setting] | None,
        typer.Option(
            "--ignore", metavar="SETTING", show_default=False,
            help="Do not compare lr, lr_scale, weight_decay or layer_id. Repeatable.",
        ),
    ] = None,
    rtol: Annotated[
        float, typer.Option("--rtol", metavar="X", help="Relative tolerance of numbers.")
    ] = 0.0,
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
    """Show what differs between what two configs do.

    Compared are lr, lr_scale, weight decay and layer of every parameter, and the optimizer's
    options. OTHER is a CONFIG too; each may be x.py@REVISION. Instead of it, --with or --against.
    Exit code 0: the same, 1: different, 2: could not do it.
    """
    if [other is not None, bool(edits), against is not None].count(True) != 1:
        raise typer.BadParameter("give exactly one of OTHER, --with and --against")
    request = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)
    a = request(config if against is None else f"{config}@{against}")
    b = a.edited(edits) if edits else request(other or config)
    if not 0 <= rtol < 1:
        raise LldtoolError(f"--rtol {rtol}: a number from 0 to 1")
    check_writable(output, a.path, b.path)
    picture = Plot(plot, dark)
    picture.check(output, a.path, b.path)
    plans = named_plans_of([a, b])
    matched: set[str] | None = None
    if match is not None:
        everything = [p for plan in plans for p in plan.every_parameter]
        require_match(match, everything)
        matched = {p.name for p in everything if matching_pattern([match], p)}
    ignored = [setting.value for setting in ignore or ()]
    result = diff_plans(
        *plans,
        ignore=ignored,
        rtol=rtol,
        only=None if matched is None else matched.__contains__,
    )
    notes = _notes(result, ignored, match=match, rtol=rtol, of_two=not edits)
    if form is Format.json:
        from lldtool.output.json_formats import diff_json

        text = diff_json(result, notes=notes)
    else:
        from lldtool.output.diff_document import diff_document
        from lldtool.output.formats import written

        document = diff_document(
            result,
            every_layer=every_layer,
            every_parameter=params,
            notes=notes,
            sentences=form is Format.markdown,
        )
        text = written(document, form.value, width=width(), color=use_color(color, output))
    emit(text, output)
    picture.draw(partial(_picture, result))
    raise typer.Exit(0 if result.identical else 1)


def _picture(result: PlanDiff, form: str, dark: bool) -> bytes:
    from lldtool.output.comparison import Comparison
    from lldtool.output.diff_words import names_of_sides
    from lldtool.output.plots import comparison_picture

    titles = ("A", "B")
    legend = tuple(zip(titles, names_of_sides(result), strict=True))
    return comparison_picture(Comparison((result.a, result.b), titles, legend), form, dark=dark)


def _notes(
    result: PlanDiff,
    ignored: Sequence[str],
    *,
    match: str | None,
    rtol: float,
    of_two: bool,
) -> list[str]:
    """What was left out of the comparison, and what the plans have to say."""
    from lldtool.output.diff_words import scheduler_notes

    notes = [f"only names like {match}"] if match else []
    ignored = [name for name in SETTINGS if name in ignored]
    notes += [f"not compared: {', '.join(ignored)}"] if ignored else []
    notes += [f"numbers count as equal up to a relative difference of {rtol:g}"] if rtol else []
    notes += scheduler_notes(result)
    if of_two or result.identical:
        notes.append("data, length of training and other model options are not compared")
    for letter, plan in (("A", result.a), ("B", result.b)):
        if plan.optimizer.options is None:
            notes.append(f"{letter} was saved by an lldtool that recorded lr and weight decay only")
    for package, version in result.a.versions.items():
        other = result.b.versions.get(package)
        if version != other:
            notes.append(f"A was made with {package} {version}, B with {other}")
    both = [note for note in result.a.notes if note in result.b.notes]
    for letter, plan in (("A", result.a), ("B", result.b)):
        notes += [f"{letter}: {note}" for note in plan.notes if note not in both]
    return notes + both

"""`lldtool compare`: several configs, or one with several values of an entry, side by side."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from lldtool.cli.inspect import Format
from lldtool.cli.options import (
    AllowNetwork,
    AutoScaleLr,
    CfgOptions,
    ColorOption,
    Dark,
    Device,
    Output,
    PlotFile,
    Traceback,
    WorldSize,
    requests,
)
from lldtool.cli.output import Color, check_writable, emit, use_color, width
from lldtool.cli.pictures import Plot
from lldtool.cli.plans import named_plans_of
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from lldtool.render.compare import Comparison


def compare(
    configs: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG", show_default=False,
            help="Config files, mmpretrain::path/of/config.py or saved plans; also x.py@REVISION.",
        ),
    ],
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep", metavar="KEY=V1,V2,...", show_default=False,
            help="Compare one CONFIG with itself for each value of this entry.",
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
    """Show the lr of every layer in several configs side by side.

    There is a column for each config, or for each value of an entry of one.
    The last row counts the parameters whose weight decay is not that of the first column.
    """
    if sweep is None and len(configs) < 2:
        raise typer.BadParameter("two CONFIGs or more, or one and --sweep, are needed")
    if sweep is not None and len(configs) > 1:
        raise typer.BadParameter("--sweep takes one CONFIG")
    from lldtool.render import compare as render

    request = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)
    asked = [request(config) for config in configs]
    titles = render.letters(len(asked))
    legend = list(zip(titles, configs, strict=True))
    if sweep is not None:
        edits = swept(sweep)
        legend = [("config", configs[0]), ("columns", sweep.partition("=")[0])]
        asked = [asked[0].edited([edit]) for edit in edits]
        titles = [edit.partition("=")[2] for edit in edits]
    picture, paths = Plot(plot, dark), [one.path for one in asked]
    check_writable(output, *paths)
    picture.check(output, *paths)
    comparison = render.Comparison(tuple(named_plans_of(asked)), tuple(titles), tuple(legend))
    if form is Format.table:
        colored = use_color(color, output)
        text = render.comparison_text(comparison, width=width(), color=colored)
    elif form is Format.json:
        text = render.comparison_json(comparison)
    elif form is Format.csv:
        text = render.comparison_csv(comparison)
    else:
        text = render.comparison_markdown(comparison)
    emit(text, output)
    picture.draw(partial(_picture, comparison))


def _picture(comparison: Comparison, form: str, dark: bool) -> bytes:
    from lldtool.render.plots import comparison_picture

    return comparison_picture(comparison, form, dark=dark)


def swept(sweep: str) -> list[str]:
    """`KEY=v1,v2` -> `KEY=v1`, `KEY=v2`; commas in brackets and braces part nothing.

    Raises:
        LldtoolError: there is no key, or no value.
    """
    key, _, text = sweep.partition("=")
    values, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            values.append("")
        else:
            values[-1] += character
    if not key or not all(values):
        raise LldtoolError(f"--sweep {sweep}: expected KEY=V1,V2,…")
    return [f"{key}={value}" for value in values]

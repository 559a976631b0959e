"""`lldtool compare`: several configs, or one with several values of an entry, side by side."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from lldtool.cli.commands.inspect import Format
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
    from collections.abc import Iterable, Sequence

    from lldtool.output.comparison import Comparison

#: How many variants a sweep may have.
_MOST_VARIANTS = 100


def compare(
    configs: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG", show_default=False,
            help="Config files, mmpretrain::path/of/config.py or saved plans; also x.py@REVISION.",
        ),
    ],
    sweeps: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep", metavar="KEY=V1,V2,...", show_default=False,
            help="Compare one CONFIG with itself for each value of this entry. Repeatable: a "
            "column for each combination.",
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

    There is a column for each config, or for each value of an entry of one, or each combination of
    values of several entries.
    The last row counts the parameters whose weight decay is not that of the first column.
    """
    if not sweeps and len(configs) < 2:
        raise typer.BadParameter("two CONFIGs or more, or one and --sweep, are needed")
    if sweeps and len(configs) > 1:
        raise typer.BadParameter("--sweep takes one CONFIG")
    from lldtool.output.comparison import Comparison, letters

    request = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)
    asked = [request(config) for config in configs]
    titles = letters(len(asked))
    legend = list(zip(titles, configs, strict=True))
    if sweeps:
        variants = grid(sweeps)
        legend = [("config", configs[0]), ("columns", _joined(s.partition("=")[0] for s in sweeps))]
        asked = [asked[0].edited(edits) for edits in variants]
        titles = [_joined(edit.partition("=")[2] for edit in edits) for edits in variants]
    picture, paths = Plot(plot, dark), [one.path for one in asked]
    check_writable(output, *paths)
    picture.check(output, *paths)
    comparison = Comparison(tuple(named_plans_of(asked)), tuple(titles), tuple(legend))
    if form is Format.json:
        from lldtool.output.json_formats import comparison_json

        text = comparison_json(comparison)
    elif form is Format.csv:
        from lldtool.output.csv_formats import comparison_csv

        text = comparison_csv(comparison)
    else:
        from lldtool.output.comparison import comparison_document
        from lldtool.output.formats import written

        document = comparison_document(comparison)
        text = written(document, form.value, width=width(), color=use_color(color, output))
    emit(text, output)
    picture.draw(partial(_picture, comparison))


def _picture(comparison: Comparison, form: str, dark: bool) -> bytes:
    from lldtool.output.plots import comparison_picture

    return comparison_picture(comparison, form, dark=dark)


def grid(sweeps: Sequence[str]) -> list[tuple[str, ...]]:
    """Return every combination of a value for each `KEY=v1,v2`, as `KEY=value` edits.

    Raises:
        LldtoolError: a sweep has no key or no value, a key is swept twice, or there are too many.
    """
    edits = [swept(sweep) for sweep in sweeps]
    keys = [sweep.partition("=")[0] for sweep in sweeps]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        hint = f"write all values in one, --sweep {twice}=V1,V2,…"
        raise LldtoolError(f"--sweep {twice} is given twice", hint=hint)
    number = math.prod(map(len, edits))
    if number > _MOST_VARIANTS:
        sizes = " × ".join(str(len(values)) for values in edits)
        raise LldtoolError(
            f"--sweep: {sizes} values; compare shows at most {_MOST_VARIANTS} columns"
        )
    return list(itertools.product(*edits))


def _joined(parts: Iterable[str]) -> str:
    return " · ".join(parts)


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

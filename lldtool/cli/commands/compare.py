"""`lldtool compare`: several configs, or several values of one entry, side by side."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from lldtool.cli.load_plans import load_plans_at_one_step
from lldtool.cli.options import (
    ConfigArguments,
    DryRunOptions,
    LengthOptions,
    OutputOptions,
    PlotOptions,
    format_option,
    option,
)
from lldtool.errors import LldtoolError

POSITION = 40
#: How many variants a sweep may have.
_MOST_VARIANTS = 100


def compare(
    configs: ConfigArguments,
    *,
    sweeps: Annotated[list[str] | None, option(
        "--sweep", metavar="KEY=V1,V2,...",
        help="Compare one CONFIG with these values of an entry. Repeat for a column per "
        "combination of values.",
    )] = None,
    form: Annotated[str, format_option("table", "json", "csv")] = "table",
    training: LengthOptions,
    output: OutputOptions,
    plot: PlotOptions,
    run: DryRunOptions,
) -> None:  # fmt: skip
    """Compare the lr of every layer across several configs, at the start and at the end.

    Prints a column per config or, with --sweep, per value of an entry. The last row counts the
    parameters whose weight decay differs from that in the first column.
    """
    if not sweeps and len(configs) < 2:
        raise typer.BadParameter("two CONFIGs or more, or one and --sweep, are needed")
    if sweeps and len(configs) > 1:
        raise typer.BadParameter("--sweep takes one CONFIG")
    from lldtool.output.comparison import Comparison, letters

    requests = [run.request(config, training.length, "all") for config in configs]
    titles = letters(len(requests))
    legend = list(zip(titles, configs, strict=True))
    if sweeps:
        variants = grid(sweeps)
        legend = [("config", configs[0]), ("columns", _joined(s.partition("=")[0] for s in sweeps))]
        requests = [requests[0].edited(edits) for edits in variants]
        titles = [_joined(edit.partition("=")[2] for edit in edits) for edits in variants]
    paths = [request.path for request in requests]
    output.check(*paths)
    plot.check(output.output, *paths)
    plans = load_plans_at_one_step(requests)
    legend += [("settings", step) for step in dict.fromkeys(str(p.step) for p in plans if p.step)]
    comparison = Comparison(tuple(plans), tuple(titles), tuple(legend))
    if form == "json":
        from lldtool.output.json_formats import comparison_json

        text = comparison_json(comparison)
    elif form == "csv":
        from lldtool.output.csv_formats import comparison_csv

        text = comparison_csv(comparison)
    else:
        from lldtool.output.comparison import comparison_document

        text = output.laid_out(comparison_document(comparison), form)
    output.emit(text)
    if plot.plot:
        from lldtool.output.plots import comparison_picture

        plot.save(comparison_picture, comparison)


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
    """`KEY=v1,v2` -> `KEY=v1`, `KEY=v2`; commas inside brackets do not separate values.

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

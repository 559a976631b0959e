"""`lldtool compare`: several configs, or one with several values of an entry, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lldtool.cli.inspect import Format
from lldtool.cli.output import Color, check_writable, emit, use_color, width
from lldtool.cli.pictures import Plot
from lldtool.cli.plans import named_plans_of
from lldtool.errors import LldtoolError
from lldtool.request import Request

if TYPE_CHECKING:
    from lldtool.render.compare import Comparison


def compare(
    requests: Sequence[Request],
    titles: Sequence[str],
    legend: Sequence[tuple[str, str]],
    *,
    form: Format,
    output: Path | None,
    color: Color,
    plot: Plot,
) -> int:
    """Print lr per layer, a column for each request under its title, after the legend; and draw it.

    Raises:
        LldtoolError: a plan can't be had.
    """
    from lldtool.render import compare as render

    paths = [request.path for request in requests]
    check_writable(output, *paths)
    plot.check(output, *paths)
    comparison = render.Comparison(tuple(named_plans_of(requests)), tuple(titles), tuple(legend))
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
    plot.draw(partial(_picture, comparison))
    return 0


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


def letters(number: int) -> list[str]:
    """A, B, …, Z, then A1 and on: short titles for configs with long names."""
    return [chr(ord("A") + i % 26) + (str(i // 26) if i >= 26 else "") for i in range(number)]

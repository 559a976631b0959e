"""`lldtool diff`: what differs between what two configs do."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from lldtool.cli.output import Color, check_writable, emit, use_color, width
from lldtool.cli.pictures import Plot
from lldtool.cli.plans import named_plans_of, require_like
from lldtool.diff import SETTINGS, PlanDiff, diff_plans
from lldtool.errors import LldtoolError
from lldtool.request import Request


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
    a: Request,
    b: Request,
    *,
    every_layer: bool,
    every_parameter: bool,
    match: str | None,
    ignore: Sequence[Setting],
    rtol: float,
    form: Format,
    output: Path | None,
    color: Color,
    plot: Plot,
) -> int:
    """Print what differs, and draw both; 1 where something does.

    Raises:
        LldtoolError: a plan can't be had, or no parameter is like `match`.
    """
    if not 0 <= rtol < 1:
        raise LldtoolError(f"--rtol {rtol}: a number from 0 to 1")
    check_writable(output, a.path, b.path)
    plot.check(output, a.path, b.path)
    plans = named_plans_of([a, b])
    if match is not None:
        require_like(match, [p.name for plan in plans for p in plan.every_parameter])
    result = diff_plans(
        *plans,
        ignore=[setting.value for setting in ignore],
        rtol=rtol,
        only=None if match is None else lambda name: fnmatchcase(name, match),
    )
    notes = _notes(result, match=match, rtol=rtol)
    if form is Format.table:
        from lldtool.render.diff import diff_text

        text = diff_text(
            result,
            width=width(),
            color=use_color(color, output),
            every_layer=every_layer,
            every_parameter=every_parameter,
            notes=notes,
        )
    elif form is Format.markdown:
        from lldtool.render.diff_formats import diff_markdown

        text = diff_markdown(
            result, every_layer=every_layer, every_parameter=every_parameter, notes=notes
        )
    else:
        from lldtool.render.diff_formats import diff_json

        text = diff_json(result, notes=notes)
    emit(text, output)
    plot.draw(partial(_picture, result))
    return 0 if result.identical else 1


def _picture(result: PlanDiff, form: str, dark: bool) -> bytes:
    from lldtool.render.compare import Comparison
    from lldtool.render.plots import comparison_picture

    plans = (result.a, result.b)
    legend = (("A", result.a.config), ("B", result.b.config))
    return comparison_picture(Comparison(plans, ("A", "B"), legend), form, dark=dark)


def _notes(result: PlanDiff, *, match: str | None, rtol: float) -> list[str]:
    """What was left out of the comparison, and what the plans have to say."""
    notes = [f"only names like {match}"] if match else []
    ignored = [name for name in SETTINGS if name not in result.looked_at]
    notes += [f"not compared: {', '.join(ignored)}"] if ignored else []
    notes += [f"numbers count as equal up to a relative difference of {rtol:g}"] if rtol else []
    if result.identical:
        notes.append("schedule, data and other options of the model are not compared")
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

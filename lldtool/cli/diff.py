"""`lldtool diff`: what differs between what two configs do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from lldtool.cli.output import Color, check_writable, emit, use_color, width
from lldtool.cli.plans import near_name, plans_of
from lldtool.diff import PlanDiff, diff_plans
from lldtool.errors import LldtoolError
from lldtool.plan import Plan
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
) -> int:
    """Print what differs; 1 where something does.

    Raises:
        LldtoolError: a plan can't be had, or no parameter is like `match`.
    """
    if not rtol >= 0:
        raise LldtoolError(f"--rtol {rtol}: a number from 0 on")
    check_writable(output, a.path, b.path)
    plans = plans_of([a, b])
    ignored = [setting.value for setting in ignore]
    result = diff_plans(*plans, ignore=ignored, rtol=rtol, only=_like(match, plans))
    notes = _notes(result, match=match, ignored=ignored, rtol=rtol)
    shown = {"every_layer": every_layer, "every_parameter": every_parameter}
    emit(_rendered(result, form, notes, use_color(color, output), **shown), output)
    return 0 if result.identical else 1


def _rendered(
    result: PlanDiff, form: Format, notes: Sequence[str], colored: bool, **shown: bool
) -> str:
    if form is Format.table:
        from lldtool.render.diff import diff_text

        return diff_text(result, notes=notes, width=width(), color=colored, **shown)
    from lldtool.render.diff_formats import diff_json, diff_markdown

    return diff_json(result) if form is Format.json else diff_markdown(result, notes=notes, **shown)


def _like(match: str | None, plans: Sequence[Plan]) -> Callable[[str], bool] | None:
    """Tells the names like a glob, which some parameter of either side has to be."""
    if match is None:
        return None
    names = [p.name for plan in plans for p in plan.parameters]
    names += [p.name for plan in plans for p in (*plan.frozen, *plan.left_out)]
    if not any(fnmatchcase(name, match) for name in names):
        hint = near_name(match, names)
        if any(match in name for name in names):
            hint = f"did you mean '*{match}*'?"
        raise LldtoolError(f"no parameter's name is like {match!r}", hint=hint)
    return lambda name: fnmatchcase(name, match)


def _notes(
    result: PlanDiff, *, match: str | None, ignored: Sequence[str], rtol: float
) -> list[str]:
    """What was left out of the comparison, and what the plans have to say."""
    notes = [f"only names like {match}"] if match else []
    notes += [f"not compared: {', '.join(ignored)}"] if ignored else []
    notes += [f"numbers within {rtol:g} of each other count as equal"] if rtol else []
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

"""`lldtool diff`: what differs between the plans of two configs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Annotated

import typer

from lldtool.analysis.diff import IGNORABLE, PlanDiff, diff_plans
from lldtool.cli.load_plans import load_plans_at_one_step, require_match
from lldtool.cli.options import (
    ConfigArgument,
    DryRunOptions,
    LengthOptions,
    Match,
    OutputOptions,
    PlotOptions,
    argument,
    format_option,
    option,
)
from lldtool.config.selectors import matching_pattern
from lldtool.errors import LldtoolError

POSITION = 30


class Setting(str, Enum):
    """What can be excluded from the comparison."""

    lr = "lr"
    lr_scale = "lr_scale"
    weight_decay = "weight_decay"
    layer_id = "layer_id"
    start = "start"
    schedule = "schedule"


def diff(
    config: ConfigArgument,
    other: Annotated[str | None, argument(
        metavar="OTHER", help="Config or saved plan to compare with.",
    )] = None,
    *,
    edits: Annotated[list[str] | None, option(
        "--with", metavar="KEY=VALUE",
        help="Compare CONFIG with itself after this change. DELETE as the value removes KEY. "
        "Repeatable.",
    )] = None,
    against: Annotated[str | None, option(
        "--against", metavar="REVISION",
        help="Compare CONFIG at this git revision with CONFIG as it is now.",
    )] = None,
    every_layer: Annotated[bool, option(
        "--all", help="Also show layers that do not differ.",
    )] = False,
    params: Annotated[bool, option("--params", help="List every parameter that differs.")] = False,
    match: Match = None,
    ignore: Annotated[list[Setting] | None, option(
        "--ignore", metavar="SETTING",
        help="Do not compare lr, lr_scale, weight_decay, layer_id, start or schedule. Repeatable.",
    )] = None,
    rtol: Annotated[
        float, typer.Option("--rtol", metavar="X", help="Relative tolerance for numbers.")
    ] = 0.0,
    form: Annotated[str, format_option("table", "json")] = "table",
    training: LengthOptions,
    output: OutputOptions,
    plot: PlotOptions,
    run: DryRunOptions,
) -> None:  # fmt: skip
    """Show how two configs differ in the settings of each parameter.

    Compares the lr, lr_scale, weight decay, layer and start of every parameter, the options of the
    optimizer, and the schedule. Give a second config as OTHER, or compare CONFIG with a variant of
    itself using --with or --against. Exit code 0: no differences, 1: differences, 2: error.
    """
    if [other is not None, bool(edits), against is not None].count(True) != 1:
        raise typer.BadParameter("give exactly one of OTHER, --with and --against")
    length = training.length
    a = run.request(config if against is None else f"{config}@{against}", length)
    b = a.edited(edits) if edits else run.request(other or config, length)
    if not 0 <= rtol < 1:
        raise LldtoolError(f"--rtol {rtol}: expected a number from 0 to 1")
    output.check(a.path, b.path)
    plot.check(output.output, a.path, b.path)
    plans = load_plans_at_one_step([a, b])
    matched: set[str] | None = None
    if match is not None:
        everything = [p for plan in plans for p in plan.every_parameter]
        require_match(match, everything)
        matched = {p.name for p in everything if matching_pattern([match], p)}
    ignored = [one for one in IGNORABLE if one in {setting.value for setting in ignore or ()}]
    only = None if matched is None else matched.__contains__
    compare = partial(diff_plans, ignore=ignored, rtol=rtol, only=only)
    result = compare(*plans)
    if result.schedule is not None and result.schedule.needs_curves:
        result = compare(*load_plans_at_one_step([replace(one, curves="all") for one in (a, b)]))
    notes = _notes(result, ignored, match=match, rtol=rtol, of_two=not edits)
    if form == "json":
        from lldtool.output.json_formats import diff_json

        text = diff_json(result, notes=notes)
    else:
        from lldtool.output.diff_document import diff_document

        document = diff_document(
            result,
            every_layer=every_layer,
            every_parameter=params,
            notes=notes,
            sentences=form == "markdown",
        )
        text = output.laid_out(document, form)
    output.emit(text)
    if plot.plot:
        _save_plot(plot, result)
    raise typer.Exit(0 if result.identical else 1)


def _save_plot(plot: PlotOptions, result: PlanDiff) -> None:
    """Save the curves over each other where the schedules differ, else the lr of each layer."""
    from lldtool.analysis.plan_curves import lr_curves
    from lldtool.output.comparison import Comparison
    from lldtool.output.diff_words import names_of_sides
    from lldtool.output.plots import comparison_picture
    from lldtool.output.schedule_plots import schedules_picture

    plans = result.a, result.b
    have_curves = all(plan.schedule and plan.schedule.curves for plan in plans)
    if have_curves and result.schedule is not None and not result.schedule.identical:
        plot.save(schedules_picture, [lr_curves(plan) for plan in plans])
        return
    legend = tuple(zip("AB", names_of_sides(result), strict=True))
    plot.save(comparison_picture, Comparison(plans, ("A", "B"), legend))


def _notes(
    result: PlanDiff,
    ignored: Sequence[str],
    *,
    match: str | None,
    rtol: float,
    of_two: bool,
) -> list[str]:
    """Return the notes on what was not compared, on the versions, and those of the plans."""
    notes = [f"only names like {match}"] if match else []
    notes += [f"not compared: {', '.join(ignored)}"] if ignored else []
    notes += [f"numbers count as equal up to a relative difference of {rtol:g}"] if rtol else []
    notes += _step_notes(result)
    if of_two or result.identical:
        notes.append("data and other model options are not compared")
    if result.schedule is None and "schedule" not in ignored:
        sides = [letter for letter, plan in (("A", result.a), ("B", result.b)) if not plan.schedule]
        of = " and ".join(sides)
        notes.append(
            f"schedules are not compared: the length of the training is not known for {of}"
        )
    for letter, plan in (("A", result.a), ("B", result.b)):
        if plan.optimizer.options is None:
            notes.append(f"{letter} was saved by an lldtool that recorded lr and weight decay only")
    for package, version in result.a.versions.items():
        other = result.b.versions.get(package, version)
        if version != other:
            notes.append(f"A was made with {package} {version}, B with {other}")
    both = [note for note in result.a.notes if note in result.b.notes]
    for letter, plan in (("A", result.a), ("B", result.b)):
        notes += [f"{letter}: {note}" for note in plan.notes if note not in both]
    return notes + both


def _step_notes(result: PlanDiff) -> list[str]:
    """Return at which step the settings are compared, where that is not the start."""
    a, b = (plan.step for plan in (result.a, result.b))
    if a == b:
        return [] if a is None else [f"the settings compared are those {a}"]
    sides = [f"{letter} {step or 'at its start'}" for letter, step in (("A", a), ("B", b))]
    return [f"the settings compared are those of {' and of '.join(sides)}"]

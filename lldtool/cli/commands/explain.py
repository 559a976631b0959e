"""`lldtool explain`: why each setting is what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from typing import Annotated

import typer

from lldtool.cli.options import (
    AllowNetwork,
    AutoScaleLr,
    CfgOptions,
    ColorOption,
    ConfigArgument,
    Device,
    Output,
    Traceback,
    WorldSize,
    requests,
)
from lldtool.cli.output import Color, check_writable, emit, say, use_color, width
from lldtool.cli.plans import no_parameter, plan_of
from lldtool.config import saved_plan
from lldtool.config.request import Request
from lldtool.config.selectors import anywhere, matching_pattern
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter, Plan


class Format(str, Enum):
    """The form of the result."""

    text = "text"
    json = "json"
    markdown = "markdown"


def explain(
    config: ConfigArgument,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATTERN...", show_default=False,
            help="Globs or parts of names; type:GLOB for the class of their module.",
        ),
    ] = None,
    keys: Annotated[
        bool, typer.Option("--keys", help="What each custom key and option does, and if at all.")
    ] = False,
    form: Annotated[
        Format, typer.Option("--format", help="The form of the result.")
    ] = Format.text,
    output: Output = None,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Say why each parameter has its lr and weight decay.

    With PATTERN, the trail of every parameter like one of them: depth, formula, the rule that
    fired, what it beat, what does not apply and why. Without, a line for each distinct reason.
    Exit code 2: a PATTERN is like no parameter in a param group; the others are answered.
    """
    if keys and patterns:
        raise LldtoolError("--keys is about the whole config, and takes no pattern")
    request = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)(config)
    check_writable(output, request.path)
    colored = use_color(color, output)
    if keys:
        emit(_keys(request, form, colored=colored), output)
        return
    plan = plan_of(request)
    wanted = [anywhere(pattern) for pattern in patterns or ()]
    chosen = [p for p in plan.parameters if matching_pattern(wanted, p)]
    if chosen or not patterns:
        emit(_reasons(plan, chosen or None, form, colored=colored), output)
    problems = [problem for one in patterns or () if (problem := _problem(plan, one))]
    for problem in problems:
        say(f"error: {problem}")
    raise typer.Exit(2 if problems else 0)


def _reasons(plan: Plan, chosen: Sequence[Parameter] | None, form: Format, *, colored: bool) -> str:
    if form is Format.json:
        from lldtool.output.json_formats import explanation_json

        return explanation_json(plan, chosen)
    from lldtool.output.explanation import explanation
    from lldtool.output.formats import written

    return written(explanation(plan, chosen), form.value, width=width(), color=colored)


def _keys(request: Request, form: Format, *, colored: bool) -> str:
    from lldtool.analysis.keys import keys_of
    from lldtool.dryrun import Want, capture

    if saved_plan(request.path, request.name) is not None:
        raise LldtoolError(
            "--keys runs the constructor, which a saved plan does not have",
            config=request.name,
            hint="name the config instead",
        )
    found = capture(request, Want(effects="all"))
    plan, effects = found.required_plan, found.effects.removed
    keys = [replace(key, effect=effects[key.path]) for key in keys_of(plan)]
    if not keys:
        raise LldtoolError(
            "paramwise_cfg is empty: there are no keys or options", config=request.name
        )
    if form is Format.json:
        from lldtool.output.json_formats import keys_json

        return keys_json(plan, keys)
    from lldtool.output.explanation import keys_document
    from lldtool.output.formats import written

    return written(keys_document(plan, keys), form.value, width=width(), color=colored)


def _problem(plan: Plan, pattern: str) -> LldtoolError | None:
    """Why there is nothing to explain about a pattern; None where it matches some parameter."""
    wanted = [anywhere(pattern)]
    if any(matching_pattern(wanted, p) for p in plan.parameters):
        return None
    if any(matching_pattern(wanted, p) for p in plan.frozen):
        return LldtoolError(f"{pattern}: frozen, in no param group", config=plan.config)
    if any(matching_pattern(wanted, p) for p in plan.left_out):
        message = f"{pattern}: the constructor left it out, it is in no param group"
        return LldtoolError(message, config=plan.config)
    return no_parameter(pattern, [*plan.every_parameter], plan.config)

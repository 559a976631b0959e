"""`lldtool explain`: why each setting has its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from lldtool.cli.load_plans import load_plan, no_parameter
from lldtool.cli.options import (
    ConfigArgument,
    DryRunOptions,
    OutputOptions,
    argument,
    format_option,
    option,
)
from lldtool.cli.streams import say
from lldtool.config import saved_plan
from lldtool.config.request import Request
from lldtool.config.selectors import anywhere, matching_pattern
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter, Plan

POSITION = 20


def explain(
    config: ConfigArgument,
    patterns: Annotated[list[str] | None, argument(
        metavar="PATTERN...",
        help="Parts of parameter names, globs, or type:GLOB for the module class.",
    )] = None,
    *,
    keys: Annotated[bool, option(
        "--keys", help="Show what each custom key and option changes, if anything.",
    )] = False,
    form: Annotated[str, format_option("text", "json")] = "text",
    output: OutputOptions,
    run: DryRunOptions,
) -> None:  # fmt: skip
    """Explain why each parameter has its lr and weight decay.

    With PATTERN, shows how the settings of each matching parameter came about: its layer, the
    formula, the rule that applied, and the rules that it overrides or that did not match. Without
    PATTERN, prints one line for each distinct reason. Exit code 2: error, or a PATTERN matches no
    parameter in a param group; the other patterns are still explained.
    """
    if keys and patterns:
        raise LldtoolError("--keys explains the whole config and takes no PATTERN")
    request = run.request(config)
    output.check(request.path)
    if keys:
        output.emit(_keys(request, form, output))
        return
    plan = load_plan(request, whole=True)
    wanted = [anywhere(pattern) for pattern in patterns or ()]
    chosen = [p for p in plan.parameters if matching_pattern(wanted, p)]
    if chosen or not patterns:
        output.emit(_reasons(plan, chosen or None, form, output))
    problems = [problem for one in patterns or () if (problem := _problem(plan, one))]
    for problem in problems:
        say(f"error: {problem}")
    raise typer.Exit(2 if problems else 0)


def _reasons(
    plan: Plan, chosen: Sequence[Parameter] | None, form: str, output: OutputOptions
) -> str:
    if form == "json":
        from lldtool.output.json_formats import explanation_json

        return explanation_json(plan, chosen)
    from lldtool.output.explanation import explanation

    return output.laid_out(explanation(plan, chosen), form)


def _keys(request: Request, form: str, output: OutputOptions) -> str:
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
    if form == "json":
        from lldtool.output.json_formats import keys_json

        return keys_json(plan, keys)
    from lldtool.output.explanation import keys_document

    return output.laid_out(keys_document(plan, keys), form)


def _problem(plan: Plan, pattern: str) -> LldtoolError | None:
    """Return the error for a pattern that matches no parameter in a param group, else None."""
    wanted = [anywhere(pattern)]
    if any(matching_pattern(wanted, p) for p in plan.parameters):
        return None
    if any(matching_pattern(wanted, p) for p in plan.frozen):
        return LldtoolError(f"{pattern}: frozen, in no param group", config=plan.config)
    if any(matching_pattern(wanted, p) for p in plan.left_out):
        message = f"{pattern}: not in the optimizer: the constructor puts it in no param group"
        return LldtoolError(message, config=plan.config)
    return no_parameter(pattern, [*plan.every_parameter], plan.config)

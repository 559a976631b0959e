"""`lldtool explain`: why each setting is what it is."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from fnmatch import fnmatchcase
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
from lldtool.cli.output import Color, check_writable, emit, use_color, width
from lldtool.cli.plans import near_name, plan_of
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter, Plan
from lldtool.request import Request
from lldtool.source import saved_plan


class Format(str, Enum):
    """The form of the result."""

    text = "text"
    json = "json"
    markdown = "markdown"


def explain(
    config: ConfigArgument,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATTERN...", help="Globs, or parts of names.", show_default=False),
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
    """
    if keys and patterns:
        raise LldtoolError("--keys is about the whole config, and takes no pattern")
    request = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)(config)
    check_writable(output, request.path)
    colored = use_color(color, output)
    if keys:
        text = _keys(request, form, colored=colored)
    else:
        text = _reasons(plan_of(request), patterns or (), form, colored=colored)
    emit(text, output)


def _reasons(plan: Plan, patterns: Sequence[str], form: Format, *, colored: bool) -> str:
    from lldtool.render.explain import explanation_json, explanation_markdown, explanation_text

    chosen = _matching(plan, patterns) if patterns else None
    if form is Format.json:
        return explanation_json(plan, chosen)
    if form is Format.markdown:
        return explanation_markdown(plan, chosen)
    return explanation_text(plan, chosen, width=width(), color=colored)


def _keys(request: Request, form: Format, *, colored: bool) -> str:
    from lldtool.dryrun import dry_run_keys
    from lldtool.render.explain import keys_json, keys_markdown, keys_text

    if saved_plan(request.path, request.name) is not None:
        raise LldtoolError(
            "--keys runs the constructor, which a saved plan does not have",
            config=request.name,
            hint="name the config instead",
        )
    plan, keys = dry_run_keys(request)
    if not keys:
        raise LldtoolError(
            "paramwise_cfg is empty: there are no keys or options", config=request.name
        )
    if form is Format.json:
        return keys_json(plan, keys)
    if form is Format.markdown:
        return keys_markdown(plan, keys)
    return keys_text(plan, keys, width=width(), color=colored)


def _matching(plan: Plan, patterns: Sequence[str]) -> list[Parameter]:
    """The parameters like any of the patterns, each of which some parameter has to be like."""
    names = [p.name for p in plan.parameters]
    for pattern in patterns:
        if any(_is_like(name, pattern) for name in names):
            continue
        if any(_is_like(p.name, pattern) for p in plan.frozen):
            message = f"{pattern}: frozen, in no param group"
        elif any(_is_like(p.name, pattern) for p in plan.left_out):
            message = f"{pattern}: the constructor left it out, it is in no param group"
        else:
            message = f"no parameter's name is like {pattern!r}"
            raise LldtoolError(message, config=plan.config, hint=near_name(pattern, names))
        raise LldtoolError(message, config=plan.config)
    return [p for p in plan.parameters if any(_is_like(p.name, one) for one in patterns)]


def _is_like(name: str, pattern: str) -> bool:
    """A glob over the whole name, or a part of it."""
    if any(sign in pattern for sign in "*?["):
        return fnmatchcase(name, pattern)
    return pattern in name

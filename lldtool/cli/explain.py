"""`lldtool explain`: why each setting is what it is."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

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
    request: Request,
    patterns: Sequence[str],
    *,
    keys: bool,
    form: Format,
    output: Path | None,
    color: Color,
) -> int:
    """Print the reasons of the parameters that match, of the whole plan, or of its keys.

    Raises:
        LldtoolError: there is no plan to be had, or no parameter like a pattern.
    """
    check_writable(output, request.path)
    if keys and patterns:
        raise LldtoolError("--keys is about the whole config, and takes no pattern")
    colored = use_color(color, output)
    text = (
        _keys(request, form, colored=colored)
        if keys
        else _reasons(plan_of(request), patterns, form, colored=colored)
    )
    emit(text, output)
    return 0


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

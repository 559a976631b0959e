"""`lldtool rules` and `lldtool rule`: what there is to check, and what one rule is about."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from lldtool.cli.options import ColorOption
from lldtool.cli.output import Color, emit, use_color, width
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from lldtool.rules import Rule


def rules(color: ColorOption = Color.auto) -> None:
    """List the rules of check."""
    from lldtool.render.rules import rules_text
    from lldtool.rules import all_rules

    emit(rules_text(all_rules(), width=width(), color=use_color(color, None)), None)


def rule(
    name: Annotated[str, typer.Argument(metavar="RULE", help="A code or a name.")],
    color: ColorOption = Color.auto,
) -> None:
    """Say what a rule finds, why, and what to do."""
    from lldtool.render.rules import rule_text

    emit(rule_text(_rule(name), width=width(), color=use_color(color, None)), None)


def _rule(name: str) -> Rule:
    from lldtool.rules import all_rules

    known = {key: one for one in all_rules() for key in (one.code, one.name)}
    found = known.get(name.upper(), known.get(name.lower()))
    if found is None:
        near = difflib.get_close_matches(name, [*known, *map(str.lower, known)], n=1)
        hint = f"did you mean {near[0]}?" if near else "lldtool rules lists them"
        raise LldtoolError(f"there is no rule {name!r}", hint=hint)
    return found

"""`lldtool rules` and `lldtool rule`: what there is to check, and what one rule is about."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from lldtool.cli.output import Color, emit, use_color, width
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from lldtool.rules import Rule


def rules(*, color: Color) -> int:
    """Print a line for each rule."""
    from lldtool.render.rules import rules_text
    from lldtool.rules import all_rules

    emit(rules_text(all_rules(), width=width(), color=use_color(color, None)), None)
    return 0


def rule(name: str, *, color: Color) -> int:
    """Print the page of the rule with this code or name.

    Raises:
        LldtoolError: there is no such rule.
    """
    from lldtool.render.rules import rule_text

    emit(rule_text(_rule(name), width=width(), color=use_color(color, None)), None)
    return 0


def _rule(name: str) -> Rule:
    from lldtool.rules import all_rules

    known = {key: one for one in all_rules() for key in (one.code, one.name)}
    found = known.get(name.upper(), known.get(name.lower()))
    if found is None:
        near = difflib.get_close_matches(name, [*known, *map(str.lower, known)], n=1)
        hint = f"did you mean {near[0]}?" if near else "lldtool rules lists them"
        raise LldtoolError(f"there is no rule {name!r}", hint=hint)
    return found

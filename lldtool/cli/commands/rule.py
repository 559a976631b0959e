"""`lldtool rule`: what one rule finds."""

from __future__ import annotations

from typing import Annotated

import typer

from lldtool.cli.options import ColorOption
from lldtool.cli.streams import Color, emit, use_color, width
from lldtool.errors import LldtoolError

POSITION = 100


def rule(
    name: Annotated[str, typer.Argument(metavar="RULE", help="Rule code or name.")],
    color: ColorOption = Color.auto,
) -> None:
    """Show what a rule finds, why it matters and how to fix it."""
    from lldtool.config.selectors import ONE_RULE, did_you_mean, selects, specificity
    from lldtool.lint.rules import all_rules
    from lldtool.output.rule_pages import rule_text

    known = all_rules()
    found = [rule for rule in known if selects(name, rule)]
    if specificity(name) != ONE_RULE or not found:
        hint = did_you_mean(name, (word for rule in known for word in (rule.code, rule.name)))
        raise LldtoolError(f"there is no rule {name!r}", hint=hint or "lldtool rules lists them")
    emit(rule_text(found[0], width=width(), color=use_color(color, None)), None)

"""`lldtool rules` and `lldtool rule`: what there is to check, and what one rule is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lldtool.cli.options import ColorOption
from lldtool.cli.output import Color, emit, use_color, width
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from lldtool.lint.rules import Rule


def rules(color: ColorOption = Color.auto) -> None:
    """List the rules of check."""
    from lldtool.lint.rules import all_rules
    from lldtool.output.formats import written
    from lldtool.output.rule_pages import rules_document

    document = rules_document(all_rules())
    emit(written(document, "table", width=width(), color=use_color(color, None)), None)


def rule(
    name: Annotated[str, typer.Argument(metavar="RULE", help="A code or a name.")],
    color: ColorOption = Color.auto,
) -> None:
    """Say what a rule finds, why, and what to do."""
    from lldtool.output.rule_pages import rule_text

    emit(rule_text(_rule(name), width=width(), color=use_color(color, None)), None)


def _rule(name: str) -> Rule:
    from lldtool.config.selectors import ONE_RULE, did_you_mean, selects, specificity
    from lldtool.lint.rules import all_rules

    known = all_rules()
    found = [rule for rule in known if selects(name, rule)]
    if specificity(name) == ONE_RULE and found:
        return found[0]
    hint = did_you_mean(name, (word for rule in known for word in (rule.code, rule.name)))
    raise LldtoolError(f"there is no rule {name!r}", hint=hint or "lldtool rules lists them")

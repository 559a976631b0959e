"""`lldtool rules`: the list of the rules."""

from __future__ import annotations

from lldtool.cli.options import ColorOption
from lldtool.cli.streams import Color, emit, use_color, width

POSITION = 90


def rules(color: ColorOption = Color.auto) -> None:
    """List the rules that check applies."""
    from lldtool.lint.rules import all_rules
    from lldtool.output.formats import written
    from lldtool.output.rule_pages import rules_document

    document = rules_document(all_rules())
    emit(written(document, "table", width=width(), color=use_color(color, None)), None)

"""The rules of `check` -> a list in the terminal, a page each, and `docs/rules.md`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markdown import Markdown

from lldtool.lint.rules import Example, Rule
from lldtool.output.diagnostics.text import SEVERITY_COLORS
from lldtool.output.document import Column, Document, Row, Section, Table, styled
from lldtool.output.screenshot import rendered


def rules_document(rules: Sequence[Rule]) -> Document:
    """Return a row for each rule: code, name, severity, and what it finds."""
    columns = [Column(""), Column(""), Column(""), Column("", least=_SUMMARY)]
    rows = []
    for rule in rules:
        severity = rule.severity.value + ("" if rule.by_default else ", off")
        colored = styled((severity, SEVERITY_COLORS[rule.severity]))
        rows.append(Row((styled((rule.code, "bold")), rule.name, colored, rule.summary)))
    return Document([Section([Table(columns, rows, header="", gap=2)])])


#: What a terminal narrows the summary of a rule down to.
_SUMMARY = 20


def rule_text(rule: Rule, *, width: int, color: bool) -> str:
    """Return the page of one rule."""
    return rendered(Markdown(rule_markdown(rule, level=1)), width=width, color=color)


def rules_markdown(rules: Sequence[Rule]) -> str:
    """Return the pages of all rules, after a table of them."""
    rows = [
        f"| [{rule.code}](#{rule.code.lower()}-{rule.name}) | {rule.name} | "
        f"{rule.severity.value}{'' if rule.by_default else ', off by default'} | {rule.summary} |"
        for rule in rules
    ]
    table = ["| code | name | severity | finds |", "| :-- | :-- | :-- | :-- |", *rows]
    return "\n".join(["# Rules", "", *table, "", *(rule_markdown(r, level=2) for r in rules)])


def rule_markdown(rule: Rule, *, level: int) -> str:
    """Return a rule's heading, its severity, its docstring and its examples."""
    default = "" if rule.by_default else ", off by default"
    lines = [f"{'#' * level} {rule.code} {rule.name}", ""]
    lines += [f"Severity: {rule.severity.value}{default}", "", rule.page, ""]
    for title, examples in (("Finds something in", rule.finds), ("Passes", rule.passes)):
        if examples:
            lines += [f"{'#' * (level + 1)} {title}", "", *map(_example, examples[:2])]
    return "\n".join(lines)


def _example(example: Example) -> str:
    module = f"```python\n# my_code.py\n{example.module}```\n\n" if example.module else ""
    settings = f"```toml\n[tool.lldtool]\n{example.settings}```\n\n" if example.settings else ""
    return f"{settings}{module}```python\n{example.about_checkpoint}{example.text}```\n"

"""The rules of `check` -> a list in the terminal, a page each, and `docs/rules.md`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markdown import Markdown
from rich.text import Text

from lldtool.lint.rules import Example, Rule
from lldtool.output.diagnostics.text import SEVERITY_COLORS
from lldtool.output.old_terminal import grid, rendered


def rules_text(rules: Sequence[Rule], *, width: int, color: bool) -> str:
    """A line for each rule: code, name, severity, and what it finds."""
    table = grid()
    for _ in range(4):
        table.add_column()
    for rule in rules:
        off = "" if rule.by_default else ", off"
        severity = Text(rule.severity.value + off, SEVERITY_COLORS[rule.severity])
        table.add_row(Text(rule.code, "bold"), rule.name, severity, rule.summary)
    return rendered(table, width=width, color=color)


def rule_text(rule: Rule, *, width: int, color: bool) -> str:
    """The page of one rule."""
    return rendered(Markdown(rule_markdown(rule, level=1)), width=width, color=color)


def rules_markdown(rules: Sequence[Rule]) -> str:
    """The pages of all rules, after a table of them."""
    rows = [
        f"| [{rule.code}](#{rule.code.lower()}-{rule.name}) | {rule.name} | "
        f"{rule.severity.value}{'' if rule.by_default else ', off by default'} | {rule.summary} |"
        for rule in rules
    ]
    table = ["| code | name | severity | finds |", "| :-- | :-- | :-- | :-- |", *rows]
    return "\n".join(["# Rules", "", *table, "", *(rule_markdown(r, level=2) for r in rules)])


def rule_markdown(rule: Rule, *, level: int) -> str:
    """A rule's heading, its severity, its docstring and its examples."""
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
    return f"{settings}{module}```python\n{example.text}```\n"

"""The rules of `check`, a file each: `lldtool/lint/rules/decayed_norm.py` is LLD101 decayed-norm.

A rule is a subclass of `Rule` in a file of its own here; nothing else has to know of it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from lldtool.config.selectors import selects
from lldtool.lint.rules.base import Diagnostic, Rule, Subject
from lldtool.lint.rules.examples import Example

__all__ = ["Diagnostic", "Example", "Rule", "Subject", "all_rules", "codes_of"]

_modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
_rules = {
    kind.code: kind()
    for module in _modules
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, Rule) and hasattr(kind, "code")
}


def all_rules() -> tuple[Rule, ...]:
    """Every rule, in the order of their codes."""
    return tuple(_rules[code] for code in sorted(_rules))


def codes_of(selector: str) -> frozenset[str]:
    """Return the codes of the rules that a selector includes."""
    return frozenset(rule.code for rule in all_rules() if selects(selector, rule))

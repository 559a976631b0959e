"""The rules of `check`, a file each: `lldtool/rules/decayed_norm.py` is LLD101 decayed-norm.

A rule is a subclass of `Rule` in a file of its own here; nothing else has to know of it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil

from lldtool.rules.base import Edit, Example, Found, Rule, Subject

__all__ = ["Edit", "Example", "Found", "Rule", "Subject", "all_rules"]


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule, in the order of their codes."""
    modules = [
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
        if not found.name.startswith("_")
    ]
    rules = [
        kind()
        for module in modules
        for kind in vars(module).values()
        if inspect.isclass(kind)
        and issubclass(kind, Rule)
        and kind.__module__ == module.__name__
        and kind is not Rule
    ]
    return tuple(sorted(rules, key=lambda rule: rule.code))

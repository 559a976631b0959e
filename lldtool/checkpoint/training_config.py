"""The config that mmengine keeps in a checkpoint as text -> plain data, or a file; never executed.

Source: `Config.pretty_text`, which writes `key = value` lines of literals and `dict(…)`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from lldtool.checkpoint.contents import Checkpoint

#: Keys that would make mmengine read other files.
_RESERVED = frozenset({"_base_"})


def config_text(checkpoint: Checkpoint) -> str | None:
    """Return the text of the config if it is nothing but values; else None."""
    text = checkpoint.meta.get("cfg", checkpoint.meta.get("config"))
    if not isinstance(text, str) or "{{" in text or _values(text) is None:
        return None
    return text


def training_config(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Return the entries of the config; none where it is not there or holds more than values."""
    text = config_text(checkpoint)
    return (_values(text) or {}) if text is not None else {}


def _values(text: str) -> dict[str, Any] | None:
    try:
        found = {}
        for statement in ast.parse(text).body:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                return None
            target = statement.targets[0]
            if not isinstance(target, ast.Name) or target.id in _RESERVED:
                return None
            found[target.id] = _value(statement.value)
        return found
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None


def _value(node: ast.expr) -> Any:
    """Return the value of a literal, in which a dict may be written as a call.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.func.id != "dict":
            raise ValueError("a call")
        entries: dict[Any, Any] = {}
        for argument in node.args:
            entries |= dict(_value(argument))
        for keyword in node.keywords:
            if keyword.arg is None:
                raise ValueError("an unpacked dict")
            entries[keyword.arg] = _value(keyword.value)
        return entries
    if isinstance(node, ast.Dict):
        keys = map(ast.literal_eval, filter(None, node.keys))  # strict: no unpacked dict
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, (ast.List, ast.Tuple)):
        items = [_value(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    return ast.literal_eval(node)

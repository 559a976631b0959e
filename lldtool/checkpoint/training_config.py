"""The config that mmengine keeps in a checkpoint as text -> its entries; nothing is executed.

Source: mmengine 0.10 `Config.pretty_text`, which writes `key = value` lines.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import Any

from lldtool.checkpoint.contents import Checkpoint

#: What `repr` writes for numbers that have no literal.
_NUMBERS = {"inf": math.inf, "nan": math.nan}
#: What makes mmengine read other files, or replace text.
_BASES, _TEMPLATE = "_base_", "{{"


def training_config(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Return the entries of the config that are plain data; none where there is no config."""
    return dumped_entries(_text(checkpoint))


def config_text(checkpoint: Checkpoint) -> str | None:
    """Return the text of the config if it is nothing but plain data; else None."""
    text = _text(checkpoint)
    entries = dumped_entries(text)
    if not entries or _BASES in entries or _TEMPLATE in text:
        return None
    return text if len(ast.parse(text).body) == len(entries) else None


def _text(checkpoint: Checkpoint) -> str:
    text = checkpoint.meta.get("cfg")
    return text if isinstance(text, str) else ""


def dumped_entries(text: str) -> dict[str, Any]:
    """Return the entries at the top level; those that are not plain data are left out.

    Empty where the text can't be parsed.
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found = {}
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                try:
                    found[name] = _value(value)
                except (ValueError, RecursionError):
                    found.pop(name, None)
    return found


def _value(node: ast.expr) -> Any:
    """Return a literal, a list, a tuple or a dict.

    Raises:
        ValueError: it is anything else.
    """
    match node:
        case ast.Constant(value=constant):
            return constant
        case ast.Name(id=name) if name in _NUMBERS:
            return _NUMBERS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = _value(operand)
            if isinstance(number, (int, float)):
                return -number
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Dict(keys=keys, values=values):
            names = [None if key is None else _value(key) for key in keys]
            if all(isinstance(name, (str, int)) for name in names):
                return dict(zip(names, map(_value, values), strict=True))
        case ast.Call(func=ast.Name(id="dict"), args=args, keywords=keywords):
            found: dict[Any, Any] = {}
            for argument in args:
                unpacked = _value(argument)
                if not isinstance(unpacked, dict):
                    raise ValueError
                found |= unpacked
            if any(keyword.arg is None for keyword in keywords):
                raise ValueError
            return found | {keyword.arg: _value(keyword.value) for keyword in keywords}
    raise ValueError

"""The config that mmengine keeps in a checkpoint as text -> its entries; nothing is executed.

Source: mmengine 0.10 `Config.pretty_text`, which writes `key = value` lines.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

from lldtool.checkpoint.contents import Checkpoint


class _Unreadable(Enum):
    UNREADABLE = "?"


#: The value of an entry that can't be read without executing it.
UNREADABLE = _Unreadable.UNREADABLE
#: What `repr` writes for numbers that have no literal.
_NUMBERS = {"inf": math.inf, "nan": math.nan}
#: What makes mmengine read other files, or replace text.
_BASES, _TEMPLATE = "_base_", "{{"


def training_config(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Return the entries of the config that are plain data; none where there is no config."""
    entries = dumped_entries(checkpoint)
    return {key: value for key, value in entries.items() if value is not UNREADABLE}


def config_text(checkpoint: Checkpoint) -> str | None:
    """Return the text of the config if it is nothing but plain data; else None."""
    text, entries = _text(checkpoint), dumped_entries(checkpoint)
    if not entries or _BASES in entries or _TEMPLATE in text or UNREADABLE in entries.values():
        return None
    return text if len(ast.parse(text).body) == len(entries) else None


def _text(checkpoint: Checkpoint) -> str:
    text = checkpoint.meta.get("cfg")
    return text if isinstance(text, str) else ""


def dumped_entries(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the entries at the top level; `UNREADABLE` for those that are not plain data.

    Empty where the text can't be parsed.
    """
    try:
        statements = ast.parse(_text(checkpoint)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, Any] = {}
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                try:
                    found[name] = _value(value)
                except (ValueError, RecursionError):
                    found[name] = UNREADABLE
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

"""The text of a config as mmengine writes it into a checkpoint -> its entries; nothing is executed.

Source: mmengine 0.10 `Config.pretty_text`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from lldtool.config.edit import DELETE


class _Unreadable(Enum):
    UNREADABLE = "?"


#: The value of an entry that can't be read without executing it.
UNREADABLE = _Unreadable.UNREADABLE
#: What `repr` writes for numbers that have no literal.
_NUMBERS = {"inf": math.inf, "nan": math.nan}
#: Entries that name a class.
_CLASSES = ("type", "constructor")
#: Larger integers are not all floats.
_LARGEST = 2**53


def dumped_entries(text: object) -> dict[str, Any]:
    """Return the entries at the top level; `UNREADABLE` for those that are not plain data.

    Empty where the text is none of a config.
    """
    if not isinstance(text, str):
        return {}
    try:
        statements = ast.parse(text).body
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


def _value(node: ast.expr) -> Any:  # noqa: ANN401  # any value of a config
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


def differing(
    old: Mapping[str, Any], new: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield the path of each entry that differs, with both values; `DELETE` for one that is absent.

    Lists of dicts with the same types differ in the entries of these; other lists as a whole.
    """
    for key in dict.fromkeys([*new, *old]):
        a, b = old.get(key, DELETE), new.get(key, DELETE)
        if key in _CLASSES and _bare(a) == _bare(b):
            continue
        inside = (*path, str(key))
        if isinstance(a, dict) and isinstance(b, dict):
            yield from differing(a, b, inside)
        elif _types(a) and _types(a) == _types(b):
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                yield from differing(x, y, (*inside, str(i)))
        elif repr(_as_lists(a)) != repr(_as_lists(b)) and not (_is_absent(a) and _is_absent(b)):
            yield inside, a, b


def _types(value: object) -> list[object]:
    """Return the types of a list of dicts; nothing for another value."""
    if isinstance(value, (list, tuple)) and all(isinstance(item, dict) for item in value):
        return [_bare(item.get("type")) for item in value]
    return []


def _bare(kind: object) -> object:
    """Return the name of a class without its module, which pure-Python configs have."""
    return kind.rpartition(".")[2] if isinstance(kind, str) else kind


def _as_lists(value: object) -> object:
    """Return a value with lists for tuples, floats for integers, and sorted keys."""
    if isinstance(value, dict):
        return [(str(key), _as_lists(value[key])) for key in sorted(value, key=str)]
    if type(value) is int and abs(value) < _LARGEST:
        return float(value)
    return list(map(_as_lists, value)) if isinstance(value, (list, tuple)) else value


def _is_absent(value: object) -> bool:
    return value is None or value is DELETE

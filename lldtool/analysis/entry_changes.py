"""Entries × entries of a config -> the paths at which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lldtool.config.edit import DELETE

#: Entries that name a class.
_CLASSES = ("type", "constructor")
#: Larger integers are not all floats.
_LARGEST = 2**53


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

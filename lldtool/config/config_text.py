"""Edits of a config as text to write in its file: entries, where they go and what they replace."""

from __future__ import annotations

import json
import re
import tokenize
from collections.abc import Sequence
from typing import Any

from lldtool.config.edit import DELETE, Edit
from lldtool.config.entries import Container
from lldtool.config.location import Location
from lldtool.config.locations import Sources
from lldtool.text import is_name, literal


def config_text(edits: Sequence[Edit], sources: Sources) -> str | None:
    """What to write in a config's own file for these edits.

    A comment says which dict the entries below it go in, and which they replace there: `# in
    optim_wrapper.paramwise_cfg, instead of 'decay_rate'`, then `layer_decay_rate=0.75,`. Where the
    file itself says nothing yet of what is to be changed, it is a statement, which mmengine merges
    with what the file inherits.

    Args:
        edits: what to change.
        sources: of the config.

    Returns:
        None where it can't be said so: an entry to delete is an inherited one, or one of a list is
        to be changed, or code makes the dict.
    """
    deleted = [edit.path for edit in edits if edit.value is DELETE]
    written = [edit for edit in edits if edit.value is not DELETE]
    if not sources.files or not all(_is_own(sources, path) for path in deleted):
        return None
    statements: dict[str, Any] = {}
    lines: dict[str, dict[tuple[str, ...], Any]] = {}
    for edit in written:
        inside = _deepest_own(sources, edit.path[:-1])
        rest = edit.path[len(inside) :]
        inherited = sources.entry(edit.path) is not None and not _is_own(sources, edit.path)
        if inherited and isinstance(edit.value, dict):  # which would be merged with this one
            return None
        if any(key.isdigit() for key in rest) or (inside and not _is_dict(sources, inside)):
            return None
        if not inside:
            _put(statements, edit.path, edit.value)
            continue
        replaced = [edit.path] if _is_own(sources, edit.path) else []
        replaced += [path for path in deleted if path[:-1] == edit.path[:-1]]
        deleted = [path for path in deleted if path not in replaced]
        instead = " and ".join(repr(path[-1]) for path in replaced)
        where = f"# in {'.'.join(inside)}" + (f", instead of {instead}" if instead else "")
        _put(lines.setdefault(where, {}).setdefault(inside, {}), rest, edit.value)
    language = _Language(sources)
    text = [language.statement(key, value) for key, value in statements.items()]
    for where, below in lines.items():
        text.append(where)
        for inside, entries in below.items():
            text += [language.entry(key, value, inside) for key, value in entries.items()]
    text += [f"# in {'.'.join(path[:-1])}, delete {path[-1]!r}" for path in deleted]
    return "\n".join(text)


def _is_own(sources: Sources, path: Sequence[str]) -> bool:
    """Whether the entry stands in the config's own file, rather than in one that it inherits."""
    entry = sources.entry(path)
    return entry is not None and entry.place.file == sources.files[0]


def _deepest_own(sources: Sources, path: Sequence[str]) -> tuple[str, ...]:
    """The innermost of the entries on the way that stands in the config's own file."""
    ends = range(len(path), 0, -1)
    return tuple(next((path[:end] for end in ends if _is_own(sources, path[:end])), ()))


def _is_dict(sources: Sources, path: Sequence[str]) -> bool:
    """Whether the entry's value is written out as a dict."""
    entry = sources.entry(path)
    return entry is not None and entry.kind in (Container.call, Container.mapping)


def _put(inside: dict[str, Any], path: Sequence[str], value: object) -> None:
    """`{}`, `a`, `b` -> `{a: {b: value}}`."""
    for key in path[:-1]:
        inside = inside.setdefault(key, {})
    inside[path[-1]] = value


class _Language:
    """How the config's file writes entries: as Python, YAML or JSON."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._suffix = sources.files[0].suffix

    def statement(self, key: str, value: object) -> str:
        """An entry of the whole config; a pure-Python config merges by method."""
        if self._suffix != ".py":
            return self._data(key, value)
        if self._sources.is_pure_python and isinstance(value, dict):
            return f"{key}.merge({literal(value)})"
        return f"{key} = {literal(value)}"

    def entry(self, key: str, value: object, inside: Sequence[str]) -> str:
        """An entry of this dict: `key=value,` of a call, or `'key': value,` of a display."""
        found = self._sources.entry(inside)
        assert found is not None
        if self._suffix != ".py":
            return self._data(key, value) + ("," if _begins_with_brace(found.value) else "")
        if not found.is_call:
            return f"{key!r}: {literal(value)},"
        return f"{key}={literal(value)}," if is_name(key) else f"**{{{key!r}: {literal(value)}}},"

    def _data(self, key: str, value: object) -> str:
        """As JSON; YAML takes that as well, but wants a dot in a number with an exponent."""
        if self._suffix == ".json":
            return f"{json.dumps(key)}: {json.dumps(value)}"
        name = key if is_name(key) else json.dumps(key)
        return f"{name}: {_EXPONENT_ONLY.sub(_with_dot, json.dumps(value))}"


#: A string, which stays as it is, or a number like 1e-05.
_EXPONENT_ONLY = re.compile(r'"(?:[^"\\]|\\.)*"|(?<![\d.])\d+(?=e)')


def _with_dot(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith('"') else f"{found[0]}.0"


def _begins_with_brace(value: Location) -> bool:
    """Whether a dict of a YAML file is written in braces, as all are in JSON."""
    with tokenize.open(value.file) as file:
        line = file.read().split("\n")[value.line - 1]
    return line[value.column - 1 :].startswith("{")

"""`--cfg-options` and `--with KEY=VALUE`: change a loaded config.

The first as OpenMMLab does; the second also where keys have dots in them, and by removal.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lldtool.dryrun.config_loading import key_value, merge
from lldtool.errors import LldtoolError

#: The value that removes a key.
DELETE = "DELETE"


def apply_overrides(config: Any, options: Mapping[str, Any]) -> list[str]:
    """Merge dotted key -> value into the config, as `--cfg-options` does.

    Args:
        config: an `mmengine.Config`.
        options: dotted key -> value.

    Returns:
        Notes on keys that are new and nearly those of the config.

    Raises:
        LldtoolError: they do not fit the config.
    """
    notes = [note for key in options for note in _doubts(config, key, key.split("."))]
    if options:
        merge(config, options, f"--cfg-options {' '.join(options)}")
    return notes


def apply_edits(config: Any, edits: Sequence[str]) -> list[str]:
    """Merge `KEY=VALUE` strings into the config, one after the other.

    A part of KEY that is a key of the config with dots in it is taken whole, the longest one
    first; so is a new custom key, up to its option: `…custom_keys..norm.decay_mult=0`. A value is
    what `--cfg-options` takes, a Python dict in braces, or DELETE.

    Args:
        config: an `mmengine.Config`.
        edits: the strings.

    Returns:
        Notes on keys that are new and nearly those of the config.

    Raises:
        LldtoolError: a pair can't be read, or what is to be removed is not there.
    """
    notes = []
    for edit in edits:
        key, value = key_value(edit, "--with")
        _, _, text = edit.partition("=")
        if text.startswith("{"):
            value = _dict(text)
        if value == {}:
            raise LldtoolError(f"an empty dict changes nothing; {key}=DELETE removes what is there")
        path = _path(config, key, value)
        if value == DELETE:
            _delete(config, path)
            continue
        notes += _doubts(config, key, path)
        for part in reversed(path[1:]):
            value = {part: value}
        merge(config, {path[0]: value}, key)
    return notes


def _dict(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise LldtoolError(f"{text} is no Python dict, {{'decay_mult': 0.0}} is one") from error


def _path(config: Any, key: str, value: object) -> list[str]:
    """`a.b..ln.c` -> `a`, `b`, `.ln`, `c`, where the config has a key `.ln`."""
    path: list[str] = []
    parts, inside = key.split("."), config
    while parts:
        ends = range(len(parts), 0, -1)
        taken = next((end for end in ends if _has(inside, ".".join(parts[:end]))), 1)
        if path[-1:] == ["custom_keys"]:
            option = not isinstance(value, dict) and not _has(inside, ".".join(parts))
            option = option and (value != DELETE or _has(inside, ".".join(parts[:-1])))
            taken = len(parts) - option
            if parts[:taken] in ([], [""]):
                raise LldtoolError(f"a custom key needs an option: {key}.decay_mult={value}")
        path.append(".".join(parts[:taken]))
        inside = _item(inside, path[-1]) if _has(inside, path[-1]) else None
        parts = parts[taken:]
    return path


def _doubts(config: Any, key: str, path: Sequence[str]) -> list[str]:
    """Whether a key that is new to the config may be meant for one that is there."""
    near = _near(config, path, cutoff=0.8)  # it may well be meant
    if near is None and not _has(config, path[0]):
        near = next((".".join((*place, *path[1:])) for place in _places(config, path[0])), None)
    return [f"{key} is new to the config: did you mean {near!r}?"] if near else []


def _places(config: Any, key: str) -> Iterator[tuple[str, ...]]:
    """The paths of dicts in dicts that lead to this key, the shortest first."""
    entries: list[tuple[tuple[str, ...], Any]] = [((k,), value) for k, value in config.items()]
    for path, value in entries:
        if path[-1] == key:
            yield path
        if isinstance(value, dict):
            entries += [((*path, str(name)), inner) for name, inner in value.items()]


def _near(config: Any, path: Sequence[str], cutoff: float) -> str | None:
    """The key that was nearly written, where the path leaves the config."""
    inside = config
    for part in path:
        if not _has(inside, part):
            names = [*map(str, inside)] if hasattr(inside, "keys") else []
            return next(iter(difflib.get_close_matches(part, names, n=1, cutoff=cutoff)), None)
        inside = _item(inside, part)
    return None


def _has(inside: Any, key: str) -> bool:
    if isinstance(inside, list):
        return key.isdigit() and int(key) < len(inside)
    return hasattr(inside, "keys") and key in inside.keys()  # noqa: SIM118 (a Config is no dict)


def _item(inside: Any, key: str) -> Any:
    return inside[int(key)] if isinstance(inside, list) else inside[key]


def _delete(config: Any, path: Sequence[str]) -> None:
    inside = config
    for part in path[:-1]:
        inside = _item(inside, part) if _has(inside, part) else None
    if not _has(inside, path[-1]):
        near = _near(config, path, cutoff=0.6)
        hint = f"did you mean {near!r}?" if near else None
        raise LldtoolError(f"the config has no {path[-1]!r} to delete there", hint=hint)
    inside.pop(int(path[-1]) if isinstance(inside, list) else path[-1])

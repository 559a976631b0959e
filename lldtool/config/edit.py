"""An edit of a config: an entry, what to write there, and where that stands in its file."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from lldtool.config.location import Location
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from lldtool.config.locations import Sources

#: The keys that lead to the options of the constructor.
PARAMWISE_CFG = ("optim_wrapper", "paramwise_cfg")


class _Delete(Enum):
    DELETE = "DELETE"


#: The value of an `Edit` that removes its entry.
DELETE = _Delete.DELETE


@dataclass(frozen=True)
class Edit:
    """An entry of a config, by the keys that lead to it, and what to write there.

    `location` is that of the text to replace, or of the dict that the entry goes in; None where it
    is not known, or where the config's own file has neither.
    """

    path: tuple[str, ...]
    value: Any
    location: Location | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, pair: str, config: Any, parse_value: Callable[[str], Any]) -> Edit:  # noqa: ANN401
        """Parse `KEY=VALUE` as `--with` takes it.

        A part of KEY that is a key of the config with dots in it is taken whole, the longest one
        first; so is a new custom key, up to its option: `…custom_keys..norm.decay_mult=0`.

        Args:
            pair: the string. VALUE is DELETE, a Python dict in braces, or what `parse_value` takes.
            config: a dict or `mmengine.Config`.
            parse_value: parses the VALUE of such a string.

        Raises:
            LldtoolError: the pair can't be parsed, or the config has nothing there to delete.
        """
        key, text = split_pair(pair, "--with")
        value = _dict(text) if text.startswith("{") else parse_value(pair)
        value = DELETE if value == DELETE.value else value
        if value == {}:
            raise LldtoolError(f"an empty dict changes nothing; {key}=DELETE removes what is there")
        edit = cls(_path(config, key, value), value)
        if value is DELETE and (missing := _first_missing(config, edit.path)):
            near = _near(*missing, cutoff=0.6)
            hint = f"did you mean {near!r}?" if near else None
            raise LldtoolError(f"the config has no {edit.path[-1]!r} to delete there", hint=hint)
        return edit

    @property
    def nested(self) -> dict[str, Any]:
        """The entry in the dicts that it is in: `{"a": {"b": value}}` for `a.b`."""
        nested = {self.path[-1]: self.value}
        for key in reversed(self.path[:-1]):
            nested = {key: nested}
        return nested

    def apply_to(self, config: Any) -> None:  # noqa: ANN401
        """Set the entry in a config, or in the parts of it that are to be changed.

        Raises:
            LldtoolError: the config has a list where the path goes on with a name.
        """
        *path, last = self.path
        inside = config
        for name in path:
            key = key_in(inside, name)
            if not isinstance(inside, list) and not isinstance(inside.get(key), (dict, list)):
                inside[key] = {}
            inside = inside[key]
        key = key_in(inside, last)
        if self.value is not DELETE:
            inside[key] = self.value
        elif isinstance(inside, list) or key in inside:
            inside.pop(key)

    def located(self, sources: Sources) -> Edit:
        """Return this edit with its location in the config's own file."""
        if own := sources.own_entry(self.path):
            return replace(self, location=own.location.to(own.value_location))
        _, container = sources.own_container(self.path)
        return replace(self, location=container.value_location if container else None)


def key_in(entries: Any, name: str) -> Any:  # noqa: ANN401
    """Return the key of an entry, which need not be a string; the index in a list."""
    if not isinstance(entries, list):
        return next((key for key in entries if str(key) == name), name)
    if not name.isdecimal() or int(name) >= len(entries):
        raise LldtoolError(f"a list has no entry {name!r}")
    return int(name)


def split_pair(pair: str, option: str) -> tuple[str, str]:
    """Split `KEY=VALUE`, which was given to this option.

    Raises:
        LldtoolError: there is no `=`, or no KEY.
    """
    key, separator, value = pair.partition("=")
    if not separator or not key or key.startswith("-"):
        raise LldtoolError(f"{option} {pair}: expected KEY=VALUE")
    return key, value


def misspelling(config: Any, key: str, path: Sequence[str]) -> str | None:  # noqa: ANN401
    """Return a note if a key is new to the config and resembles one that the config has.

    Args:
        config: a dict or `mmengine.Config`.
        key: the key as the user wrote it.
        path: its parts.
    """
    missing = _first_missing(config, path)
    near = _near(*missing, cutoff=0.8) if missing else None  # it may well be meant
    if near is None and not _has(config, path[0]):
        near = next((".".join((*at, *path[1:])) for at in _paths_to(config, path[0])), None)
    return f"{key} is new to the config: did you mean {near!r}?" if near else None


def _dict(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise LldtoolError(f"{text} is no Python dict, {{'decay_mult': 0.0}} is one") from error


def _path(config: Any, key: str, value: object) -> tuple[str, ...]:  # noqa: ANN401
    """`a.b..ln.c` -> `a`, `b`, `.ln`, `c`, where the config has a key `.ln`."""
    path: list[str] = []
    parts, inside = key.split("."), config
    while parts:
        ends = range(len(parts), 0, -1)
        taken = next((end for end in ends if _has(inside, ".".join(parts[:end]))), 1)
        if path[-1:] == ["custom_keys"]:
            has_option = not isinstance(value, dict) and not _has(inside, ".".join(parts))
            has_option &= value is not DELETE or _has(inside, ".".join(parts[:-1]))
            taken = len(parts) - has_option
            if parts[:taken] in ([], [""]):
                raise LldtoolError(f"a custom key needs an option: {key}.decay_mult={value}")
        path.append(".".join(parts[:taken]))
        inside = inside[key_in(inside, path[-1])] if _has(inside, path[-1]) else None
        parts = parts[taken:]
    return tuple(path)


def _has(inside: Any, key: str) -> bool:  # noqa: ANN401
    if isinstance(inside, list):
        return key.isdecimal() and int(key) < len(inside)
    return hasattr(inside, "keys") and key in inside.keys()  # noqa: SIM118 (a Config is no dict)


def _first_missing(config: Any, path: Sequence[str]) -> tuple[Any, str] | None:  # noqa: ANN401
    """Return where the path leaves the config: what it has there, and the key that it lacks."""
    inside = config
    for key in path:
        if not _has(inside, key):
            return inside, key
        inside = inside[key_in(inside, key)]
    return None


def _near(inside: Any, key: str, cutoff: float) -> str | None:  # noqa: ANN401
    names = [*map(str, inside)] if hasattr(inside, "keys") else []
    return next(iter(difflib.get_close_matches(key, names, n=1, cutoff=cutoff)), None)


def _paths_to(config: Any, key: str) -> Iterator[tuple[str, ...]]:  # noqa: ANN401
    """Yield the paths of dicts in dicts that lead to this key, the shortest first."""
    entries: list[tuple[tuple[str, ...], Any]] = [((k,), value) for k, value in config.items()]
    for path, value in entries:
        if path[-1] == key:
            yield path
        if isinstance(value, dict):
            entries += [((*path, str(name)), inner) for name, inner in value.items()]

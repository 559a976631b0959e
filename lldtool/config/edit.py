"""An edit of a config: an entry, and what to write there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from lldtool.errors import LldtoolError

#: The keys that lead to the options of the constructor.
PARAMWISE_CFG = ("optim_wrapper", "paramwise_cfg")


class _Delete(Enum):
    DELETE = "DELETE"


#: The value of an `Edit` that removes its entry.
DELETE = _Delete.DELETE


@dataclass(frozen=True)
class Edit:
    """An entry of the config, by the keys that lead to it, and what to write there."""

    path: tuple[str, ...]
    value: Any

    def apply_to(self, config: dict[str, Any]) -> None:
        """Change a config, or the parts of it that are to be changed.

        Raises:
            LldtoolError: the config has a list where the path goes on with a name.
        """
        *path, last = self.path
        inside: Any = config
        for name in path:
            key = key_in(inside, name)
            if not isinstance(inside, list) and not isinstance(inside.get(key), (dict, list)):
                inside[key] = {}
            inside = inside[key]
        key = key_in(inside, last)
        if self.value is not DELETE:
            inside[key] = self.value
        elif isinstance(inside, list) or key in inside:
            del inside[key]


def key_in(entries: list[Any] | dict[Any, Any], name: str) -> Any:  # noqa: ANN401
    """The key of an entry, which need not be a string; the index in a list."""
    if not isinstance(entries, list):
        return next((key for key in entries if str(key) == name), name)
    if not name.isdecimal() or int(name) >= len(entries):
        raise LldtoolError(f"a list has no entry {name!r}")
    return int(name)

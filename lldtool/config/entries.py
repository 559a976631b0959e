"""What a config's text says is in its dicts and lists, and how mmengine merges dicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from lldtool.config.location import Location


class Container(Enum):
    """How a dict or list is written."""

    call = "dict(key=…)"
    mapping = "{key: …}"
    block = "key: …, indented"
    sequence = "[…]"


@dataclass
class Value:
    """What the text says of a value: its entries if it is a dict or list, or the constant it is.

    Without a `kind`, it may have more entries than these.
    """

    kind: Container | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    constant: object = None

    @property
    def is_dict(self) -> bool:
        """Whether it is a dict."""
        return self.kind not in (None, Container.sequence)

    @property
    def is_list(self) -> bool:
        """Whether it is a list, all items of which are known."""
        return self.kind is Container.sequence

    @property
    def replaces(self) -> bool:
        """Whether `_delete_` keeps it from being merged with an inherited dict."""
        delete = self.entries.get("_delete_")
        return delete is not None and str(delete.value.constant).lower() != "false"

    def copy(self, copies: dict[int, Value] | None = None) -> Value:
        """Return a deep copy, in which two names of one value still are names of one value."""
        copies = {} if copies is None else copies
        if id(self) not in copies:
            copy = copies[id(self)] = Value(self.kind, constant=self.constant)
            for key, entry in self.entries.items():
                copy.entries[key] = entry._replace(value=entry.value.copy(copies))
        return copies[id(self)]

    def update(self, changes: Value) -> None:
        """Merge a dict into this one."""
        if changes.replaces:
            self.entries.clear()
        self.entries |= merged(changes.entries, self.entries)


class Entry(NamedTuple):
    """An entry of a dict or an item of a list.

    `location` is that of the key, or of the item; `value_location` that of what is written as its
    value, which may be the name of a dict.
    """

    location: Location
    value_location: Location
    value: Value

    def over(self, inherited: Entry) -> Entry:
        """Merge this entry with the inherited one of the same key."""
        own = self.value
        if own.replaces or not (own.is_dict and inherited.value.is_dict):
            return self
        return self._replace(value=Value(own.kind, merged(own.entries, inherited.value.entries)))


def merged(own: dict[str, Entry], inherited: dict[str, Entry]) -> dict[str, Entry]:
    """Merge the entries of a dict with those that it inherits, as mmengine does."""
    both = {key: own[key].over(inherited[key]) for key in own if key in inherited}
    return {**inherited, **own, **both}

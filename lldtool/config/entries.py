"""What a config's text says is in a dict or list, and how such are merged."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from lldtool.config.location import Location


class Container(Enum):
    """What an entry is written in."""

    call = "dict(…)"
    mapping = "{…}"
    sequence = "[…]"
    statement = "a statement of its own"


@dataclass
class Node:
    """What is known of a value: what is in it if it is a dict or list, or the constant it is.

    Without a `kind`, there may be more in it than is known.
    """

    kind: Container | None = None
    entries: dict[str, Item] = field(default_factory=dict)
    constant: object = None

    @property
    def is_dict(self) -> bool:
        """Whether it is a dict, with all that is in it known."""
        return self.kind in (Container.call, Container.mapping)

    @property
    def is_list(self) -> bool:
        """Whether it is a list, with all that is in it known."""
        return self.kind is Container.sequence

    @property
    def replaces(self) -> bool:
        """Whether it is not to be merged with what is inherited."""
        delete = self.entries.get("_delete_")
        return delete is not None and str(delete.node.constant).lower() != "false"


class Item(NamedTuple):
    """An entry of a dict or an item of a list: where it and its value stand, and the value."""

    place: Location
    value: Location
    container: Container
    node: Node


def copied(node: Node, copies: dict[int, Node]) -> Node:
    """A copy, in which what was one thing in two places still is."""
    copy = copies.get(id(node))
    if copy is None:
        copy = copies[id(node)] = Node(node.kind, constant=node.constant)
        for key, entry in node.entries.items():
            copy.entries[key] = entry._replace(node=copied(entry.node, copies))
    return copy


def merged(own: dict[str, Item], inherited: dict[str, Item]) -> dict[str, Item]:
    """Dicts in one another, as mmengine merges a config with its bases."""
    both = {key: over(entry, inherited[key]) for key, entry in own.items() if key in inherited}
    return {**inherited, **own, **both}


def over(own: Item, inherited: Item) -> Item:
    """An entry, merged with the one of the same key that it is written over."""
    node = own.node
    if node.replaces or not (node.is_dict and inherited.node.is_dict):
        return own
    return own._replace(node=Node(node.kind, merged(node.entries, inherited.node.entries)))


def update(node: Node, changes: Node) -> None:
    """Merge changes into a dict, in its place."""
    if changes.replaces:
        node.entries.clear()
    node.entries |= merged(changes.entries, node.entries)

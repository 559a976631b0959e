"""A config's file -> where its entries and the comments to ignore findings stand, bases included.

Files are parsed, never executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lldtool.config.bases import base_imports, bases_of
from lldtool.config.entries import Container, Item
from lldtool.config.files import File, read
from lldtool.config.location import Location
from lldtool.config.statements import entries_of
from lldtool.config.suppressions import Suppression, suppressions_in


@dataclass(frozen=True)
class Entry:
    """An entry of the finished config, where it was last written.

    `place` is the key's, of an item of a list the item's. `value` is what is written for it, be it
    the name of a dict. `kind` is what that is: a `dict(…)`, a `{…}` or a list, be it one with a
    name; None for what is not written out as one of these.
    """

    place: Location
    value: Location
    container: Container
    kind: Container | None

    @property
    def is_call(self) -> bool:
        """Whether the value is a `dict(…)`."""
        return self.kind is Container.call


class Sources:
    """The text of a config and of what it inherits.

    What can't be read or parsed is passed over; nothing here raises.

    Args:
        path: the config's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The config and all that it inherits, itself or by its bases, as far as they exist."""
        return tuple(file.path for file in self._files)

    @property
    def is_pure_python(self) -> bool:
        """Whether the config inherits by `with read_base():`, and so changes dicts in place."""
        return any(base_imports(file) for file in self._files[:1])

    def place(self, key: Sequence[str]) -> Location | None:
        """Where an entry stands; where that can't be found, the innermost that it is in.

        Args:
            key: the keys that lead to it; items of a list by their index.
        """
        entries = (self.entry(key[:end]) for end in range(len(key), 0, -1))
        return next((entry.place for entry in entries if entry is not None), None)

    def entry(self, key: Sequence[str]) -> Entry | None:
        """The entry itself, or None where it can't be found.

        Args:
            key: the keys that lead to it; items of a list by their index.
        """
        entries, found = self._entries, None
        for part in key:
            found = entries.get(part)
            if found is None:
                return None
            entries = found.node.entries
        if found is None:
            return None
        return Entry(found.place, found.value, found.container, found.node.kind)

    def inheriting(self, path: Path) -> tuple[Location, ...]:
        """Return where each file inherits the next, from the config's own to a file of this path.

        Args:
            path: of the config or of one of the files that it inherits.
        """
        file, places = read(path), list[Location]()
        while file is not None:
            _, place = self._inherited.get(file.identity, (file, None))
            places += [place] if place is not None else []
            file = read(place.file) if place is not None else None
        return tuple(reversed(places))

    def suppressions(self) -> tuple[Suppression, ...]:
        """The comments to ignore findings, in all files."""
        return tuple(one for file in self._files for one in suppressions_in(file))

    @property
    def _files(self) -> Sequence[File]:
        return [file for file, _ in self._inherited.values()]

    @cached_property
    def _inherited(self) -> dict[str, tuple[File, Location | None]]:
        """Identity -> each file, and where a file before it inherits it."""
        found: dict[str, tuple[File, Location | None]] = {}
        paths: list[tuple[Path, Location | None]] = [(self._path, None)]
        for path, place in paths:
            file = read(path)
            if file is not None and file.identity not in found:
                found[file.identity] = file, place
                paths += bases_of(file)
        return found

    @cached_property
    def _entries(self) -> dict[str, Item]:
        return entries_of(self._path, {})

"""A config's file -> where its entries and the comments to ignore findings stand, bases included.

Files are parsed, never executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from lldtool.config.bases import base_imports, bases_of
from lldtool.config.entries import Entry
from lldtool.config.files import File, read
from lldtool.config.location import Location
from lldtool.config.statements import entries_of
from lldtool.config.suppressions import Suppression, suppressions_in


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
        return any(True for file in self._files[:1] for _ in base_imports(file.statements))

    def location(self, path: Sequence[str]) -> Location | None:
        """Return the location of an entry, or of the innermost entry on the way that is found.

        Args:
            path: the keys that lead to it; items of a list by their index.
        """
        entries = (self.entry(path[:end]) for end in range(len(path), 0, -1))
        return next((entry.location for entry in entries if entry is not None), None)

    def entry(self, path: Sequence[str]) -> Entry | None:
        """Return an entry of the finished config, as it was last written; None if not found."""
        entries, found = self._entries, None
        for key in path:
            found = entries.get(key)
            if found is None:
                return None
            entries = found.value.entries
        return found

    def own_entry(self, path: Sequence[str]) -> Entry | None:
        """Return an entry that the config's own file has, rather than one that it inherits."""
        entry = self.entry(path)
        return entry if entry is not None and entry.location.file == self.files[0] else None

    def own_container(self, path: Sequence[str]) -> tuple[tuple[str, ...], Entry | None]:
        """Return the innermost entry of the config's own file that an entry is in, and its path."""
        for end in range(len(path) - 1, 0, -1):
            if own := self.own_entry(path[:end]):
                return tuple(path[:end]), own
        return (), None

    def inheriting(self, path: Path) -> tuple[Location, ...]:
        """Return where each file inherits the next, from the config's own to a file of this path.

        Args:
            path: of the config or of one of the files that it inherits.
        """
        file, locations = read(path), list[Location]()
        while file is not None:
            _, location = self._inherited.get(file.identity, (file, None))
            locations += [location] if location is not None else []
            file = read(location.file) if location is not None else None
        return tuple(reversed(locations))

    def suppressions(self) -> tuple[Suppression, ...]:
        """Return the comments to ignore findings, in all files."""
        return tuple(comment for file in self._files for comment in suppressions_in(file))

    @property
    def _files(self) -> Sequence[File]:
        return [file for file, _ in self._inherited.values()]

    @cached_property
    def _inherited(self) -> dict[str, tuple[File, Location | None]]:
        """Identity -> each file, and where a file before it inherits it."""
        found: dict[str, tuple[File, Location | None]] = {}
        paths: list[tuple[Path, Location | None]] = [(self._path, None)]
        for path, location in paths:
            file = read(path)
            if file is not None and file.identity not in found:
                found[file.identity] = file, location
                paths += bases_of(file)
        return found

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        return entries_of(self._path, {})

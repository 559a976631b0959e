"""A location in a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Location:
    """A part of a file; lines and columns count from 1, and the end is the first column after it.

    Columns count characters, as editors show them.
    """

    file: Path
    line: int
    column: int
    end_line: int
    end_column: int

    def first(self, length: int) -> Location:
        """Return the location of the first characters."""
        return replace(self, end_line=self.line, end_column=self.column + length)

    def last(self, length: int) -> Location:
        """Return the location of the last characters."""
        return replace(self, line=self.end_line, column=self.end_column - length)

    def to(self, end: Location) -> Location:
        """Return the location from the start of this one to the end of another."""
        return replace(self, end_line=end.end_line, end_column=end.end_column)

"""A location in a file."""

from __future__ import annotations

from dataclasses import dataclass
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

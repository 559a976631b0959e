"""Lines of styled text for a terminal, as many as a model has parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

#: Text and its style.
Pieces = tuple[tuple[str, str | Style], ...]


class Line(NamedTuple):
    """A head, and what stands beside it in as many lines as it takes."""

    head: Pieces
    body: Pieces


@dataclass(frozen=True)
class Lines:
    """What rich's tables would show of these lines, for which they take twenty times as long."""

    lines: Iterable[Line]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """Yield the lines."""
        broken: dict[tuple[Pieces, int], list[Pieces]] = {}  # many parameters share theirs
        segments = _plain if console.color_system is None else partial(_styled, console)
        for head, body in self.lines:
            indent = _width(head)
            room = options.max_width - indent
            rows = [body]
            if _width(body) > room:
                if (body, room) not in broken:
                    broken[body, room] = _broken(console, body, room)
                rows = broken[body, room]
            start = head
            for row in rows:
                yield from segments((*start, *row))
                yield Segment.line()
                start = ((" " * indent, ""),)


def _width(pieces: Pieces) -> int:
    return sum(len(text) if text.isascii() else cell_len(text) for text, _ in pieces)


def _plain(pieces: Pieces) -> list[Segment]:
    return [Segment("".join([text for text, _ in pieces]))]


def _styled(console: Console, pieces: Pieces) -> list[Segment]:
    return [Segment(text, console.get_style(style) if style else None) for text, style in pieces]


def _broken(console: Console, pieces: Pieces, width: int) -> list[Pieces]:
    """The lines of a text that is wider than this, broken as rich does it."""
    lines = Text.assemble(*pieces, end="").wrap(console, width, overflow="fold")
    return [tuple((text, style or "") for text, style, _ in line.render(console)) for line in lines]

"""Lines of styled text for a terminal."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len, chop_cells

from lldtool.output.document import Text
from lldtool.text import printable

#: Text and style of the parts of a line.
Line = list[tuple[str, str]]
#: Where a line is broken if it cannot be where the document says.
_BREAKS = (" ", ".")


def hanging(head: Line, text: str | Text, width: int, hang: int | None = None) -> Iterator[Line]:
    """Yield the lines of a text after a head, the others as far to the right as it is wide."""
    indent = width_of(head) if hang is None else hang
    for number, line in enumerate(wrapped(text, width - indent)):
        yield [*(head if number == 0 else [(" " * indent, "")]), *line]


def spans_of(text: str | Text, style: str = "") -> Line:
    """Return text in its style, without control characters."""
    if isinstance(text, str):
        return [(printable(text), style)]
    return [(printable(part), own or style) for part, own in text.spans]


def width_of(line: Iterable[tuple[str, str]]) -> int:
    """Return how many columns of a terminal a line takes."""
    return sum([len(text) if text.isascii() else cell_len(text) for text, _ in line])


def wrapped(text: str | Text, width: int, style: str = "") -> list[Line]:
    """Return the lines of a text, none wider than this."""
    line = spans_of(text, style)
    if width_of(line) <= width:
        return [line]
    if isinstance(text, Text) and not text.joint:
        return [_cut(line, width)]
    joint = text.joint if isinstance(text, Text) else " "
    whole = "".join(part for part, _ in line)
    return _divided(line, _broken(whole, max(1, width), tuple(dict.fromkeys((joint, *_BREAKS)))))


@functools.lru_cache(maxsize=10_000)  # many parameters share theirs
def _broken(text: str, width: int, joints: tuple[str, ...]) -> list[str]:
    """Return the parts of a text that are no wider than this, broken after the first joint."""
    if cell_len(text.rstrip()) <= width:
        return [text]
    if not joints:
        return chop_cells(text, width)
    lines: list[str] = []
    *pieces, last = text.split(joints[0])
    for piece in (*(f"{piece}{joints[0]}" for piece in pieces), last):
        if lines and cell_len((lines[-1] + piece).rstrip()) <= width:
            lines[-1] += piece
        else:
            lines += _broken(piece, width, joints[1:])
    return lines


def _divided(line: Line, parts: Sequence[str]) -> list[Line]:
    """Return a line divided into these parts."""
    lines: list[Line] = []
    rest = iter(line)
    text, style = next(rest, ("", ""))
    for part in parts:
        missing, found = len(part), Line()
        while missing:
            if not text:
                text, style = next(rest)
            found.append((text[:missing], style))
            missing, text = missing - len(found[-1][0]), text[missing:]
        if found:
            found[-1] = (found[-1][0].rstrip(), found[-1][1])
        lines.append(found)
    return lines


def _cut(line: Line, width: int) -> Line:
    """Return as much of a line as fits, with a sign that something is missing."""
    found, room = Line(), width - 1
    for text, style in line:
        found.append(("".join(chop_cells(text, room)[:1]) if room > 0 else "", style))
        room -= cell_len(text)
    return [*found, ("…", line[-1][1])]

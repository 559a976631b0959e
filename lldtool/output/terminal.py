"""Document -> what a terminal shows, of any width from 60 columns on."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

from lldtool.output.document import (
    Block,
    Bullets,
    Code,
    Document,
    Facts,
    Notes,
    Paragraph,
    Picture,
    Section,
    Table,
)
from lldtool.output.lines import Line, hanging, spans_of, width_of, wrapped
from lldtool.output.terminal_tables import table_lines
from lldtool.text import printable


def write(document: Document, *, width: int, color: bool) -> str:
    """Return the document as text.

    Args:
        document: what to show.
        width: columns of the terminal.
        color: with escape sequences for colour.
    """
    return text_of(lines_of(document, width), color=color)


def lines_of(document: Document, width: int) -> Iterator[Line]:
    """Yield the lines of a document, with a blank one between its sections.

    Facts and text that come first say more of the title: they stand right below it.
    """
    if str(document.title):
        yield from wrapped(document.title, width, "bold")
    for number, section in enumerate(document.sections):
        is_about_title = not section.title and isinstance(section.blocks[0], (Facts, Paragraph))
        if number or (str(document.title) and not is_about_title):
            yield []
        yield from _section(section, width)


def text_of(lines: Iterable[Line], *, color: bool) -> str:
    """Return lines as text, with escape sequences for their styles or without."""
    if not color:
        return "".join([f"{''.join([text for text, _ in line]).rstrip()}\n" for line in lines])
    return "".join("".join(map(_colored, line)).rstrip() + "\n" for line in lines)


def _colored(span: tuple[str, str]) -> str:
    text, style = span
    start, end = _escapes(style) if text.strip() else ("", "")
    return f"{start}{text}{end}"


@functools.cache
def _escapes(style: str) -> Sequence[str]:
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render("|", color_system=ColorSystem.STANDARD).split("|")


def _section(section: Section, width: int) -> Iterator[Line]:
    if str(section.title):
        yield from wrapped(section.title, width, "bold")
    for block in section.blocks:
        yield from _block(block, width)


def _block(block: Block, width: int) -> Iterator[Line]:
    if isinstance(block, Table):
        yield from table_lines(block, width)
    elif isinstance(block, Facts):
        yield from _facts(block, width)
    elif isinstance(block, Paragraph):
        yield from hanging([], block.text, width, block.hang)
    elif isinstance(block, Bullets):
        for item in block.items:
            yield from hanging([("- ", "")], item, width)
    elif isinstance(block, Notes):
        for note in block.notes:
            yield from hanging([("note  ", "yellow")], note, width)
    elif isinstance(block, Code):
        yield from ([(f"    {printable(line)}", "")] for line in block.text.split("\n"))
    else:
        assert isinstance(block, Picture)  # which a terminal cannot show


def _facts(facts: Facts, width: int) -> Iterator[Line]:
    labels = [spans_of(label, facts.style) for label, _ in facts.rows]
    room = max(map(width_of, labels), default=0)
    for label, (_, text) in zip(labels, facts.rows, strict=True):
        head = [(" " * facts.indent, ""), *label, (" " * (room - width_of(label) + 2), "")]
        yield from hanging(head, text, width)

"""Document -> Markdown, for a README or a comment on a pull request."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby

from lldtool.output.document import (
    Block,
    Bullets,
    Cell,
    Code,
    Document,
    Facts,
    Notes,
    Paragraph,
    Section,
    Table,
    Text,
)
from lldtool.text import plural, printable

#: What GitHub takes as a comment, in characters, less some room for what others add.
#: https://github.com/orgs/community/discussions/27190
_LONGEST_COMMENT = 64_500
#: Names, keys and values beyond these many characters are cut in one; they may be of any length.
_LONGEST_TEXT = 500


def write(document: Document, *, width: int = 0, color: bool = False) -> str:
    """Return the document as Markdown, without charts and pictures.

    A comment is as short as GitHub demands: the longest tables lose their last rows.

    Args:
        document: what to show.
        width: not used; lines are as long as they are.
        color: not used.
    """
    longest = _LONGEST_TEXT if document.is_comment else None
    blocks: list[list[str]] = []
    if str(document.title):
        blocks.append([f"### {markdown(_cut_off(document.title, longest))}"])
    for section in document.sections:
        blocks += _section(section, longest)
    if document.is_comment:
        _shorten(blocks, _LONGEST_COMMENT)
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"


def _section(section: Section, longest: int | None) -> Iterator[list[str]]:
    title = str(section.title)
    if section.folded:
        tables = [block for block in section.blocks if isinstance(block, Table)]
        title = title or ", ".join(table.title for table in tables)
        number = plural(sum(len(table.rows) for table in tables), "row")
        summary = html.escape(printable(f"{title}, {number}"))
        yield [f"<details><summary>{summary}</summary>"]
    elif title:
        yield [f"#### {markdown(_cut_off(title, longest))}"]
    shown = [b for b in section.blocks if not (isinstance(b, Paragraph) and b.on_charts)]
    for are_paragraphs, blocks in groupby(shown, lambda b: isinstance(b, Paragraph)):
        lines = [_block(block, longest) for block in blocks]
        yield from [["  \n".join(chain(*lines))]] if are_paragraphs else filter(None, lines)
    if section.folded:
        yield ["</details>"]


def _block(block: Block, longest: int | None) -> list[str]:
    """Return the lines of a block; none, where Markdown does not show it."""

    def shown(text: str | Text) -> str:
        return markdown(_cut_off(text, longest))

    if isinstance(block, Paragraph):
        return [_paragraph(block.text, longest)]
    if isinstance(block, Facts):
        return [_fact(str(label), shown(text)) for label, text in block.rows]
    if isinstance(block, Table):
        return _table(block, longest)
    if isinstance(block, Bullets):
        return [f"- {shown(item)}" for item in block.items]
    if isinstance(block, Notes):
        return "\n\n".join(f"> {shown(note)}" for note in block.notes).split("\n")
    return fenced(block.text, block.language) if isinstance(block, Code) else []


def _paragraph(text: str | Text, longest: int | None) -> str:
    is_bold = isinstance(text, Text) and all("bold" in style for _, style in text.spans)
    shown = markdown(_cut_off(text, longest))
    return f"**{shown}**" if is_bold else shown


def _fact(label: str, text: str) -> str:
    """A list item; one of a list in the item before, where the label is indented or missing."""
    indent = "" if label.strip() == label != "" else "  "
    return f"{indent}- {markdown(label)}: {text}" if label.strip() else f"{indent}- {text}"


def _table(table: Table, longest: int | None) -> list[str]:
    shown = [
        place for place, column in enumerate(table.columns) if not (column.hidden or column.most)
    ]
    columns = [table.columns[place] for place in shown]
    rows = (
        [" ".join(_cut_off(_joined(row.cells[place]), longest).split()) for place in shown]
        for row in table.rows
    )
    right = [column.title for column in columns if column.align == "right"]
    return markdown_table([column.title for column in columns], rows, right=right)


def _joined(cell: Cell) -> str:
    return " · ".join(map(str, cell)) if isinstance(cell, tuple) else str(cell)


def _cut_off(text: str | Text, longest: int | None) -> str:
    whole = str(text)
    return whole if longest is None or len(whole) <= longest else f"{whole[:longest]}…"


#: The lines of a table that are no rows.
_HEAD = 2


def _shorten(blocks: Sequence[list[str]], longest: int) -> None:
    """Take rows from the end of the longest tables, and say so, until all are short enough."""

    def length(lines: Sequence[str]) -> int:
        return sum(len(line) + 1 for line in lines) + 1

    excess = sum(map(length, blocks)) - longest
    tables = [lines for lines in blocks if len(lines) > _HEAD and lines[0].startswith("| ")]
    for table in sorted(tables, key=length, reverse=True):
        rows = len(table)
        while excess > 0 and len(table) > _HEAD:
            excess -= len(table.pop()) + 1
        if len(table) < rows:
            table += ["", f"and {plural(rows - len(table), 'more row')}"]


def fenced(code: str, language: str) -> list[str]:
    """Return the lines of a block of code; its fence is longer than any that is in it."""
    fence = "`" * max(2, *(len(run) for run in re.findall("`+", code)), 2) + "`"
    return [f"{fence}{language}", *map(printable, code.split("\n")), fence]


def markdown_table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()
) -> list[str]:
    """Return the lines of a table; the columns of these titles are aligned to the right."""
    sides = ["--:" if title in right else ":--" for title in titles]
    first, *others = ["| " + " | ".join(map(_inline, line)) + " |" for line in (titles, *rows)]
    return [first, f"| {' | '.join(sides)} |", *others]


#: What at the start of a line begins a list, a heading's underline or a ruler.
_BLOCK_START = re.compile(r"(\d*)([-+=.)])(?=[\s=-]|$)")


def markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on a line of its own too: no list, no ruler."""
    text = _inline(text)
    start = _BLOCK_START.match(text)
    return f"{start[1]}\\{text[start.end(1) :]}" if start else text


def _inline(text: str) -> str:
    """Return text that Markdown shows as it is within a line: no emphasis, HTML or cell ends."""
    text = printable(text).strip()
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|#~!@" else c for c in text)

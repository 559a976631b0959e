"""What a command has to show: sections of facts, tables, text, notes, code and pictures.

A command makes one `Document`; the writers (`terminal`, `markdown`, `html`) turn any into text. All
text may come from a config and hold anything: the writers escape it, nobody else. Styles are
named as rich names them: `bold`, `dim`, `green`, `bold red`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Text:
    """Styled text: pairs of text and style.

    A line of it is broken after `joint`, and within what stands between two only if that is longer
    than a line. Where `joint` is empty, a terminal cuts off what is too long.
    """

    spans: tuple[tuple[str, str], ...]
    joint: str = " "

    def __str__(self) -> str:
        return "".join(text for text, _ in self.spans)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return text of some parts, those with a style as pairs of text and style."""
    return Text(tuple((part, "") if isinstance(part, str) else part for part in parts))


def listed(items: Iterable[str], joint: str = ", ", style: str = "") -> Text:
    """Return the items in a row, which is broken between two of them."""
    return Text(((joint.join(items), style),), joint)


@dataclass(frozen=True)
class Pair:
    """A value that differs: `a → b`."""

    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.a} → {self.b}"


@dataclass(frozen=True)
class Number:
    """A number as it is shown, and as it is: a page sorts by that."""

    text: str
    value: float | None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Bar:
    """A bar of a part of its column, from 0 to 1; terminals draw it."""

    part: float

    def __str__(self) -> str:
        return ""


@dataclass(frozen=True)
class Curve:
    """A curve of values, as high as its column; terminals draw it."""

    values: Sequence[float]

    def __str__(self) -> str:
        return ""


#: A tuple is of cells below each other.
Cell = str | Text | Pair | Number | Bar | Curve | tuple[Pair, ...]


@dataclass(frozen=True)
class Column:
    """The title of a column, and how it is shown.

    Attributes:
        title: of the column; may be empty.
        align: `arrow` aligns pairs at their arrows, and what is no pair with what is before them.
        style: of cells that have none of their own.
        least: the characters that a terminal may narrow it down to; None for all that it needs.
        most: the characters that a column of bars or curves may have; 0 for other columns.
        drop: a narrow terminal leaves out the columns with the lowest number first; 0 stays.
        from_width: the width of the narrowest terminal that shows it.
        below: a terminal shows the cells below those of the column before, without a title.
        filter: a page lets its reader choose rows by it.
        hidden: it is there for `filter` only.
    """

    title: str
    align: Literal["left", "right", "arrow"] = "left"
    style: str = ""
    least: int | None = None
    most: int = 0
    drop: int = 0
    from_width: int = 0
    below: bool = False
    filter: bool = False
    hidden: bool = False


@dataclass(frozen=True)
class Row:
    """The cells of a row; `style` goes before that of the columns, None leaves theirs."""

    cells: Sequence[Cell]
    style: str | None = None


@dataclass(frozen=True)
class Table:
    """Rows under the titles of columns.

    Attributes:
        columns: of the table.
        rows: with a cell for each column.
        header: the style of the titles; a terminal leaves them out where it is empty.
        gap: the blanks between columns in a terminal.
        indent: the blanks before the first.
        repeated: where a terminal has not enough room, the other columns come in several tables, of
            which each begins with so many of the first columns; 0 for one table in any case.
        entries: a terminal shows marker and name, the first columns, and beside or below them the
            others in a row.
        title: of the table, for a page.
        search: the title of a column; a page has controls to search that, and to filter and sort.
    """

    columns: Sequence[Column]
    rows: Sequence[Row]
    header: str = "bold"
    gap: int = 1
    indent: int = 0
    repeated: int = 0
    entries: bool = False
    title: str = ""
    search: str = ""


@dataclass(frozen=True)
class Facts:
    """Labels, and what there is to say of each; one without a label belongs to the one before."""

    rows: Sequence[tuple[str | Text, str | Text]]
    style: str = "dim"
    indent: int = 0


@dataclass(frozen=True)
class Paragraph:
    """Some text; `hang` blanks are before its lines after the first in a terminal.

    `on_charts` is one that is about bars or curves, which only terminals draw.
    """

    text: str | Text
    hang: int = 0
    on_charts: bool = False


@dataclass(frozen=True)
class Bullets:
    """Sentences, a list item each."""

    items: Sequence[str]


@dataclass(frozen=True)
class Notes:
    """What else a reader should know, a note each."""

    notes: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Text to copy."""

    text: str
    language: str = "python"


@dataclass(frozen=True)
class Picture:
    """What draws a picture, of a form (`svg`) and for dark paper or not; and its text."""

    draw: Callable[[str, bool], bytes]
    alternative: str


Block = Table | Facts | Paragraph | Bullets | Notes | Code | Picture


@dataclass(frozen=True)
class Section:
    """Blocks that belong together, with a title or without.

    Attributes:
        blocks: in their order.
        title: of the section.
        level: 1 for the sections of the document, 0 for what holds those that follow.
        folded: Markdown folds it up, with the number of the rows in its title.
        verdict: what a list of the sections of level 0 says of it.
    """

    blocks: Sequence[Block]
    title: str | Text = ""
    level: int = 1
    folded: bool = False
    verdict: str = ""


@dataclass(frozen=True)
class Document:
    """A title and sections; `is_comment` where Markdown has to fit into a comment on GitHub."""

    sections: Sequence[Section]
    title: str | Text = ""
    is_comment: bool = False

"""Document -> one HTML page that needs nothing else, or a part of a page for a notebook.

`page.html` has the structure, `page.css` the looks, `page.js` what the controls do. All text is
escaped by Jinja; a content security policy lets no other script run and nothing be loaded.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lldtool.output.document import (
    Bullets,
    Cell,
    Code,
    Document,
    Facts,
    Notes,
    Number,
    Paragraph,
    Picture,
    Table,
    Text,
)
from lldtool.text import printable
from lldtool.versions import lldtool_version

if TYPE_CHECKING:
    from jinja2 import Environment


def write(document: Document, *, width: int = 0, color: bool = False) -> str:
    """Return the document as a page.

    Args:
        document: what to show.
        width: not used; a page is as wide as its window.
        color: not used.
    """
    script, style = (_environment().get_template(name).render() for name in ("page.js", "page.css"))
    page: str = (
        _environment()
        .get_template("page.html")
        .render(
            title=str(document.title),
            sections=document.sections,
            version=lldtool_version(),
            script_hash=_hash(script),
            style_hash=_hash(style),
        )
    )
    return page


def fragment(document: Document) -> str:
    """Return the document as a part of a page that has its own looks."""
    part: str = (
        _environment()
        .get_template("notebook.html")
        .render(title=str(document.title), sections=document.sections)
    )
    return part


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "page"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalized,
    )  # fmt: skip
    kinds = {
        "table": Table, "facts": Facts, "text": Paragraph, "bullets": Bullets, "notes": Notes,
        "code": Code, "picture": Picture,
    }  # fmt: skip
    tests: Any = {name: functools.partial(_is, kind=kind) for name, kind in kinds.items()}
    environment.tests |= tests
    environment.filters |= {
        "spans": _spans, "exact": _exact, "options": _options, "address": _address,
    }  # fmt: skip
    return environment


def _is(block: object, kind: type[object]) -> bool:
    return isinstance(block, kind)


def _finalized(value: object) -> object:
    return printable(value) if type(value) is str else value


def _spans(cell: Cell) -> Sequence[tuple[str, str]]:
    """Return the text of a cell and its styles, which the page knows as classes."""
    if isinstance(cell, Text):
        return cell.spans
    return ((" · ".join(map(str, cell)) if isinstance(cell, tuple) else str(cell), ""),)


def _exact(cell: Cell) -> str:
    """Return the attributes of a cell with a number: a page sorts by it, and tells it exactly."""
    from markupsafe import Markup

    if not isinstance(cell, Number):
        return ""
    if cell.value is None:
        return Markup(' data-value="nan"')
    return Markup(' data-value="{0}" title="{0}"').format(repr(cell.value))


def _options(table: Table, place: int) -> list[str]:
    """Return what is in a column, once."""
    return list(dict.fromkeys(str(row.cells[place]) for row in table.rows))


def _address(picture: Picture, dark: bool) -> str:
    """Return an address that holds the picture."""
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.draw('svg', dark)).decode()}"


def _hash(text: str) -> str:
    """As a content security policy names a script: https://www.w3.org/TR/CSP3/#grammardef-hash-source"""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"

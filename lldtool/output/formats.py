"""The formats that a document can be written in: a writer each, which knows no command."""

from __future__ import annotations

import importlib
from typing import Protocol

from lldtool.output.document import Document

#: Format that every command with a document offers -> the module with its writer, `write`.
WRITERS = {
    "markdown": "lldtool.output.markdown",
}
_TERMINAL = "lldtool.output.terminal"
#: Formats of some commands only.
_OTHERS = {"table": _TERMINAL, "text": _TERMINAL, "html": "lldtool.output.html"}


class Writer(Protocol):
    """Turns a document into text; terminals have a width, and colour or not."""

    def __call__(self, document: Document, *, width: int, color: bool) -> str:
        """Return the document as text."""


def written(document: Document, form: str, *, width: int = 80, color: bool = False) -> str:
    """Return the document in a format.

    Args:
        document: what to show.
        form: the name of the format.
        width: columns of the terminal, for forms that have lines.
        color: with escape sequences for colour, for forms that know them.
    """
    write: Writer = importlib.import_module((WRITERS | _OTHERS)[form]).write
    return write(document, width=width, color=color)

"""LLD001 unused-ignore."""

from __future__ import annotations

from lldtool.lint.rules.base import Rule


class UnusedIgnore(Rule):
    """A comment `# lldtool: ignore[…]` has nothing to ignore.

    The finding that it was written for is gone, or is on another line. A comment that stays
    would hide the next one. A comment in a file that several configs inherit is unused where
    none of the configs that are checked together needs it.

    Delete the comment, or the code in it.
    """

    passes = ()

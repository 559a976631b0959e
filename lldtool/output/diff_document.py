"""PlanDiff -> what `lldtool diff` shows."""

from __future__ import annotations

from collections.abc import Sequence

from lldtool.analysis.diff import PlanDiff
from lldtool.output.diff_cells import ADDED, COLORS, REMOVED
from lldtool.output.diff_tables import tables
from lldtool.output.diff_words import all_in_words, in_words, names_of_sides, summary
from lldtool.output.document import (
    Bullets,
    Document,
    Facts,
    Notes,
    Paragraph,
    Section,
    listed,
    styled,
)


def diff_document(
    diff: PlanDiff,
    *,
    every_layer: bool = False,
    every_parameter: bool = False,
    notes: Sequence[str] = (),
    sentences: bool = False,
) -> Document:
    """Return a summary of the diff and the tables that show it.

    Args:
        diff: what to show.
        every_layer: also the layers that do not differ.
        every_parameter: a row for each parameter that differs.
        notes: what else is to be said.
        sentences: say first what the difference does, for a reader in a hurry; a table of the
            config's entries is only there if these are too many.
    """
    line = listed(summary(diff), " · ", "bold green" if diff.identical else "bold")
    labels = (
        (f"{marker} {side}", COLORS[marker]) for marker, side in ((REMOVED, "A"), (ADDED, "B"))
    )
    sides = zip(map(styled, labels), names_of_sides(diff), strict=True)
    sections = [Section([Paragraph(line), Facts(list(sides))])]
    found = tables(diff, every_layer=every_layer, every_parameter=every_parameter)
    if sentences:
        sections += [Section([Bullets(said)])] if (said := in_words(diff)) else []
        found = [x for x in found if x.title != "config" or not all_in_words(diff)]
    end = [Section([Notes(notes)])] if notes else []
    return Document([*sections, *found, *end], is_comment=True)

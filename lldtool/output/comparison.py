"""Several plans -> one table with a column for each: lr per layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lldtool.analysis.alignment import Alignment, align_roles
from lldtool.analysis.diff import PlanDiff, diff_plans
from lldtool.output.contents import folded, largest_modules, patterns
from lldtool.output.document import (
    Cell,
    Column,
    Document,
    Facts,
    Notes,
    Paragraph,
    Row,
    Section,
    Table,
    Text,
    styled,
)
from lldtool.output.states import state_word, untrained_word
from lldtool.plan import Layer, Plan
from lldtool.text import lr


@dataclass(frozen=True)
class Comparison:
    """Plans, the title of the column that each gets, and label and text of lines to go before."""

    plans: tuple[Plan, ...]
    titles: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]

    @cached_property
    def alignment(self) -> Alignment:
        """Rows of layers that have the same role in every plan."""
        return align_roles(self.plans)

    @property
    def rows(self) -> tuple[tuple[Layer | None, ...], ...]:
        """A layer for each plan, None where it has none of that role."""
        return self.alignment.rows

    @cached_property
    def contents(self) -> list[str]:
        """What is in each row, and the optimizers that have it where there are several."""
        names = [
            list(dict.fromkeys(p.name for layer in row if layer for p in layer.parameters))
            for row in self.rows
        ]
        every = {name for own in names for name in own}
        modules = map(folded, largest_modules(names, names))
        shown = [
            x if len(x) <= _MOST_NAMES else min(x, patterns(own, every, _MOST_NAMES), key=len)
            for x, own in zip(modules, names, strict=True)
        ]
        return [
            ", ".join(own) + _optimizers(row) for own, row in zip(shown, self.rows, strict=True)
        ]

    @cached_property
    def weight_decay_differs(self) -> list[int]:
        """How many parameters have another weight decay than in the first plan, for each plan."""
        return [len(diff.with_changed("weight_decay")) for diff in self.diffs]

    @property
    def shared(self) -> list[int]:
        """How many parameters each plan has in common with the first."""
        return [diff.compared for diff in self.diffs]

    @cached_property
    def diffs(self) -> list[PlanDiff]:
        """What each plan does otherwise than the first."""
        return [diff_plans(self.plans[0], plan) for plan in self.plans]

    @cached_property
    def ends(self) -> list[list[float | None]]:
        """The lr of each row in the last step, for each plan; empty where no lr changes."""
        found = [
            [plan.end_lr(layer) if layer else None for layer in (row[number] for row in self.rows)]
            for number, plan in enumerate(self.plans)
        ]
        is_changed = any(
            layer and end is not None and end != layer.lr
            for number, own in enumerate(found)
            for layer, end in zip((row[number] for row in self.rows), own, strict=True)
        )
        return found if is_changed else []

    @property
    def notes(self) -> list[str]:
        """What the plans have to say, once."""
        return list(dict.fromkeys(note for plan in self.plans for note in plan.notes))


def _optimizers(row: Sequence[Layer | None]) -> str:
    """` (generator)`: the optimizers of a row in the order of the plans; empty with one each."""
    names = dict.fromkeys(layer.optimizer for layer in row if layer and layer.optimizer)
    return f" ({' → '.join(names)})" if names else ""


#: More names than this in a row are written as patterns, where that makes them fewer.
_MOST_NAMES = 3
#: The title of the last row.
WEIGHT_DECAY_DIFFERS = "weight decay differs"


def comparison_document(comparison: Comparison) -> Document:
    """Return a column for each plan, with the lr of each layer."""
    legend = Facts(comparison.legend, style="bold")
    end = [Paragraph(styled((caption(comparison), "dim")))]
    notes = [Notes(comparison.notes)] if comparison.notes else []
    sections = [Section([comparison_table(comparison)]), Section([*end, *notes])]
    return Document([Section([legend]), *sections] if comparison.legend else sections)


def caption(comparison: Comparison) -> str:
    """Return what the table shows."""
    first = comparison.titles[0]
    shared = comparison.shared
    ends = ", and at the end of the training" if comparison.ends else ""
    of_shared = "of those in common, " if len(set(shared)) > 1 else ""
    return (
        f"{_ROWS[comparison.alignment.by]}{ends}; last row: {of_shared}parameters whose weight "
        f"decay is not that of column {first}"
    )


#: What the rows are, by what they are aligned by.
_ROWS = {
    "layer_id": "lr of each layer",
    "role": "lr of each layer, aligned by role: stem, blocks by number, head",
    "depth": "lr of each layer in order of relative depth, as the models have different blocks; "
    "only layers of the same role share a row",
    "name": "lr of each layer, aligned by the names of modules",
}
#: The width that the contents of a layer are cut down to, before the table is cut in parts.
_CONTENTS = 22


def comparison_table(comparison: Comparison) -> Table:
    """Return the lr of each layer in each plan, and how many weight decays differ."""
    labels, contents = comparison.alignment.labels, comparison.contents
    columns: list[tuple[Column, list[Cell]]] = []
    if any(labels):
        are_numbers = all(label.isdecimal() for label in labels if label)
        column = Column("layer", "right" if are_numbers else "left")
        columns.append((column, [*labels, ""]))
    rows: list[Cell] = [Text(((text, ""),), ", ") for text in contents]
    columns.append((Column("contents", least=_CONTENTS), [*rows, WEIGHT_DECAY_DIFFERS]))
    repeated = len(columns)
    counts = zip(comparison.weight_decay_differs, comparison.shared, strict=True)
    for number, (title, (count, shared)) in enumerate(zip(comparison.titles, counts, strict=True)):
        last = styled((str(count), "" if count else "dim")) if shared else "–"
        columns.append((Column(title, "right", "green"), [*_lrs(comparison, number), last]))
        if comparison.ends:
            ends = ["" if end is None else lr(end) for end in comparison.ends[number]]
            columns.append((Column(f"{title} end", "right"), [*ends, ""]))
    *cells, last_row = zip(*(own for _, own in columns), strict=True)
    shown = [*map(Row, cells), Row(last_row, "")]
    return Table([column for column, _ in columns], shown, repeated=repeated)


def _lrs(comparison: Comparison, number: int) -> list[str]:
    """The lr of each row in one plan, or why it is not trained there; empty where it has none."""
    frozen = {p.name for p in comparison.plans[number].frozen}
    cells = []
    for row in comparison.rows:
        layer = row[number]
        if layer is not None:
            cells.append(lr(layer.lr) if layer.trained else untrained_word(layer))
        else:
            names = {p.name for other in row if other for p in other.parameters}
            cells.append(state_word("frozen") if names <= frozen else "")
    return cells


def letters(number: int) -> list[str]:
    """A, B, …, Z, then A1 and on: short titles for configs with long names."""
    return [chr(ord("A") + i % 26) + (str(i // 26) if i >= 26 else "") for i in range(number)]

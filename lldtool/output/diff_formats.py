"""PlanDiff -> Markdown for a pull request, and JSON for a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lldtool.analysis.diff import SETTINGS, LayerPair, PlanDiff
from lldtool.output.cells import Cell
from lldtool.output.changes import Section, sections
from lldtool.output.tables import markdown, markdown_table
from lldtool.output.words import all_in_words, in_words, names_of_sides, summary
from lldtool.plan import Parameter, dump_by_line, plan_header
from lldtool.text import plural


def diff_json(diff: PlanDiff, notes: Sequence[str] = ()) -> str:
    """The diff for a script; a parameter to a line, numbers to the last bit."""
    import msgspec

    content: dict[str, Any] = {
        "schema_version": 1,
        "a": plan_header(diff.a),
        "b": plan_header(diff.b),
        "identical": diff.identical,
        "summary": " · ".join(summary(diff)),
        "settings": [change._asdict() for change in diff.config],
        "layers": [_layer_json(pair) for pair in diff.layers],
        "changed": _changed_json(diff),
        "added": [p.name for p in diff.added],
        "removed": [p.name for p in diff.removed],
        "status": [change._asdict() for change in diff.status],
        "reshaped": [change._asdict() for change in diff.reshaped],
        "compared": {"parameters": diff.compared, "settings": diff.looked_at},
        "notes": notes,
    }
    return dump_by_line(msgspec.to_builtins(content))


def _changed_json(diff: PlanDiff) -> list[dict[str, Any]]:
    """The parameters that differ, those of another state first; null for what a side lacks."""
    in_a, in_b = ({p.name: p for p in plan.parameters} for plan in (diff.a, diff.b))
    trained = {"a": "trained", "b": "trained"}
    rows = [
        _change_json(x.name, {"a": x.a, "b": x.b}, in_a.get(x.name), in_b.get(x.name), ("state",))
        for x in diff.status
    ]
    return rows + [_change_json(x.a.name, trained, x.a, x.b, x.settings) for x in diff.changed]


def _change_json(
    name: str,
    state: dict[str, str],
    a: Parameter | None,
    b: Parameter | None,
    differs: Sequence[str],
) -> dict[str, Any]:
    settings = {key: {"a": getattr(a, key, None), "b": getattr(b, key, None)} for key in SETTINGS}
    return {"name": name, "state": state, **settings, "differs": differs}


def _layer_json(pair: LayerPair) -> dict[str, Any]:
    names = ("layer_id", "lr", "lr_scale", "num_tensors")
    sides = {"a": pair.a, "b": pair.b}
    values = {n: {side: x and getattr(x, n) for side, x in sides.items()} for n in names}
    status = {side: "trained" if x else pair.elsewhere for side, x in sides.items()}
    return {**values, "status": status, "differs": pair.differs}


#: What GitHub takes as a comment, in characters, less some room for what others add.
#: https://github.com/orgs/community/discussions/27190
_LONGEST_COMMENT = 65_000


def diff_markdown(
    diff: PlanDiff,
    *,
    every_layer: bool = False,
    every_parameter: bool = False,
    notes: Sequence[str] = (),
) -> str:
    """The diff as a comment on a pull request: what it does in words, and tables to unfold.

    The longest tables are cut, with a count of what is left out, where it would be too long.
    """
    tables = sections(diff, every_layer=every_layer, every_parameter=every_parameter)
    if all_in_words(diff):
        tables = [table for table in tables if table.title != "config"]
    lines = [f"**{_short(' · '.join(summary(diff)))}**", ""]
    lines += [f"{x}: {_short(name)}  " for x, name in zip("AB", names_of_sides(diff), strict=True)]
    lines += ["", *(f"- {_short(line)}" for line in in_words(diff)), ""]
    end = [f"> {_short(note)}\n" for note in notes]
    details = [_table(table) for table in tables]
    _cut(details, _LONGEST_COMMENT - sum(len(line) + 1 for line in (*lines, *end)))
    for table, rows in zip(tables, details, strict=True):
        lines += _folded(table, rows)
    return "\n".join([*lines, *end]).rstrip() + "\n"


#: Names, keys and values beyond these many characters are cut; they may be of any length.
_LONGEST_CELL = 500


def _short(text: str) -> str:
    return markdown(_cut_off(text))


def _cut_off(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def _table(section: Section) -> list[str]:
    rows = [(row.marker, *(_flat(cell) for cell in row.cells)) for row in section.rows]
    return markdown_table(("", *section.columns), rows, right=("layer", "number"))


#: The lines of a table that are no rows, and room for what stands around one.
_HEAD, _FRAME = 2, 150


def _cut(tables: Sequence[list[str]], room: int) -> None:
    """Take rows from the end of the longest tables until all are as short as the room."""

    def length(table: list[str]) -> int:
        return sum(len(line) + 1 for line in table) + _FRAME

    excess = sum(map(length, tables)) - room
    for table in sorted(tables, key=length, reverse=True):
        while excess > 0 and len(table) > _HEAD:
            excess -= len(table.pop()) + 1


def _folded(section: Section, table: Sequence[str]) -> list[str]:
    """A table to unfold, with a count of the rows that were cut."""
    more = len(section.rows) + _HEAD - len(table)
    return [
        f"<details><summary>{section.title}, {plural(len(section.rows), 'row')}</summary>",
        "",
        *table,
        *(["", f"and {plural(more, 'more row')}"] if more else []),
        "",
        "</details>",
        "",
    ]


def _flat(cell: Cell) -> str:
    return _cut_off(" · ".join(str(cell).split("\n")))

"""PlanDiff, Plan, Key, Comparison, Schedule -> JSON, numbers to the last bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lldtool.analysis.diff import SETTINGS, LayerPair, PlanDiff
from lldtool.output.diff_words import summary
from lldtool.plan import Parameter, dump_by_line, plan_header


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

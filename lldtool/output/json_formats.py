"""PlanDiff, Plan, Key, Comparison, LrCurves -> JSON, numbers to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from lldtool.analysis.diff import SETTINGS, LayerPair, PlanDiff
from lldtool.analysis.keys import Key
from lldtool.analysis.lr_curves import LrCurves
from lldtool.output.comparison import Comparison
from lldtool.output.diff_words import summary
from lldtool.output.explanation import trail, value_of
from lldtool.output.reasons import causes
from lldtool.output.schedule_document import all_notes, names_of, remarks
from lldtool.output.states import untrained
from lldtool.plan import (
    Layer,
    Parameter,
    Plan,
    UntrainedParameter,
    dump_by_line,
    plan_content,
    plan_header,
)
from lldtool.text import strict_json


def diff_json(diff: PlanDiff, notes: Sequence[str] = ()) -> str:
    """Return the diff for a script; a parameter to a line, numbers to the last bit."""
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
        "schedule": _schedule_diff_json(diff),
        "notes": notes,
    }
    return dump_by_line(msgspec.to_builtins(content))


def _schedule_diff_json(diff: PlanDiff) -> dict[str, Any] | None:
    """Return what differs in the schedules; null where they were not compared."""
    found = diff.schedule
    if found is None:
        return None
    return {
        "identical": found.identical,
        "first": found.first and found.first._asdict(),
        "ends": [end._asdict() for end in found.ends],
    }


def _changed_json(diff: PlanDiff) -> list[dict[str, Any]]:
    """The parameters that differ, those of another state first; null for what a side lacks."""
    in_a, in_b = ({p.name: p for p in plan.every_parameter} for plan in (diff.a, diff.b))
    trained = {"a": "trained", "b": "trained"}
    rows = [
        _change_json(x.name, {"a": x.a, "b": x.b}, in_a.get(x.name), in_b.get(x.name), ("state",))
        for x in diff.status
    ]
    return rows + [_change_json(x.a.name, trained, x.a, x.b, x.settings) for x in diff.changed]


def _change_json(
    name: str,
    state: dict[str, str],
    a: Parameter | UntrainedParameter | None,
    b: Parameter | UntrainedParameter | None,
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


def plan_json_with(plan: Plan, more: Mapping[str, Any]) -> str:
    """Return a plan, and what else is said of it beside it, as JSON."""
    content = {"schema_version": 1, **more, "plan": plan_content(plan)}
    return dump_by_line(msgspec.to_builtins(content))


def explanation_json(
    plan: Plan, parameters: Sequence[Parameter | UntrainedParameter] | None
) -> str:
    """Return the trails of the parameters with their reasons, or each distinct reason."""
    content: dict[str, object] = {"schema_version": 1, "config": plan.config, "notes": plan.notes}
    if parameters is None:
        content["reasons"] = [
            {"setting": c.setting, "tensors": len(c.parameters), "formula": c.formula,
             "reason": c.reason, "parameters": [p.name for p in c.parameters]}
            for c in causes(plan)
        ]  # fmt: skip
        content["not_trained"] = [
            {"why": why, "tensors": len(names), "parameters": names}
            for why, names in untrained(plan).items()
        ]
    else:
        content["parameters"] = [
            {**msgspec.to_builtins(p), "trail": [(a.strip(), b) for a, b in trail(plan, p)]}
            for p in parameters
        ]
    return dump_by_line(msgspec.to_builtins(content))


def keys_json(plan: Plan, keys: Sequence[Key]) -> str:
    """Return what each custom key and option does."""
    rows = [{**asdict(key), "value": value_of(plan, key)} for key in keys]
    content = {"schema_version": 1, "config": plan.config, "keys": rows}
    return strict_json(content, indent=1) + "\n"


def schedule_json(schedule: LrCurves, points: Mapping[str, int]) -> str:
    """Return the lrs at the points, with bounds, as JSON; floats read back bit for bit."""
    return strict_json(_schedule_content(schedule, points), indent=2) + "\n"


def schedules_json(schedules: Sequence[LrCurves], points: Sequence[Mapping[str, int]]) -> str:
    """Return several schedules as JSON."""
    each = [_schedule_content(*one) for one in zip(schedules, points, strict=True)]
    return strict_json({"schema_version": 1, "schedules": each}, indent=2) + "\n"


def _schedule_content(schedule: LrCurves, points: Mapping[str, int]) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "config": schedule.plan.config,
        "unit": schedule.unit,
        "steps": schedule.steps,
        "epochs": schedule.epochs,
        "epoch_length": schedule.epoch_length,
        "points": points,
        "schedulers": [asdict(span) for span in schedule.spans],
        "layers": [
            {
                "layer_id": curve.layer_id,
                "optimizer": curve.optimizer,
                "contents": names_of(schedule, [curve]),
                "parameters": curve.parameters,
                "configured_lr": curve.configured,
                "lr": {title: curve.lrs[step] for title, step in points.items()},
                "min": curve.lowest,
                "max": curve.highest,
                "rises": curve in schedule.rising,
                "converges": curve in schedule.converged,
            }
            for curve in schedule.curves
        ],
        "remarks": remarks(schedule),
        "notes": all_notes(schedule),
    }


def comparison_json(comparison: Comparison) -> str:
    """The table for a script, a list in the order of the variants for each setting of a layer."""

    def values(row: Sequence[Layer | None], name: str) -> list[Any]:
        return [layer and getattr(layer, name) for layer in row]

    names = ("layer_id", "lr", "lr_scale", "optimizer", "num_tensors", "num_trained")
    content = {
        "schema_version": 1,
        "variants": [
            {"title": title, **plan_header(plan), "weight_decay_differs": count}
            for title, plan, count in zip(
                comparison.titles, comparison.plans, comparison.weight_decay_differs, strict=True
            )
        ],
        "aligned_by": comparison.alignment.by,
        "layers": [
            {
                "label": label,
                "contents": contents,
                **{name: values(row, name) for name in names},
                "end_lr": [own[i] for own in comparison.ends] or None,
            }
            for i, (row, label, contents) in enumerate(
                zip(comparison.rows, comparison.alignment.labels, comparison.contents, strict=True)
            )
        ],
    }
    return dump_by_line(msgspec.to_builtins(content))

"""Configs, what rules find in them and their schedules -> one HTML page that needs nothing else.

`page.html` has the structure, `page.css` the looks, `page.js` what the controls do. All text is
escaped by Jinja; a content security policy lets no other script run and nothing be loaded.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lldtool.analysis.diff import diff_plans
from lldtool.analysis.lr_curves import Schedule
from lldtool.lint.diagnostics import CheckResult, Diagnostic
from lldtool.output.changes import sections
from lldtool.output.columns import layer_columns
from lldtool.output.comparison import Comparison, caption, comparison_columns, letters
from lldtool.output.contents import layer_contents
from lldtool.output.diagnostics.shared import details, location_shown, severities
from lldtool.output.plots import comparison_picture, plan_picture, schedule_picture
from lldtool.output.reasons import rule_text
from lldtool.output.schedule_table import about, points_of, remarks, schedule_columns
from lldtool.output.states import state_word
from lldtool.output.summary import header, joint, totals
from lldtool.output.words import summary
from lldtool.plan import LayerId, Parameter, Plan, UntrainedParameter
from lldtool.text import layer_name, lr, plural, printable, setting, shape
from lldtool.versions import lldtool_version

if TYPE_CHECKING:
    from jinja2 import Environment

    from lldtool.dryrun import Capture

_FOLDER = Path(__file__).parent
#: Titles of columns that are no numbers.
_WORDS = (
    "",
    "contents",
    "weight decay",
    "value",
    "change",
    "parameters",
    "reason",
    "name",
    "optimizer",
)


def report_html(captures: Sequence[Capture], results: Sequence[CheckResult]) -> str:
    """Return the page: the configs, and where they are several what differs between them.

    Args:
        captures: of the configs.
        results: of checking them, in the same order.
    """
    pairs = zip(captures, results, strict=True)
    parts = [_part(i, one, checked) for i, (one, checked) in enumerate(pairs)]
    plans = [one.plan for one in captures if one.plan is not None]
    several = len(parts) > 1
    script, style = (_source(name) for name in ("page.js", "page.css"))
    page: str = _template("page.html").render(
        title=plural(len(parts), "config") if several else parts[0]["config"],
        several=several,
        parts=parts,
        comparison=_comparison(plans) if len(plans) > 1 else None,
        version=lldtool_version(),
        script_hash=_hash(script),
        style_hash=_hash(style),
    )
    return page


def plan_html(plan: Plan) -> str:
    """The compact form for a notebook: the header, a row for each layer, and the totals."""
    form: str = _template("notebook.html").render(plan=_plan(plan))
    return form


def _template(name: str) -> Any:  # noqa: ANN401
    return _environment().get_template(name)


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _source(name: str) -> str:
    """A file as Jinja includes it."""
    text: str = _template(name).render()
    return text


def _hash(text: str) -> str:
    """As a content security policy names a script: https://www.w3.org/TR/CSP3/#grammardef-hash-source"""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


# One config


def _part(number: int, one: Capture, checked: CheckResult) -> dict[str, Any]:
    found = severities(checked.diagnostics) or "no findings"
    part: dict[str, Any] = {
        "id": f"config-{number + 1}",
        "config": printable(checked.config),
        "verdict": found if one.plan else "could not be looked at",
        "error": printable(checked.error or ""),
        "findings": [_finding(d) for d in sorted(checked.diagnostics, key=_severity)],
        "no_schedule": printable(one.no_schedule.without_config()) if one.no_schedule else "",
        "plan": None,
        "schedule": None,
    }
    if one.plan is not None:
        part["plan"] = _plan(one.plan)
        part["picture"] = _picture(functools.partial(plan_picture, one.plan))
        part["parameters"] = _parameters(one.plan)
    if one.schedule is not None:
        part["schedule"] = _schedule(one.schedule)
    return part


def _plan(plan: Plan) -> dict[str, Any]:
    (_, (config,)), *lines = header(plan)
    return {
        "config": config,
        "header": [(label, joint(label).join(items)) for label, items in lines],
        "layers": {
            **_table("", layer_columns(plan, layer_contents(plan, plan))),
            "faint": [not layer.trained for layer in plan.layers_and_frozen],
        },
        "totals": totals(plan),
        "notes": [printable(note) for note in plan.notes],
    }


def _finding(one: Diagnostic) -> dict[str, Any]:
    return {
        "severity": one.severity.value,
        "rule": printable(f"{one.code} {one.name}"),
        "place": location_shown(one.location) if one.location else "",
        "message": printable(one.message),
        "about": [f"{label}: {', '.join(items)}" for label, items in details(one)],
        "suggestion": "\n".join(map(printable, (one.suggestion or "").strip("\n").split("\n"))),
    }


def _severity(diagnostic: Diagnostic) -> int:
    return diagnostic.severity.rank


def _schedule(schedule: Schedule) -> dict[str, Any]:
    return {
        "about": " · ".join(about(schedule)),
        "remarks": remarks(schedule),
        "notes": [printable(note) for note in schedule.notes],
        "picture": _picture(functools.partial(schedule_picture, schedule)),
        "table": _table("", schedule_columns(schedule, points_of(schedule))),
    }


def _picture(draw: Callable[..., bytes]) -> dict[str, str]:
    """The picture for light and for dark pages, as addresses that hold it."""
    svgs = {"light": draw("svg", dark=False), "dark": draw("svg", dark=True)}
    return {
        theme: f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
        for theme, svg in svgs.items()
    }


def _table(title: str, columns: Mapping[str, Sequence[object]]) -> dict[str, Any]:
    return {
        "title": title,
        "faint": [],
        "columns": [{"title": name, "numeric": name not in _WORDS} for name in columns],
        "rows": [[str(cell) for cell in row] for row in zip(*columns.values(), strict=True)],
    }


# The parameters


def _parameters(plan: Plan) -> dict[str, Any]:
    """A row for each, with what it can be found by."""
    rows = [_parameter(p) for p in plan.parameters]
    rows += [_parameter_in_no_group(p, state_word("frozen")) for p in plan.frozen]
    rows += [_parameter_in_no_group(p, state_word("left out")) for p in plan.left_out]
    names = {"layer": "Layer", "state": "State", "decayed": "Weight decay", "reason": "Reason"}
    names["optimizer"] = "Optimizer"
    options = {name: list(dict.fromkeys(r["filters"][name] for r in rows)) for name in names}
    words = ("name", "shape", "state", "reason", "optimizer")
    titles = ["layer", "name", "shape", "state", "lr", "lr_scale", "weight decay", "reason"]
    if plan.optimizers:
        titles.append("optimizer")
        for row in rows:
            row["cells"].append(_word(row["filters"]["optimizer"]))
    return {
        "columns": [{"title": title, "numeric": title not in words} for title in titles],
        "filters": [
            {"name": name, "title": names[name], "options": options[name]}
            for name in names
            if len(options[name]) > 1
        ],
        "rows": rows,
    }


def _parameter(p: Parameter) -> dict[str, Any]:
    name, size, state = printable(p.name), shape(p.shape), state_word(p.state)
    layer = layer_name(p.layer_id)
    reason = rule_text(p.reason.weight_decay) if p.is_trained else "–"
    decayed = "decayed" if p.weight_decay else "not decayed"
    cells = [
        _layer(p.layer_id), _word(name), _word(size), _word(state),
        _number(p.lr, lr(p.lr)), _number(p.lr_scale, lr(p.lr_scale)),
        _number(p.weight_decay, setting(p.weight_decay)), _word(reason),
    ]  # fmt: skip
    decayed = decayed if p.is_trained else "–"
    filters = {"name": name, "layer": layer, "state": state, "decayed": decayed, "reason": reason}
    filters["optimizer"] = "–" if p.optimizer is None else printable(p.optimizer)
    return {"filters": filters, "cells": cells, "faint": not p.is_trained}


def _parameter_in_no_group(p: UntrainedParameter, state: str) -> dict[str, Any]:
    name, layer = printable(p.name), layer_name(p.layer_id)
    cells = [_layer(p.layer_id), _word(name), _word(shape(p.shape)), _word(state)]
    cells += [*[_number(None)] * 3, _word("–")]
    filters = {"name": name, "layer": layer, "state": state, "decayed": "–", "reason": "–"}
    filters["optimizer"] = "–"
    return {"filters": filters, "cells": cells, "faint": True}


def _word(text: str) -> dict[str, Any]:
    return {"text": text, "numeric": False, "exact": None}


def _layer(layer_id: LayerId | None) -> dict[str, Any]:
    name = layer_name(layer_id)
    return _word(name) if isinstance(layer_id, str) else _number(layer_id, name)


def _number(value: float | None, text: str = "–") -> dict[str, Any]:
    return {"text": text, "numeric": True, "exact": None if value is None else repr(value)}


# What differs


def _comparison(plans: Sequence[Plan]) -> dict[str, Any]:
    """Two plans as `diff` shows them, more as `compare` does."""
    titles = tuple(letters(len(plans)))
    legend = tuple(zip(titles, (plan.config for plan in plans), strict=True))
    comparison = Comparison(tuple(plans), titles, legend)
    sentences = [caption(comparison)]
    if len(plans) == 2:
        diff = diff_plans(*plans)
        tables = [
            _table(section.title, _section_columns(section.columns, section.rows))
            for section in sections(diff, every_layer=False, every_parameter=False)
        ]
        sentences = summary(diff)
    else:
        fixed, variants = comparison_columns(comparison)
        columns = {title: cells for title, *cells in (*fixed, *variants)}
        tables = [_table("", columns)]
    return {
        "legend": [(title, printable(config)) for title, config in legend],
        "sentences": sentences,
        "tables": tables,
        "picture": _picture(functools.partial(comparison_picture, comparison)),
    }


def _section_columns(columns: Sequence[str], rows: Iterable[Any]) -> dict[str, list[object]]:
    rows = list(rows)
    found: dict[str, list[object]] = {"": [row.marker for row in rows]}
    for place, title in enumerate(columns):
        found[title or " "] = [row.cells[place] for row in rows]
    return found

"""Whatever a plan has in its names and values, a reader of the format finds text, and all of it."""

import csv
import json
import math
import re
from dataclasses import replace

import pytest
from conftest import make_parameter
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from readers import assert_no_control_character, assert_no_more_than_text
from rich.cells import cell_len
from strategies import plans

from lldtool.analysis.diff import diff_plans
from lldtool.analysis.keys import keys_of
from lldtool.analysis.lr_curves import LrCurve, LrCurves, SchedulerSpan
from lldtool.lint.diagnostics import CheckResult
from lldtool.output.comparison import Comparison, comparison_document
from lldtool.output.csv_formats import comparison_csv, plan_csv, schedule_csv
from lldtool.output.diff_document import diff_document
from lldtool.output.explanation import explanation, keys_document
from lldtool.output.formats import written
from lldtool.output.html import fragment
from lldtool.output.json_formats import (
    comparison_json,
    diff_json,
    explanation_json,
    keys_json,
    schedule_json,
)
from lldtool.output.plan_document import plan_document
from lldtool.output.schedule_document import points_of, schedule_document
from lldtool.output.watch_screen import Look, State, watch_document


@st.composite
def any_plans(draw):
    """A plan in which every parameter has a name of its own, and there is one."""
    plan = draw(plans)
    parameters = {p.name: p for p in (make_parameter(), *plan.parameters) if p.name.strip()}
    rest = {p.name: p for p in plan.frozen if p.name not in parameters}
    return replace(plan, parameters=(*parameters.values(),), frozen=(*rest.values(),), left_out=())


def comparison_of(a, b):
    return Comparison((a, b), (a.config, b.config), (("A", a.config), ("B", b.config)))


def schedule_of(plan):
    curves = [
        LrCurve(p.layer_id, (p.name,), p.lr or 0.0, [p.lr or 0.0] * 4) for p in plan.parameters
    ]
    spans = (SchedulerSpan(plan.config, 0, 4, False),)
    return LrCurves(plan, "iteration", 4, 2, 2, tuple(curves), spans)


def state_of(a, b):
    looks = Look("1", a, CheckResult("a")), Look("0", b, CheckResult("b"))
    return State(a.config, *looks, printed=(a.config,))


DOCUMENTS = {
    "inspect": lambda a, b: plan_document(a),
    "inspect --params": lambda a, b: plan_document(a, parameters="folded"),
    "inspect --params in Markdown": lambda a, b: plan_document(a, parameters="each"),
    "explain": lambda a, b: explanation(a),
    "explain NAME": lambda a, b: explanation(a, a.parameters),
    "explain --keys": lambda a, b: keys_document(a, keys_of(a)),
    "diff": lambda a, b: diff_document(diff_plans(a, b)),
    "diff --params": lambda a, b: diff_document(
        diff_plans(a, b), every_layer=True, every_parameter=True, sentences=True
    ),
    "compare": lambda a, b: comparison_document(comparison_of(a, b)),
    "schedule": lambda a, b: schedule_document(schedule_of(a), points_of(schedule_of(a))),
    "watch": lambda a, b: watch_document(state_of(a, b)),
    "watch what is broken": lambda a, b: watch_document(replace(state_of(a, b), error=b.config)),
}
CSV = {
    "inspect": lambda a, b: plan_csv(a),
    "compare": lambda a, b: comparison_csv(comparison_of(a, b)),
    "schedule": lambda a, b: schedule_csv([schedule_of(a)], [points_of(schedule_of(a))]),
}


def plain(number):
    """The number as JSON has it."""
    if number is None or math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def settings(part):
    return [plain(getattr(part, name)) for name in ("lr", "lr_scale", "weight_decay")]


def settings_read(part, side=None):
    values = [part[name] for name in ("lr", "lr_scale", "weight_decay")]
    return [value[side] for value in values] if side else values


#: Command -> its JSON, what that has of names and numbers once read, and what it has to have.
JSON = {
    "explain": (
        lambda a, b: explanation_json(a, a.parameters),
        lambda read: [(p["name"], p["shape"], *settings_read(p)) for p in read["parameters"]],
        lambda a, b: [(p.name, list(p.shape), *settings(p)) for p in a.parameters],
    ),
    "explain --keys": (
        lambda a, b: keys_json(a, keys_of(a)),
        lambda read: [(key["name"], key["matched"], key["decided"]) for key in read["keys"]],
        lambda a, b: [(key.name, key.matched, key.decided) for key in keys_of(a)],
    ),
    "diff": (
        lambda a, b: diff_json(diff_plans(a, b)),
        lambda read: (
            read["b"]["config"], read["added"], read["removed"],
            [
                (c["name"], settings_read(c, "a"), settings_read(c, "b"))
                for c in read["changed"]
                if set(c["state"].values()) == {"trained"}
            ],
        ),
        lambda a, b: (
            b.config, [p.name for p in diff_plans(a, b).added],
            [p.name for p in diff_plans(a, b).removed],
            [(c.a.name, settings(c.a), settings(c.b)) for c in diff_plans(a, b).changed],
        ),
    ),
    "compare": (
        lambda a, b: comparison_json(comparison_of(a, b)),
        lambda read: (
            [one["config"] for one in read["variants"]],
            [(layer["lr"], layer["num_tensors"]) for layer in read["layers"]],
        ),
        lambda a, b: (
            [a.config, b.config],
            [
                ([x and plain(x.lr) for x in row], [x and x.num_tensors for x in row])
                for row in comparison_of(a, b).rows
            ],
        ),
    ),
    "schedule": (
        lambda a, b: schedule_json(schedule_of(a), points_of(schedule_of(a))),
        lambda read: [
            (layer["parameters"], layer["configured_lr"], {*layer["lr"].values()})
            for layer in read["layers"]
        ],
        lambda a, b: [([p.name], plain(p.lr or 0.0), {plain(p.lr or 0.0)}) for p in a.parameters],
    ),
}  # fmt: skip
any_two = given(any_plans(), any_plans())


@pytest.mark.parametrize("command", DOCUMENTS)
@given(any_plans(), any_plans(), st.sampled_from([60, 80]), st.booleans())
def test_in_a_terminal(command, a, b, width, color):
    made = written(DOCUMENTS[command](a, b), "table", width=width, color=color)
    assert_no_more_than_text(made)
    assert color or max(map(cell_len, made.splitlines())) <= width


@pytest.mark.parametrize("command", DOCUMENTS)
@any_two
def test_html(command, a, b):
    made = fragment(DOCUMENTS[command](a, b))
    assert_no_control_character(made)
    tags = set(re.findall(r"</?([^\s>]+)", made))
    assert tags <= {
        "style", "div", "b", "dl", "dt", "dd", "table", "thead", "tbody", "tr", "th", "td",
        "caption", "span", "p", "ul", "li", "form", "label", "input", "select", "option", "output",
    }  # fmt: skip


@pytest.mark.parametrize("command", DOCUMENTS)
@any_two
def test_markdown(command, a, b):
    made = written(DOCUMENTS[command](a, b), "markdown")
    assert_no_control_character(made)
    tokens = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(made)
    inline = {child.type for token in tokens for child in token.children or ()}
    assert inline <= {
        "text",
        "text_special",
        "softbreak",
        "hardbreak",
        "strong_open",
        "strong_close",
    }
    blocks = {token.type for token in tokens}
    assert not blocks & {"code_block", "fence", "hr", "ordered_list_open"}
    html = {token.content.strip() for token in tokens if token.type == "html_block"}
    assert all(text.startswith(("<details>", "</details>")) for text in html)


@pytest.mark.parametrize("command", CSV)
@any_two
def test_csv(command, a, b):
    made = CSV[command](a, b)
    assert_no_control_character(made)
    header, *rows = csv.reader(made.splitlines(), strict=True)
    assert {len(row) for row in rows} <= {len(header)}
    for cell in [*header, *(cell for row in rows for cell in row)]:
        if cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")):
            float(cell)  # a number, no formula


@pytest.mark.parametrize("command", JSON)
@any_two
def test_json(command, a, b):
    write, found, expected = JSON[command]
    made = write(a, b)
    assert_no_control_character(made)
    read = json.loads(made, parse_constant=pytest.fail)
    assert read.get("config", read.get("a", {}).get("config", a.config)) == a.config
    assert found(read) == expected(a, b)

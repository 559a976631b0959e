"""Whatever a plan has in its names and values, a reader of the format finds text, and all of it."""

import csv
import json
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
from lldtool.analysis.lr_curves import Course, Schedule, Stage
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
    courses = [
        Course(p.layer_id, (p.name,), p.lr or 0.0, [p.lr or 0.0] * 4) for p in plan.parameters
    ]
    stages = (Stage(plan.config, 0, 4, False),)
    return Schedule(plan, "iteration", 4, 2, 2, tuple(courses), stages)


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
    "schedule": lambda a, b: schedule_csv(schedule_of(a), points_of(schedule_of(a))),
}
JSON = {
    "explain": lambda a, b: explanation_json(a, a.parameters),
    "explain --keys": lambda a, b: keys_json(a, keys_of(a)),
    "diff": lambda a, b: diff_json(diff_plans(a, b)),
    "compare": lambda a, b: comparison_json(comparison_of(a, b)),
    "schedule": lambda a, b: schedule_json(schedule_of(a), points_of(schedule_of(a))),
}
any_two = given(any_plans(), any_plans())


@pytest.mark.parametrize("command", DOCUMENTS)
@given(any_plans(), any_plans(), st.sampled_from([60, 80]), st.booleans())
def test_in_a_terminal(command, a, b, width, color):
    made = written(DOCUMENTS[command](a, b), "table", width=width, color=color)
    assert_no_more_than_text(made)


@pytest.mark.parametrize("command", DOCUMENTS)
@any_two
def test_no_line_is_wider_than_the_terminal(command, a, b):
    made = written(DOCUMENTS[command](a, b), "table", width=60)
    assert max(map(cell_len, made.splitlines())) <= 60


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
    made = JSON[command](a, b)
    assert_no_control_character(made)
    assert json.dumps(a.config) in made
    json.loads(made, parse_constant=pytest.fail)

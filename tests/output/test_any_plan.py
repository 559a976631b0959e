"""Whatever a plan has in its names and values, a reader of the format finds text, and all of it."""

import csv
import json
from dataclasses import replace

import pytest
from conftest import make_parameter
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from readers import assert_no_control_character, assert_no_more_than_text
from strategies import plans

from lldtool.analysis.diff import diff_plans
from lldtool.analysis.keys import keys_of
from lldtool.analysis.lr_curves import Course, Schedule, Stage
from lldtool.lint.diagnostics import CheckResult
from lldtool.output.comparison import (
    Comparison,
    comparison_csv,
    comparison_json,
    comparison_markdown,
    comparison_text,
)
from lldtool.output.diff_formats import diff_json, diff_markdown
from lldtool.output.diff_table import diff_text
from lldtool.output.explanation import (
    explanation_json,
    explanation_markdown,
    explanation_text,
    keys_json,
    keys_markdown,
    keys_text,
)
from lldtool.output.schedule_table import (
    points_of,
    schedule_csv,
    schedule_json,
    schedule_markdown,
    schedule_text,
)
from lldtool.output.tables import plan_csv, plan_markdown
from lldtool.output.terminal import plan_text
from lldtool.output.watch_screen import Look, State, watch_lines


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


IN_A_TERMINAL = {
    "inspect": lambda a, b, **shown: plan_text(a, **shown),
    "inspect --params": lambda a, b, **shown: plan_text(a, params=True, **shown),
    "explain": lambda a, b, **shown: explanation_text(a, None, **shown),
    "explain NAME": lambda a, b, **shown: explanation_text(a, a.parameters, **shown),
    "explain --keys": lambda a, b, **shown: keys_text(a, keys_of(a), **shown),
    "diff": lambda a, b, **shown: diff_text(diff_plans(a, b), **shown),
    "diff --params": lambda a, b, **shown: diff_text(
        diff_plans(a, b), every_layer=True, every_parameter=True, **shown
    ),
    "compare": lambda a, b, **shown: comparison_text(comparison_of(a, b), **shown),
    "schedule": lambda a, b, **shown: schedule_text(
        schedule_of(a), points_of(schedule_of(a)), **shown
    ),
    "watch": lambda a, b, **shown: "".join(
        f"{line}\n"
        for line in watch_lines(
            State(a.config, Look("1", a, CheckResult("a")), Look("0", b, CheckResult("b")),
                  b.config, printed=(a.config,)),
            **shown,
        )
    ),
}  # fmt: skip
MARKDOWN = {
    "inspect": lambda a, b: plan_markdown(a),
    "inspect --params": lambda a, b: plan_markdown(a, params=True),
    "explain": lambda a, b: explanation_markdown(a, None),
    "explain NAME": lambda a, b: explanation_markdown(a, a.parameters),
    "explain --keys": lambda a, b: keys_markdown(a, keys_of(a)),
    "diff": lambda a, b: diff_markdown(diff_plans(a, b), every_parameter=True),
    "compare": lambda a, b: comparison_markdown(comparison_of(a, b)),
    "schedule": lambda a, b: schedule_markdown(schedule_of(a), points_of(schedule_of(a))),
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


@pytest.mark.parametrize("command", IN_A_TERMINAL)
@given(any_plans(), any_plans(), st.sampled_from([60, 80]), st.booleans())
def test_in_a_terminal(command, a, b, width, color):
    assert_no_more_than_text(IN_A_TERMINAL[command](a, b, width=width, color=color))


@pytest.mark.parametrize("command", MARKDOWN)
@any_two
def test_markdown(command, a, b):
    made = MARKDOWN[command](a, b)
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

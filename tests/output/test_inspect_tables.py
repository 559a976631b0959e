"""The tables as a user sees them, kept as golden files: `pytest --snapshot-update` renews them."""

import re
from pathlib import Path

import pytest
from conftest import make_parameter, make_plan

import lldtool
from lldtool.output.contents import layer_contents
from lldtool.output.csv_formats import plan_csv
from lldtool.output.formats import written
from lldtool.output.html import fragment
from lldtool.output.plan_document import plan_document
from lldtool.plan import Constructor, UntrainedParameter, load_plan

PLANS = sorted((Path(__file__).parent / "plans").glob("*.json"), key=lambda path: path.stem)


def plan_text(plan, *, width, color, params=False):
    document = plan_document(plan, parameters="folded" if params else "none")
    return written(document, "table", width=width, color=color)


def plan_markdown(plan, *, params=False):
    return written(plan_document(plan, parameters="each" if params else "none"), "markdown")


names = pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)


@names
@pytest.mark.parametrize("width", [60, 80, 140])
def test_table(path, width, snapshot):
    assert plan_text(load_plan(path), width=width, color=False) == snapshot


@names
def test_parameters(path, snapshot):
    assert plan_text(load_plan(path), width=80, color=False, params=True) == snapshot


@names
def test_markdown(path, snapshot):
    assert plan_markdown(load_plan(path)) == snapshot


@names
@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
@pytest.mark.parametrize("params", [False, True])
def test_no_line_is_wider_than_the_terminal(path, width, params):
    text = plan_text(load_plan(path), width=width, color=False, params=params)
    assert max(map(len, text.splitlines())) <= width


@names
@pytest.mark.parametrize("width", [80, 140])
def test_no_number_is_cut(path, width):
    plan = load_plan(path)
    text = plan_text(plan, width=width, color=False)
    for layer in plan.layers:
        assert re.search(rf"(?m)^.*\s{layer.num_tensors}\s", text)
    assert "…" not in text


def test_plain_output_has_no_escape_sequence_and_no_box():
    text = plan_text(load_plan(PLANS[0]), width=80, color=False)
    assert "\x1b" not in text
    assert not set(text) & set("│┃─━┌┐└┘├┤┬┴┼╭╮╯╰")


def test_colour_is_escape_sequences_around_the_same_text():
    plan = load_plan(PLANS[0])
    colored = plan_text(plan, width=80, color=True)
    assert "\x1b[" in colored
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", colored)
    plain = plan_text(plan, width=80, color=False)
    assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()


def test_names_from_a_config_are_data():
    nasty = "[red]x[/red]\x1b[2J\n|`<script>"
    plan = make_plan(
        make_parameter(nasty),
        config=nasty,
        constructor=Constructor(nasty, {nasty: nasty, "custom_keys": {nasty: {nasty: 1}}}),
        frozen=(UntrainedParameter(nasty, (1,), 1),),
        notes=(nasty,),
    )
    for params in (False, True):
        text = plan_text(plan, width=200, color=False, params=params)
        assert "[red]x[/red]\\x1b[2J\\n|`<script>" in text
        assert "\x1b" not in text
    assert "<script>" not in plan_markdown(plan, params=True)
    assert "<script>" not in fragment(plan_document(plan))
    assert "\x1b" not in plan_csv(plan) + plan_markdown(plan) + fragment(plan_document(plan))


def test_contents_are_the_largest_modules_wholly_in_a_layer():
    plan = make_plan(
        make_parameter("backbone.cls_token", layer_id=0),
        make_parameter("backbone.layers.0.ln1.weight", layer_id=1),
        make_parameter("backbone.layers.0.ln1.bias", layer_id=1),
        make_parameter("backbone.layers.1.ln1.weight", layer_id=1),
        make_parameter("backbone.ln1.weight", layer_id=2),
        make_parameter("head.fc.weight", layer_id=2),
    )
    assert layer_contents(plan, plan) == [["cls_token"], ["layers"], ["ln1", "head"]]


def test_neighbouring_blocks_of_a_layer_are_a_range():
    plan = make_plan(
        *(make_parameter(f"backbone.layers.{n}.w", layer_id=1) for n in range(3)),
        make_parameter("backbone.layers.3.w", layer_id=2),
    )
    assert layer_contents(plan, plan) == [["layers.0–2"], ["layers.3"]]


def test_settings_that_an_optimizer_lacks_are_dashes():
    plan = make_plan(make_parameter(lr=None, lr_scale=None, weight_decay=None))
    text = plan_text(plan, width=80, color=False)
    row = next(line for line in text.splitlines() if line.lstrip().startswith("1 "))
    assert row.split() == ["1", "backbone", "1", "768", "–", "–", "–", "×1"]


@pytest.mark.parametrize("extreme", [5e-324, 1.7e308])
def test_bars_of_the_least_and_the_largest_number(extreme):
    layers = [make_parameter(layer_id=1), make_parameter("x", layer_id=2, lr_scale=extreme)]
    text = plan_text(make_plan(*layers), width=80, color=False)
    rows = [line for line in text.splitlines() if line.lstrip().startswith(("1 ", "2 "))]
    bars = [row.count("█") for row in rows]
    assert min(bars) < 4 < max(bars)
    assert (bars[0] < bars[1]) == (extreme > 1)
    assert re.search(r"bar: lr_scale on a log scale from (1e-324 to 1|0\.1 to 1e309)\n", text)


def test_csv_has_exact_numbers():
    text = plan_csv(make_plan(make_parameter(lr=0.1 + 0.2)))
    assert text.splitlines()[1].split(",")[6] == repr(0.1 + 0.2)


def test_html_for_a_notebook():
    html = lldtool.Plan._repr_html_(make_plan())
    assert html.count("<tr>") == 2
    assert "1.00e-3" in html or "0.001" in html


def test_a_plan_without_parameters_is_shown():
    assert "0 tensors" in plan_text(make_plan().narrowed((), "nothing"), width=80, color=False)

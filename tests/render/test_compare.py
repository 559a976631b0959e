"""What `lldtool compare` shows."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_parameter, make_plan

from lldtool.plan import load_plan
from lldtool.render.compare import (
    Comparison,
    comparison_csv,
    comparison_json,
    comparison_markdown,
    comparison_text,
)

PLANS = Path(__file__).parent / "plans"


def comparison(*names, legend=()):
    plans = tuple(load_plan(PLANS / f"{name}.json") for name in names)
    titles = tuple("ABCDEFGH"[: len(plans)])
    return Comparison(plans, titles, tuple(legend or zip(titles, names, strict=True)))


DIFFERENT = ("vit-base_layer-decay", "traps", "swin-tiny", "resnet50_lr-mult")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_table(width, snapshot):
    assert comparison_text(comparison(*DIFFERENT), width=width, color=False) == snapshot


def test_markdown(snapshot):
    assert comparison_markdown(comparison(*DIFFERENT[:2])) == snapshot


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("number", [2, 9, 40])
def test_more_columns_than_fit_are_several_tables(width, number):
    plan = load_plan(PLANS / "traps.json")
    titles = tuple(f"0.{n}" for n in range(100, 100 + number))
    text = comparison_text(Comparison((plan,) * number, titles, ()), width=width, color=False)
    assert max(map(len, text.splitlines())) <= width
    assert [word for word in text.split() if word in titles[:-1]][: number - 1] == list(titles[:-1])
    assert text.count("weight decay differs") == text.count("layer contents")


def test_csv_has_every_bit_of_an_lr():
    rows = list(csv.reader(io.StringIO(comparison_csv(comparison(*DIFFERENT[:2])))))
    assert rows[0] == ["layer_id", "contents", "A", "B"]
    vit = load_plan(PLANS / "vit-base_layer-decay.json")
    assert [float(row[2]) for row in rows[1:-1]] == [layer.lr for layer in vit.layers]
    assert rows[-1] == ["", "weight decay differs", "0", "100"]


def test_json_has_a_list_in_the_order_of_the_variants():
    content = json.loads(comparison_json(comparison(*DIFFERENT)))
    assert [v["title"] for v in content["variants"]] == ["A", "B", "C", "D"]
    assert content["variants"][0]["optimizer"]["lr"] == 0.004
    assert {len(layer["lr"]) for layer in content["layers"]} == {4}
    assert content["schema_version"] == 1


def test_a_parameter_of_some_plans_joins_the_row_of_its_layer():
    a = make_plan(make_parameter("b.x"), make_parameter("b.y"))
    b = make_plan(make_parameter("b.x"))
    assert len(Comparison((a, b), ("A", "B"), ()).rows) == 1


def test_weight_decays_are_counted_against_the_first_plan():
    a = make_plan(make_parameter("x"), make_parameter("y"))
    b = replace(a, parameters=(replace(a.parameters[0], weight_decay=0.0), a.parameters[1]))
    assert Comparison((a, b, a), ("A", "B", "C"), ()).decayed_otherwise == [0, 1, 0]


def test_plans_that_share_nothing_are_not_said_to_be_the_same():
    plans = (make_plan(make_parameter("x")), make_plan(make_parameter("y")))
    lines = comparison_text(Comparison(plans, ("A", "B"), ()), width=80, color=False).splitlines()
    last = next(line for line in lines if "weight decay differs" in line)
    assert last.split()[-2:] == ["0", "–"]
    assert "of those in common" in lines[-2]


@pytest.mark.parametrize("form", [comparison_csv, comparison_json, comparison_markdown])
def test_plans_without_parameters(form):
    empty = replace(make_plan(), parameters=())
    assert form(Comparison((empty, empty), ("A", "B"), ()))
    assert comparison_text(Comparison((empty, empty), ("A", "B"), ()), width=80, color=False)

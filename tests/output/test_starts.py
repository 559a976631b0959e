"""From where parameters start, in tables and diffs."""

import json

import pytest
from conftest import make_parameter, make_plan

from lldtool.analysis.diff import diff_plans
from lldtool.output.csv_formats import plan_csv
from lldtool.output.diff_document import diff_document
from lldtool.output.formats import written
from lldtool.output.json_formats import diff_json
from lldtool.output.plan_document import plan_document
from lldtool.output.starts import layer_start
from lldtool.plan import Buffer, Layer, Loaded, UntrainedParameter, plan_from_json, plan_to_json

LOADED = make_plan(
    make_parameter("backbone.layers.0.ln1.weight", start="pretrained"),
    make_parameter("backbone.layers.0.ln1.bias", start="missing"),
    make_parameter(
        "head.fc.weight", shape=(7, 192), layer_id=2, start="mismatched", checkpoint_shape=(10, 192)
    ),
    frozen=(UntrainedParameter("backbone.cls_token", (1,), 1, 0, start="pretrained"),),
    buffers=(Buffer("backbone.bn.running_mean", (4,), 4, "float32", "pretrained"),),
    loaded=(Loaded("ckpt.pth", tensors=2, buffers=1, unexpected=("a", "b", "c", "d")),),
)
FRESH = make_plan(
    *(make_parameter(p.name, shape=p.shape, layer_id=p.layer_id) for p in LOADED.parameters),
    frozen=(UntrainedParameter("backbone.cls_token", (1,), 1, 0),),
    loaded=(),
)


def test_plan_reads_back_as_it_was_saved():
    assert plan_from_json(plan_to_json(LOADED)) == LOADED
    assert json.loads(plan_to_json(FRESH))["loaded"] == []


def test_plan_of_an_older_lldtool_has_no_starts():
    content = json.loads(plan_to_json(LOADED))
    del content["loaded"], content["buffers"]
    for p in (*content["parameters"], *content["frozen"]):
        del p["start"], p["checkpoint_shape"]
    plan = plan_from_json(json.dumps(content))
    assert (plan.loaded, plan.buffers, {p.start for p in plan.every_parameter}) == (
        None, (), {None}
    )  # fmt: skip
    assert not diff_plans(plan, LOADED).with_changed("start")


def test_inspect_shows_what_was_loaded():
    text = written(plan_document(LOADED), "table", width=80, color=False)
    assert "start        load_from ckpt.pth · 2 of 4 tensors loaded · 1 of 1 buffer ·" in text
    assert "             1 mismatched · 4 keys left over" in text
    rows = [line for line in text.splitlines() if line[:5].strip().isdigit()]
    endings = ("  pretrained", "  1 of 2 pretrained", "  mismatched")
    assert all(row.endswith(end) for row, end in zip(rows, endings, strict=True))
    assert "1 tensor mismatched: head.fc.weight (7×192, checkpoint 10×192)\n" in text
    assert "1 tensor missing, so initialised: layers.0.ln1.bias\n" in text
    assert "4 keys left over in ckpt.pth: a, b, c, 1 more\n" in text


@pytest.mark.parametrize("parameters", ["folded", "each"])
def test_parameters_are_listed_with_their_start(parameters):
    loaded, fresh = (
        written(plan_document(plan, parameters=parameters), "table", width=160, color=False)
        for plan in (LOADED, FRESH)
    )
    assert "mismatched, checkpoint 10×192" in loaded
    assert "start" not in fresh


def test_csv_has_the_start():
    rows = [line.split(",") for line in plan_csv(LOADED).splitlines()]
    assert [row[-1] for row in rows] == ["start", "pretrained", "missing", "mismatched"]


@pytest.mark.parametrize(
    ("starts", "text"),
    [
        (["pretrained"] * 3, "pretrained"),
        (["pretrained", "missing"], "1 of 2 pretrained"),
        (["resumed", "resumed", "missing"], "2 of 3 resumed"),
        (["missing", "mismatched", "missing"], "1 mismatched, 2 missing"),
        ([None, None], "–"),
    ],
)
def test_layer_says_how_many_of_its_parameters_are_loaded(starts, text):
    own = tuple(make_parameter(str(i), start=start) for i, start in enumerate(starts))
    assert layer_start(Layer(1, 1e-3, 0.5, own)) == text


def test_diff_compares_starts_of_trained_and_frozen_parameters():
    diff = diff_plans(FRESH, LOADED)
    assert not diff.identical
    content = json.loads(diff_json(diff))
    assert {x["name"]: x["start"] for x in content["changed"]} == {
        "backbone.cls_token": {"a": None, "b": "pretrained"},
        "backbone.layers.0.ln1.weight": {"a": None, "b": "pretrained"},
        "head.fc.weight": {"a": None, "b": "mismatched"},
    }  # fmt: skip
    assert content["settings"] == [{"key": "load_from", "a": None, "b": "ckpt.pth", "acts": True}]
    text = written(diff_document(diff), "table", width=80, color=False)
    assert "start differs for 2 of 3 parameters" in text
    assert "frozen, missing → frozen, pretrained" in text
    assert diff_plans(FRESH, LOADED, ignore=["start"]).identical

import json
import math
from dataclasses import replace

import pytest
from conftest import make_parameter, make_plan
from hypothesis import given
from hypothesis import strategies as st
from strategies import floats, plans

from lldtool.analysis.diff import diff_plans
from lldtool.analysis.keys import keys_of
from lldtool.errors import LldtoolError
from lldtool.output.json_formats import diff_json, explanation_json, keys_json
from lldtool.plan import (
    Constructor,
    Optimizer,
    Reason,
    Reasons,
    UntrainedParameter,
    load_plan,
    plan_from_json,
    plan_to_json,
)


@given(plans)
def test_json_reads_back_bit_for_bit(plan):
    assert plan_from_json(plan_to_json(plan)) == plan


@given(floats)
def test_a_float_keeps_its_bits(value):
    back = plan_from_json(plan_to_json(make_plan(make_parameter(lr=value)))).parameters[0].lr
    assert math.copysign(1, back) == math.copysign(1, value)
    assert back.hex() == value.hex()


def strictly(text):
    """What a reader makes of JSON that takes no bare NaN."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@given(st.sampled_from([math.nan, math.inf, -math.inf]), st.sampled_from([True, False]))
def test_what_json_lacks_is_a_string_that_reads_back(value, is_bare):
    reason = Reason("custom_key", "NaN", value, ("x",), (value, 1.0))
    parameter = make_parameter(
        "Infinity", lr=value, lr_scale=value, weight_decay=value,
        extras={"x": [value, {"Infinity": value}]}, reason=Reasons(reason, reason),
    )  # fmt: skip
    plan = make_plan(
        parameter, optimizer=Optimizer("SGD", value, value, {"betas": [value]}),
        constructor=Constructor("X", {"custom_keys": {"NaN": {"lr_mult": value}}}),
        param_scheduler={"eta_min": value}, auto_scale_lr=value,
    )  # fmt: skip
    text = plan_to_json(plan)
    name = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    (row,) = strictly(text)["parameters"]
    assert (row["lr"], row["extras"]["x"][0], row["name"]) == (name, name, "Infinity")
    bare = text.replace(f': "{name}"', f": {name}").replace('"key": NaN', '"key": "NaN"')
    bare = bare.replace('"name": Infinity', '"name": "Infinity"')
    back = plan_from_json(bare if is_bare else text)
    assert plan_to_json(back) == text
    (p,) = back.parameters
    assert (p.name, p.reason.lr.key) == ("Infinity", "NaN")
    for number in (p.lr, p.extras["x"][1]["Infinity"], p.reason.lr.would_give[0]):
        assert repr(number) == repr(value)


def test_every_json_is_strict_and_one_nan_is_one_layer():
    keys = {"head": {"lr_mult": math.nan}}
    parameters = [make_parameter(f"head.{i}", layer_id=None, lr=math.nan) for i in range(2)]
    plan = make_plan(*parameters, constructor=Constructor("X", {"custom_keys": keys}))
    plan = plan_from_json(plan_to_json(plan))
    assert len(plan.layers) == 1
    changed = replace(plan, optimizer=Optimizer("AdamW", math.inf))
    texts = [
        diff_json(diff_plans(plan, changed)), keys_json(plan, keys_of(plan)),
        explanation_json(plan, plan.parameters),
    ]  # fmt: skip
    assert all('"NaN"' in text or '"Infinity"' in text for text in map(str, texts))
    for text in texts:
        strictly(text)


def test_json_has_the_field_names_that_scripts_rely_on():
    content = json.loads(plan_to_json(make_plan()))
    assert set(content) == {
        "schema_version", "config", "lldtool_version", "versions", "model", "optim_wrapper",
        "optimizer", "constructor", "layers", "auto_scale_lr", "parameters", "frozen",
        "left_out", "notes", "param_scheduler", "schedule", "legacy_options", "buffers", "loaded",
    }  # fmt: skip
    assert content["layers"] == [
        {"layer_id": 1, "optimizer": None, "lr": 1e-3, "lr_scale": 0.5, "weight_decays": [0.05],
         "num_tensors": 1, "num_trained": 1, "numel": 768}
    ]  # fmt: skip
    assert set(content["parameters"][0]) == {
        "name", "shape", "numel", "dtype", "module_type", "layer_id", "lr", "lr_scale",
        "weight_decay", "group", "extras", "reason", "traits", "state", "optimizer", "start",
        "checkpoint_shape",
    }  # fmt: skip
    assert set(content["parameters"][0]["reason"]) == {"lr", "weight_decay"}


def test_json_has_a_line_for_each_parameter():
    lines = plan_to_json(make_plan(make_parameter("a"), make_parameter("b"))).splitlines()
    assert sum('"numel": 768' in line and '"name"' in line for line in lines) == 2


def test_layers_are_in_order_of_depth_whatever_the_order_of_parameters():
    plan = make_plan(make_parameter("head", layer_id=13), make_parameter("x", layer_id=2, lr=1e-4))
    assert [layer.layer_id for layer in plan.layers] == [2, 13]


def test_a_layer_with_two_lrs_is_two_rows():
    plan = make_plan(make_parameter("a", lr=1.0), make_parameter("b", lr=2.0))
    assert [(layer.layer_id, layer.lr) for layer in plan.layers] == [(1, 1.0), (1, 2.0)]


def test_without_layer_ids_layers_are_top_level_modules_at_one_lr():
    plan = make_plan(
        *(make_parameter(name, layer_id=None) for name in ("backbone.a", "head.a", "backbone.b"))
    )
    assert [len(layer.parameters) for layer in plan.layers] == [2, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "not a saved plan"),
        ("not json", "not a saved plan"),
        ('{"schema_version": 0}', "schema_version is 0"),
        ('{"schema_version": "1"}', "schema_version is '1'"),
        ('{"schema_version": 2}', "this lldtool reads up to 1 .pip install --upgrade lldtool"),
        ('{"schema_version": 1}', "not a saved plan: .*config"),
        ('{"schema_version": 1, "config": "\ud800"}', "not a saved plan: .*model"),
    ],
)
def test_what_is_no_plan_is_an_error(content, message):
    with pytest.raises(LldtoolError, match=message):
        plan_from_json(content)


def test_load_plan_reads_what_was_saved(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(plan_to_json(make_plan()))
    assert load_plan(path) == make_plan()


def test_load_plan_names_the_file_that_it_cannot_read(tmp_path):
    with pytest.raises(LldtoolError, match=r"nowhere\.json: can't read the plan"):
        load_plan(tmp_path / "nowhere.json")


def test_what_is_frozen_stands_before_what_is_trained_in_its_module():
    frozen = [UntrainedParameter(f"{module}.x", (1,), 1) for module in ("neck", "teacher", "neck")]
    trained = [make_parameter(f"{m}.w", layer_id=None) for m in ("backbone", "neck")]
    layers = make_plan(*trained, frozen=tuple(frozen)).layers_and_frozen
    names = [(layer.everything[0].top_level_module, bool(layer.trained)) for layer in layers]
    assert names == [("teacher", False), ("backbone", True), ("neck", False), ("neck", True)]


def test_a_layer_holds_its_frozen_parameters_and_those_of_no_trained_one_are_layers_too():
    frozen = [UntrainedParameter(f"backbone.{i}.x", (1,), 1, layer_id=i) for i in (0, 1, 1, 2)]
    plan = make_plan(make_parameter("backbone.1.w", layer_id=1), frozen=tuple(frozen))
    layers = plan.layers_and_frozen
    assert [(x.layer_id, len(x.everything), x.num_trained) for x in layers] == [
        (0, 1, 0), (1, 3, 1), (2, 1, 0),
    ]  # fmt: skip
    assert plan.layers[0].num_tensors == 1

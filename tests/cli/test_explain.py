"""`lldtool explain` as a user meets it."""

import json

from conftest import PLANS, SAMPLES

VIT = PLANS / "vit-base_layer-decay.json"


def test_a_pattern_is_a_part_of_a_name(cli):
    out = cli("explain", VIT, "layers.3.ln1").out
    assert "backbone.layers.3.ln1.weight" in out
    assert "backbone.layers.3.ln1.bias" in out
    assert "layers.2" not in out


def test_a_pattern_is_a_glob(cli):
    found = json.loads(cli("explain", VIT, "*.ln1.weight", "--format", "json").out)
    assert len(found["parameters"]) == 13


def test_a_pattern_takes_classes_of_modules(cli):
    found = json.loads(cli("explain", VIT, "type:*Norm", "--format", "json").out)
    assert {"backbone.ln1.weight"} < {p["name"] for p in found["parameters"]}
    assert all(".ln" in p["name"] for p in found["parameters"])


def test_patterns_add_up(cli):
    found = json.loads(cli("explain", VIT, "cls_token", "pos_embed", "--format", "json").out)
    assert [p["name"] for p in found["parameters"]] == ["backbone.cls_token", "backbone.pos_embed"]


def test_a_pattern_that_matches_nothing_suggests_a_name(cli):
    result = cli("explain", VIT, "backbone.layers.3.nl1.weight")
    assert (result.code, result.out) == (2, "")
    assert "did you mean backbone.layers.3.ln1.weight?" in result.err


def test_patterns_that_match_nothing_do_not_hide_the_answers_to_others(cli, tmp_path):
    plan = VIT.with_name("resnet50.json")
    patterns = ("backbone.conv1.weight", "nowhere", "head.fc.bias", "head.fd.weight")
    result = cli("explain", plan, *patterns, "--format", "json")
    assert result.code == 2
    assert [p["name"] for p in json.loads(result.out)["parameters"]] == ["head.fc.bias"]
    first, second, third = result.err.splitlines()
    assert first.endswith("backbone.conv1.weight: frozen, in no param group")
    assert "'nowhere'" in second
    assert third.endswith("'head.fd.weight' (did you mean head.fc.weight?)")
    assert all(line.startswith("error: ") for line in (first, second, third))
    path = tmp_path / "why.txt"
    assert cli("explain", plan, *patterns, "-o", path).code == 2
    assert "head.fc.bias" in path.read_text()


def test_without_a_pattern_the_whole_logic_is_shown(cli):
    out = cli("explain", VIT).out
    assert "norm_decay_mult" in out
    assert "0.75^(14−layer−1)" in out


def test_keys_of_a_config(cli):
    result = cli("explain", SAMPLES / "traps.py", "--keys")
    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert ["'.norm'", "0", "0", "nothing", "changes"] in lines


def test_keys_of_a_saved_plan_are_an_error(cli):
    result = cli("explain", VIT, "--keys")
    assert result.code == 2
    assert "a saved plan does not have" in result.err


def test_keys_take_no_pattern(cli):
    assert cli("explain", VIT, "x", "--keys").code == 2


def test_keys_without_a_paramwise_cfg_are_an_error(cli):
    result = cli("explain", "mmpretrain::resnet/resnet50_8xb32_in1k.py", "--keys")
    assert result.code == 2
    assert "paramwise_cfg is empty" in result.err


def test_markdown_to_a_file(cli, tmp_path):
    path = tmp_path / "why.md"
    assert cli("explain", VIT, "--format", "markdown", "-o", path).out == ""
    assert path.read_text().startswith("### ")


def test_a_frozen_parameter_is_said_to_be_frozen(cli):
    plan = VIT.with_name("resnet50.json")
    result = cli("explain", plan, "backbone.conv1.weight")
    assert result.code == 2
    assert "backbone.conv1.weight: frozen, in no param group" in result.err


def test_keys_have_every_format(cli):
    config = SAMPLES / "vit-base_layer-decay.py"
    keys = json.loads(cli("explain", config, "--keys", "--format", "json").out)["keys"]
    table = cli("explain", config, "--keys").out
    markdown = cli("explain", config, "--keys", "--format", "markdown").out
    assert keys
    for key in keys:
        assert key["name"] in table
        assert key["name"].replace("_", "\\_") in markdown


def test_a_parameter_in_no_group_says_which_way(cli, tmp_path):
    plan = json.loads(VIT.read_text())
    plan["left_out"] = [{"name": "head.extra", "shape": [1], "numel": 1}]
    plan["frozen"] = [{"name": "head.still", "shape": [1], "numel": 1}]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan))
    assert "head.extra: not in the optimizer" in cli("explain", path, "head.extra").err
    assert "head.still: frozen, in no param group" in cli("explain", path, "head.still").err

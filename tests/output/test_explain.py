"""What `lldtool explain` says, kept as golden files."""

import json
import re
from pathlib import Path

import pytest
from conftest import make_parameter, make_plan

from lldtool.analysis.keys import Effect, Key
from lldtool.output.explanation import explanation, keys_document, trail
from lldtool.output.formats import written
from lldtool.output.json_formats import explanation_json, keys_json
from lldtool.plan import (
    Constructor,
    Parameter,
    Reason,
    Reasons,
    UntrainedParameter,
    load_plan,
)


def explanation_text(plan, parameters, **shown):
    return written(explanation(plan, parameters), "text", **shown)


def explanation_markdown(plan, parameters):
    return written(explanation(plan, parameters), "markdown")


def keys_text(plan, keys, **shown):
    return written(keys_document(plan, keys), "text", **shown)


def keys_markdown(plan, keys):
    return written(keys_document(plan, keys), "markdown")


PLANS = sorted((Path(__file__).parent / "plans").glob("*.json"), key=lambda path: path.stem)
names = pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)


@names
def test_reasons(path, snapshot):
    assert explanation_text(load_plan(path), None, width=80, color=False) == snapshot


@names
def test_reasons_fit_a_screen(path):
    lines = explanation_text(load_plan(path), None, width=80, color=False).splitlines()
    assert len(lines) <= 28
    assert max(map(len, lines)) <= 80


@names
def test_trails(path, snapshot):
    plan = load_plan(path)
    chosen = [*plan.parameters[:4], *plan.parameters[-2:]]
    assert explanation_text(plan, chosen, width=80, color=False) == snapshot


def test_markdown(snapshot):
    plan = load_plan(PLANS[0])
    both = explanation_markdown(plan, None) + explanation_markdown(plan, plan.parameters[:2])
    assert both == snapshot


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_json_of_reasons_covers_every_trained_tensor_twice(path):
    plan = load_plan(path)
    content = json.loads(explanation_json(plan, None))
    reasons, others = content["reasons"], content["not_trained"]
    assert sum(one["tensors"] for one in others) == sum(
        not (isinstance(p, Parameter) and p.is_trained) for p in plan.every_parameter
    )
    for setting in ("lr", "weight_decay"):
        found = [n for r in reasons if r["setting"] == setting for n in r["parameters"]]
        assert sorted(found) == sorted(p.name for p in plan.trained)


def test_json_of_a_trail_has_the_reason():
    plan = load_plan(PLANS[0])
    (parameter,) = json.loads(explanation_json(plan, plan.parameters[:1]))["parameters"]
    assert parameter["reason"]["lr"]["rule"] == plan.parameters[0].reason.lr.rule


def explained(plan_changes=None, **changes):
    fields = {
        "lr_scale": 0.5,
        "reason": Reasons(
            Reason("layer_decay", key="layer_decay_rate", mult=0.5, max_layer_id=4),
            Reason("custom_key", key="layers", mult=1.0,
                   beats=("custom_key:.ln", "norm_decay_mult"), would_give=(0.2, 0.025),
                   misses=("custom_key:.bias", "flat_decay_mult")),
        ),
    }  # fmt: skip
    plan = make_plan(
        make_parameter(shape=(2, 3), **fields | changes),
        constructor=Constructor("C", {"layer_decay_rate": 0.7}),
        **plan_changes or {},
    )
    return trail(plan, plan.parameters[0])


def test_a_trail_says_what_was_beaten_and_what_does_not_apply():
    assert explained() == [
        ("state", "trained"),
        ("parameter", "2×3 in a LayerNorm"),
        ("layer", "1 (0 to 3)"),
        ("lr", "0.001 = 0.002 × 0.7^(4−1−1)   layer decay"),
        ("weight decay", "0.05 = 0.05 × 1   custom key 'layers'"),
        ("  beats", "custom key '.ln' (would give 0.2)"),
        ("  beats", "norm_decay_mult (would give 0.025)"),
        ("  not", "'.bias': not in the name"),
        ("  not", "flat_decay_mult: 2-dimensional"),
    ]


def test_a_trail_says_what_else_is_in_the_group():
    assert explained(extras={"lr_mult": 10.0})[-1] == ("group entry", "lr_mult=10")


def test_nothing_is_said_of_keys_that_no_tracer_looked_at():
    labels = [label for label, _ in explained(reason=Reasons())]
    assert labels == ["state", "parameter", "layer", "lr", "weight decay"]


def test_a_rate_that_is_not_given_is_no_layer_decay():
    reason = Reasons(Reason("layer_decay", mult=1.0, max_layer_id=4))
    assert explained(reason=reason)[3] == (
        "lr", "0.001   no layer_decay_rate: every layer at the base lr"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "formula"),
    [
        (Reason("base"), "0.001 = 0.002 × 0.5 (auto_scale_lr)"),
        (Reason("bias_lr_mult", mult=2.0), "0.001 = 0.002 × 2 × 0.5 (auto_scale_lr)"),
        (
            Reason("layer_decay", key="layer_decay_rate", mult=0.5, max_layer_id=4),
            "0.001 = 0.002 × 0.7^(4−1−1) × 0.5 (auto_scale_lr)",
        ),
    ],
)
def test_scaling_is_a_factor_of_the_formula(reason, formula):
    steps = dict(explained({"auto_scale_lr": 0.5}, reason=Reasons(reason)))
    assert steps["lr"].startswith(formula)


KEYS = [
    Key(".bias", True, 75, 75, {}, Effect(settings=75)),
    Key(".ln", True, 50, 25, {".bias": 25}, Effect(extras=1)),
    Key(".norm", True, 0, 0),
    Key("num_layers", False, None, None, {}, Effect(error="C: training would crash")),
]


def plan_of_keys():
    custom = {key.name: {"decay_mult": 0.0} for key in KEYS if key.is_custom}
    return make_plan(constructor=Constructor("C", {"custom_keys": custom, "num_layers": 12}))


def test_keys(snapshot):
    plan = plan_of_keys()
    assert keys_text(plan, KEYS, width=80, color=False) == snapshot
    assert keys_markdown(plan, KEYS) == snapshot


def test_json_of_keys():
    keys = json.loads(keys_json(plan_of_keys(), KEYS))["keys"]
    assert keys[1] == {
        "name": ".ln", "is_custom": True, "matched": 50, "decided": 25, "taken": {".bias": 25},
        "effect": {"settings": 0, "moved": 0, "layers": 0, "extras": 1, "error": None},
        "value": {"decay_mult": 0.0},
    }  # fmt: skip


def test_names_from_a_config_are_data():
    nasty = "[red]x[/red]\x1b[2J\n|`<script>"
    plan = make_plan(
        make_parameter(nasty, reason=Reasons(Reason(nasty), Reason("custom_key", key=nasty))),
        config=nasty,
        constructor=Constructor(nasty, {nasty: nasty, "custom_keys": {nasty: {nasty: 1}}}),
    )
    key = Key(nasty, True, 1, 1, {nasty: 1}, Effect(error=nasty))
    texts = [
        explanation_text(plan, None, width=200, color=False),
        explanation_text(plan, plan.parameters, width=200, color=False),
        keys_text(plan, [key], width=200, color=False),
        explanation_markdown(plan, plan.parameters),
        keys_markdown(plan, [key]),
    ]
    assert not any("\x1b" in text for text in texts)
    assert not any(re.search(r"<script>", text) for text in texts[3:])


STATES = {
    "resnet18_frozen-norms": ("backbone.bn1.bias", "frozen: requires_grad is False; in the "
                              "optimizer, without effect"),
    "resnet18_lr-0": ("backbone.bn1.bias", "not trained: its lr is 0, by lr_mult 0 of custom key "
                      "'backbone'"),
    "vit-tiny_frozen-by-train": ("backbone.patch_embed.projection.bias", "frozen by train(), which "
                                 "sets requires_grad to False after the optimizer is built"),
    "vit-tiny_only-attention": ("backbone.cls_token", "frozen: requires_grad is False; not in the "
                                "optimizer"),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_a_trail_begins_with_the_state_and_gives_no_lr_to_what_is_not_trained(name):
    plan = load_plan(next(path for path in PLANS if path.stem == name))
    parameter, state = STATES[name]
    steps = trail(plan, next(p for p in plan.every_parameter if p.name == parameter))
    assert steps[0] == ("state", state)
    assert not {"lr", "weight decay"} & {label for label, _ in steps}


def test_what_a_constructor_leaves_out_is_said_to_be_left_out():
    left_out = UntrainedParameter("neck.weight", (2,), 2)
    plan = make_plan(make_parameter(), left_out=(left_out,))
    assert trail(plan, left_out)[0] == (
        "state", "not in the optimizer, though it requires a gradient"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (Reason("bias_lr_mult", mult=0.0), "by bias_lr_mult 0"),
        (Reason("custom_key", key="head"), "by lr 0 of custom key 'head'"),
        (Reason("constructor"), "its lr is 0"),
    ],
)
def test_what_made_the_lr_0_is_named_where_it_is_known(reason, why):
    plan = make_plan(make_parameter(lr=0.0, reason=Reasons(lr=reason)))
    assert trail(plan, plan.parameters[0])[0][1].endswith(why)

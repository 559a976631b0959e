"""The rules that go by stem, blocks and depth: no part of a backbone is taken for another."""

import json
import math
from dataclasses import replace

import pytest
from conftest import TINY_VIT, make_parameter, make_plan
from hypothesis import given
from hypothesis import strategies as st

from lldtool.config.edit import Edit
from lldtool.lint.rules import Subject, all_rules
from lldtool.plan import Constructor, Model, Reason, Reasons, UntrainedParameter

MODEL = TINY_VIT[: TINY_VIT.index("optim_wrapper")]
LAYERS = """
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75, norm_decay_mult=0., bias_decay_mult=0.))
"""
MODULE = """
import torch
from torch import nn
from mmengine.model import BaseModel
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpretrain.models import VisionTransformer
from mmpretrain.registry import MODELS


@MODELS.register_module()
class LateStem(VisionTransformer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.reg_token = nn.Parameter(torch.zeros(1, 2, 192))
        self.ln_pre = nn.LayerNorm(192)
        self.embeddings = nn.Sequential(nn.Linear(192, 192), nn.LayerNorm(192))
        self.rel_pos_bias = nn.Module()
        self.rel_pos_bias.relative_position_bias_table = nn.Parameter(torch.zeros(9, 3))
        self.ln_post = nn.LayerNorm(192)
        self.adapter = nn.Linear(192, 192)
        self.neck = nn.Sequential(nn.Linear(192, 192), nn.Linear(192, 192))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ByName(DefaultOptimWrapperConstructor):
    def add_params(self, params, module, **kwargs):
        rate, depth = self.paramwise_cfg['rate'], self.paramwise_cfg.get('depth', 24)
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            layer = depth + 1
            if '.layers.' in name and 'backbone.' in name:
                layer = int(name.split('.layers.')[1].split('.')[0]) + 1
            elif name.endswith(('cls_token', 'pos_embed')) or 'patch_embed' in name:
                layer = 0
            params.append(dict(params=[parameter], lr=self.base_lr * rate**(depth + 1 - layer)))


@MODELS.register_module()
class TwoBackbones(BaseModel):
    def __init__(self, backbone):
        super().__init__()
        self.img_backbone = MODELS.build(backbone)
        self.head = nn.Linear(192, 10)

    def forward(self, *args, **kwargs):
        return {}
"""
MINE = "custom_imports = dict(imports=['blocks_code'])\n"


@pytest.fixture
def check(cli, tmp_path, monkeypatch):
    """What these rules find in a config."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "blocks_code.py").write_text(MODULE)

    def checked(text, select="LLD2"):
        (tmp_path / "config.py").write_text(text)
        result = cli("check", "config.py", "--format", "json", "--select", select)
        (one,) = json.loads(result.out)["configs"]
        assert one["error"] is None, one["error"]
        return one["findings"]

    return checked


def found(code, plan):
    (rule,) = (rule for rule in all_rules() if rule.code == code)
    return list(rule.check(Subject(plan)))


def ladder(depth, rate, blocks, **changes):
    """A plan without layer_ids: stem, blocks and head as a constructor of this depth gives them."""
    layers = {"stem.weight": 0, **{f"layers.{i}.weight": i + 1 for i in range(blocks)}}
    members = [
        make_parameter(f"backbone.{name}", layer_id=None, lr_scale=rate ** (depth + 1 - layer),
                       shape=(2, 2), module_type="Linear")
        for name, layer in layers.items()
    ]  # fmt: skip
    head = make_parameter("head.weight", layer_id=None, lr_scale=1.0)
    options = {"rate": rate, "num_layers": depth}
    return make_plan(*members, head, **{"constructor": Constructor("Mine", options)} | changes)


def frozen(p):
    return replace(p, state="frozen", traits=("frozen",))


# --- the stem


def test_stem_is_found_wherever_it_is_defined_and_what_comes_last_is_not(check):
    (finding,) = check(MINE + MODEL + "model['backbone']['type'] = 'LateStem'\n" + LAYERS)
    assert finding["code"] == "LLD203"
    modules = {name.removeprefix("backbone.").split(".")[0] for name in finding["parameters"]}
    assert modules == {"reg_token", "ln_pre", "embeddings", "rel_pos_bias"}


def test_stem_is_found_without_layer_ids(check):
    text = MINE + MODEL + "model['backbone']['pre_norm'] = True\n"
    text += LAYERS.replace("LearningRateDecayOptimWrapperConstructor", "ByName").replace(
        "layer_decay_rate=0.75", "rate=0.75, depth=12")  # fmt: skip
    (finding,) = check(text)
    assert finding["message"] == (
        "2 tensors of the stem train at 1.0 of the base lr, and the last block at 0.75"
    )


@pytest.mark.parametrize("name", [
    "norm.weight", "fc_norm.weight", "ln1.weight", "norm_post.weight", "ln_post.bias",
    "ln_f.weight", "neck.conv.weight", "fpn.conv.weight", "adapter.fc.weight", "head.fc.weight",
    "scale", "decoder_pos_embed", "decoder.pos_embed", "final_norm.weight", "post_norm.weight",
])  # fmt: skip
def test_what_comes_last_is_no_stem_though_it_is_defined_first(name):
    plan = make_plan(
        make_parameter(f"backbone.{name}", layer_id=9),
        make_parameter("backbone.layers.0.weight", layer_id=1),
        make_parameter("backbone.layers.1.weight", layer_id=2),
    )
    assert found("LLD203", plan) == []


@pytest.mark.parametrize("name", [
    "pre_norm.weight", "norm_pre.weight", "ln_pre.weight", "pre_layrnorm.bias", "embed_norm.weight",
    "patch_embed.0.weight", "patch_embed.norm.weight", "stem.0.conv.weight", "conv_stem.weight",
    "embeddings.LayerNorm.weight", "downsample_layers.0.0.weight", "patch_embeds.0.proj.weight",
    "register_tokens", "dist_token", "mask_token", "absolute_pos_embed", "patch_embed1.proj.weight",
    "rel_pos_bias.relative_position_bias_table", "model.cls_token", "model.norm_pre.weight",
])  # fmt: skip
def test_stem_is_known_by_its_name_though_it_is_defined_last(name):
    plan = make_plan(
        make_parameter("backbone.layers.0.weight", layer_id=1),
        make_parameter("backbone.layers.1.weight", layer_id=2),
        make_parameter(f"backbone.{name}", layer_id=9),
    )
    (one,) = found("LLD203", plan)
    assert "the stem" in one.message


# --- the backbones


@pytest.mark.parametrize(
    ("prefix", "backbones"),
    [
        ("img_backbone.", ("img_backbone",)),
        ("student.backbone.", ("student.backbone", "teacher.backbone")),
        ("image_encoder.0.", ("image_encoder.0",)),
        ("", ("",)),
        # Plans that 0.1 saved.
        ("pts_backbone.", None),
        ("", None),
    ],
)
def test_rules_find_a_backbone_by_what_it_is(prefix, backbones):
    def plan(**layers):
        members = [
            make_parameter(f"{prefix}{name.replace('__', '.')}", layer_id=layer)
            for name, layer in layers.items()
        ]
        model = Model("Any", backbones=backbones)
        head = make_parameter("head.weight", layer_id=9)
        constructor = Constructor("LayerDecay", {"layer_decay_rate": 1.0})
        return make_plan(*members, head, model=model, constructor=constructor)

    sound = plan(cls_token=0, layers__0__w=1, layers__1__w=2)
    assert len(found("LLD201", sound)) == 1
    assert found("LLD203", sound) == []
    late = plan(cls_token=9, layers__0__w=1, layers__1__w=2)
    assert list(found("LLD203", late)[0].parameters) == [f"{prefix}cls_token"]
    (falling,) = found("LLD204", plan(cls_token=0, layers__0__w=2, layers__1__w=1))
    assert falling.message.startswith(f"{prefix}layers.1 is in layer 1")


def test_layer_decay_is_on_where_one_of_two_backbones_has_it():
    members = [
        make_parameter(f"{name}.layers.{i}.w", layer_id=layer, lr=lr)
        for name, layers in {"img_backbone": (1, 2), "pts_backbone": (9, 9)}.items()
        for i, (layer, lr) in enumerate(zip(layers, (1e-4, 2e-4), strict=True))
    ]
    members[3] = replace(members[3], lr=members[2].lr)
    plan = make_plan(*members, model=Model("Any", backbones=("img_backbone", "pts_backbone")))
    assert found("LLD201", plan) == []


def test_a_teacher_that_is_frozen_is_not_looked_at():
    teacher = [make_parameter(f"teacher.backbone.layers.{i}.w", layer_id=9) for i in range(2)]
    student = [make_parameter(f"student.backbone.layers.{i}.w", layer_id=i) for i in range(2)]
    model = Model("Any", backbones=("teacher.backbone", "student.backbone"))
    assert len(found("LLD203", make_plan(*teacher, *student, model=model))) == 0
    plan = make_plan(*map(frozen, teacher), *student, model=model)
    assert found("LLD204", plan) == found("LLD203", plan) == []


def test_a_model_of_ones_own_has_a_backbone(cli, check, tmp_path):
    backbone = "dict(type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16)"
    text = f"{MINE}_base_ = []\ndefault_scope = 'mmpretrain'\n"
    text += f"model = dict(type='TwoBackbones', backbone={backbone})\n"
    text += LAYERS.replace("LearningRateDecayOptimWrapperConstructor", "ByName").replace(
        "layer_decay_rate", "rate")  # fmt: skip
    (finding,) = check(text, "LLD207")
    assert finding["message"].startswith("12 blocks, but depth is 24 by default")
    assert "depth=12" in finding["suggestion"]
    model = json.loads(cli("inspect", "config.py", "--format", "json").out)["model"]
    assert model["backbones"] == ["img_backbone"]
    assert model["backbone"] == "VisionTransformer"


# --- the depth


@given(
    blocks=st.integers(3, 40),
    more=st.integers(-2, 30),
    rate=st.sampled_from([0.5, 0.65, 0.75, 0.8, 0.9, 0.95]),
)
def test_a_depth_is_too_large_from_two_layers_on(blocks, more, rate):
    plan = ladder(blocks + more, rate, blocks)
    findings = found("LLD207", plan)
    assert len(findings) == (more >= 2)
    for one in findings:
        at = ("optim_wrapper", "paramwise_cfg", "num_layers")
        assert one.message.startswith(f"{blocks} blocks, but num_layers is {blocks + more}: ")
        assert [fix.edits for fix in one.possible_fixes] == [[Edit(at, blocks)]]
    too_small = found("LLD202", plan)
    assert len(too_small) == (more < -1)
    for one in too_small:
        assert one.message.endswith(f": {blocks} blocks, but num_layers is {blocks + more}")
        assert [fix.edits for fix in one.possible_fixes] == [[Edit(one.entry, blocks)]]


def test_a_layer_that_something_else_is_in_is_not_missing():
    plan = ladder(14, 0.8, 12)
    assert len(found("LLD207", plan)) == 1
    between = [
        make_parameter(f"neck.{i}.weight", layer_id=None, lr_scale=0.8**i) for i in range(1, 3)
    ]
    assert found("LLD207", replace(plan, parameters=(*plan.parameters, *between))) == []


@pytest.mark.parametrize("where", ["in a group", "in none"])
def test_frozen_last_blocks_take_their_layers(where):
    plan = ladder(12, 0.8, 12)
    last = {f"backbone.layers.{i}.weight" for i in range(8, 12)}
    trained = tuple(p for p in plan.parameters if p.name not in last)
    if where == "in a group":
        frozen_ones = tuple(frozen(p) for p in plan.parameters if p.name in last)
        plan = replace(plan, parameters=(*trained, *frozen_ones))
    else:
        others = tuple(UntrainedParameter(name, (2, 2), 4) for name in sorted(last))
        plan = replace(plan, parameters=trained, frozen=others)
    assert found("LLD207", plan) == []


def test_frozen_first_blocks_count_as_blocks():
    plan = ladder(24, 0.8, 12)
    trained = tuple(p for p in plan.parameters if not p.name.startswith("backbone.layers.0."))
    first = UntrainedParameter("backbone.layers.0.weight", (2, 2), 4)
    (one,) = found("LLD207", replace(plan, parameters=trained, frozen=(first,)))
    assert one.message.startswith("12 blocks, but num_layers is 24: ")


def test_a_multiple_that_was_asked_for_is_no_depth():
    plan = ladder(12, 0.8, 12)
    asked = Reasons(lr=Reason("custom_key", key="head", mult=10.0))
    head = replace(plan.parameters[-1], lr_scale=10.0, reason=asked)
    assert found("LLD207", replace(plan, parameters=(*plan.parameters[:-1], head))) == []
    tenth = tuple(
        replace(p, lr_scale=p.lr_scale * 0.1) for p in plan.parameters if p.name != "head.weight"
    )  # by an option of the constructor's own, for the whole backbone
    assert found("LLD207", replace(plan, parameters=(*tenth, plan.parameters[-1]))) == []


def test_a_backbone_of_stages_may_be_decayed_by_stages():
    shapes = {0: (2, 2), 1: (4, 4), 2: (8, 8), 3: (16, 16)}
    members = [
        make_parameter(f"backbone.stages.{stage}.{block}.weight", layer_id=stage + 1, shape=shape,
                       lr_scale=0.9 ** (12 - stage))
        for stage, shape in shapes.items()
        for block in range(3)
    ]  # fmt: skip
    head = make_parameter("head.weight", layer_id=13, lr_scale=1.0)
    options = Constructor("LayerDecay", {"num_layers": 12, "decay_type": "stage_wise"})
    assert found("LLD207", make_plan(*members, head, constructor=options)) == []


# --- what becomes of the lr


@pytest.mark.parametrize(
    ("lrs", "scales", "entries", "number"),
    [
        ((1e-3, 1e-3, 1e-3), (0.25, 0.5, 1.0), (), 1),
        ((1e-3, 1e-3, 1e-3), (0.25, 0.5, 1.0), ("lr_scale",), 0),
        ((2.5e-4, 5e-4, 1e-3), (0.25, 0.5, 1.0), (), 0),
        ((1e-3, 1e-3, 1e-3), (1.0, 1.0, 1.0), (), 0),
        # A multiple that makes up for one scale.
        ((1e-3, 5e-4, 1e-3), (0.25, 0.5, 1.0), (), 0),
    ],
)
def test_a_scale_is_unapplied_where_none_shows_in_the_lr(lrs, scales, entries, number):
    plan = make_plan(*(
        make_parameter(f"a.{i}", lr=lr, lr_scale=scale)
        for i, (lr, scale) in enumerate(zip(lrs, scales, strict=True))
    ))  # fmt: skip
    optimizer = replace(plan.optimizer, lr=1e-3, group_entries=entries)
    assert len(found("LLD208", replace(plan, optimizer=optimizer))) == number
    scaled = tuple(replace(p, lr=p.lr * 2) for p in plan.parameters)
    doubled = replace(plan, optimizer=optimizer, parameters=scaled, auto_scale_lr=2.0)
    assert len(found("LLD208", doubled)) == number


def test_scales_that_nothing_applies_are_no_missing_rate():
    members = [make_parameter(f"backbone.layers.{i}.w", lr=1e-3, lr_scale=0.5**i) for i in range(3)]
    plan = make_plan(*members, constructor=Constructor("LayerDecay", {"x": 1}))
    assert found("LLD201", plan) == []


def test_a_base_lr_is_used_where_one_parameter_has_it():
    key = Reasons(lr=Reason("custom_key", key="a", mult=0.5))
    given_lr = [make_parameter(f"a.{i}", lr=1e-3, reason=key) for i in range(2)]
    options = Constructor(
        "DefaultOptimWrapperConstructor", {"custom_keys": {"a": {"lr_mult": 0.5}}}
    )
    plan = make_plan(*given_lr, constructor=options)
    (one,) = found("LLD209", plan)
    assert one.possible_fixes[0].edits[0].value == 1e-3
    base = make_parameter("b", lr=2e-3, reason=Reasons(lr=Reason("base")))
    assert found("LLD209", replace(plan, parameters=(*given_lr, base))) == []
    unexplained = make_parameter("b", lr=1e-4)
    assert found("LLD209", replace(plan, parameters=(*given_lr, unexplained))) == []
    assert math.isclose(plan.optimizer.lr, 2e-3)

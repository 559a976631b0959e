"""The rules on configs that they were not written for: no false alarm, no miss, no harmful fix."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_parameter, make_plan, slow
from pasting import pasted
from small_configs import ADAMW, LAYERS, MODEL, RESNET, SGD, SOUND, SPARED, SWIN_V2, wrapper

from lldtool.analysis.keys import Effect, Effects
from lldtool.analysis.option_names import near, near_part
from lldtool.config.edit import DELETE, Edit
from lldtool.errors import ConstructorError
from lldtool.lint.diagnostics import Severity
from lldtool.lint.rules import Subject, all_rules
from lldtool.lint.rules._options import rate_option, same_meaning
from lldtool.lint.rules._parameters import NameIndex, covering_keys, kind_of
from lldtool.plan import Constructor, Optimizer, Reason, Reasons, UntrainedParameter

MODULE = """
import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.registry import MODELS


class RMSNorm2d(torch.nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(channels, 1, 1))


@MODELS.register_module()
class MyViT(VisionTransformer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.extra = RMSNorm2d(8)
        self.table = torch.nn.Parameter(torch.ones(8, 8))

    def no_weight_decay(self):
        return {'table'}
"""
MINE = "custom_imports = dict(imports=['my_code'])\nmodel['backbone']['type'] = 'MyViT'\n"


@pytest.fixture
def check(cli, tmp_path, monkeypatch):
    """The findings in a config, without the infos unless they are asked for."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_code.py").write_text(MODULE)

    def checked(text, *options, infos=False, name="config.py"):
        (tmp_path / name).write_text(text)
        result = cli("check", name, "--format", "json", *options)
        (one,) = json.loads(result.out)["configs"]
        assert one["error"] is None or one["findings"], one["error"]
        return [f for f in one["findings"] if infos or f["severity"] != "info"]

    return checked


def codes(findings):
    return sorted({f["code"] for f in findings})


@pytest.mark.parametrize(
    "text",
    [
        SOUND,
        RESNET + wrapper(SGD, "custom_keys={'head': dict(lr_mult=10)}"),
        RESNET + wrapper(SGD, "norm_decay_mult=0., custom_keys={'fc': dict(lr_mult=10)}"),
        RESNET + wrapper(SGD, "custom_keys={'backbone': dict(lr_mult=0., decay_mult=0.)}"),
        MODEL + wrapper(ADAMW, "custom_keys={'head': dict(decay_mult=0., lr_mult=10.)}"),
        SOUND + "param_scheduler = dict(type='ReduceOnPlateauLR', min_value=1e-4, monitor='x')",
        SOUND + "param_scheduler = [None, dict(type='CosineAnnealingMomentum', eta_min=0.5)]",
        SOUND + "param_scheduler = dict(a=[dict(type='CosineAnnealingLR', eta_min=1e-3)])",
        SOUND + "param_scheduler = [dict(type='CosineAnnealingLR', eta_min=0, T_max=9)]",
        SWIN_V2 + wrapper(
            ADAMW, "norm_decay_mult=0., bias_decay_mult=0., flat_decay_mult=0., custom_keys={"
            "'logit_scale': dict(decay_mult=0.), 'cpb_mlp': dict(decay_mult=0.)}"),
    ],
)  # fmt: skip
def test_sound_config_has_no_error_and_no_warning(check, text):
    assert check(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SOUND.replace("'.cls_token'", "'.cls_tokn'"), ["LLD104", "LLD301"]),
        (MINE + wrapper(LAYERS, "layer_decay_rate=0.75, " + SPARED % ""), ["LLD101", "LLD104"]),
        (
            MODEL + wrapper(LAYERS, "layer_decay_rate=0.75, "
                            + SPARED % ", '.ln1': dict(decay_mult=0., lr=1e-5)"),
            ["LLD306"],
        ),
        (SOUND.replace("rate=0.75", "rate=0"), ["LLD201"]),
        (SOUND + "param_scheduler = [\n  dict(type='PolyLR', eta_min=1e-4, end=9)]", ["LLD205"]),
        (RESNET.replace("depth=50", "depth=18") + wrapper(LAYERS, "layer_decay_rate=.7"),
         ["LLD401"]),
    ],
)  # fmt: skip
def test_broken_config_is_found_out(check, text, expected):
    text = text if text.startswith("\n_base_") else MODEL + text
    assert codes(check(text)) == expected


def test_key_with_a_dot_that_mmengine_never_matches_is_found_out(check):
    keys = "custom_keys={'.head': dict(lr_mult=10.0), 'backbone': dict(lr_mult=0.1)}"
    findings = check(MODEL + wrapper(ADAMW, keys))
    assert [(f["code"], f["key"].rpartition("custom_keys.")[2]) for f in findings] == [
        ("LLD301", ".head")
    ]


def test_scheduler_without_ratios_gets_none_suggested(check):
    (finding,) = check(SOUND + "param_scheduler = [dict(type='PolyLR', eta_min=1e-4, end=9)]")
    assert finding["suggestion"].splitlines()[-1] == "eta_min=0.0,"


def test_a_scheduler_that_is_inherited_is_not_replaced_by_a_dict_that_is_merged(check, tmp_path):
    base = SOUND + "param_scheduler = dict(type='OneCycleLR', eta_max=1e-3, total_steps=100)"
    (tmp_path / "base.py").write_text(base)
    (finding,) = check("_base_ = 'base.py'")
    assert (finding["code"], finding["suggestion"]) == ("LLD206", None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.py", "_base_ = 'base.py'"),
        ("config.py", "from mmengine.config import read_base\nwith read_base():\n"
                      "    from .base import *\n"),
        ("config.yaml", "_base_: base.py"),
        ("config.json", '{"_base_": "base.py"}'),
    ],
)  # fmt: skip
def test_a_scheduler_in_an_inherited_list_is_fixed_by_the_whole_list(cli, tmp_path, name, text):
    warm_up = "dict(type='LinearLR', start_factor=1e-3, end=5)"
    cosine = "dict(type='CosineAnnealingLR', eta_min=1e-4, begin=5, T_max=95)"
    base = SOUND.replace("_base_ = []\n", "") + f"param_scheduler = [{warm_up}, {cosine}]"
    (tmp_path / "base.py").write_text(base)
    path = tmp_path / name
    path.write_text(text)
    result = cli("check", path)
    assert "LLD205" in result.out
    assert f"suggested fix in {path}:" in result.out
    (finding,) = json.loads(cli("check", path, "--format", "json").out)["configs"][0]["findings"]
    if name == "config.json":
        path.write_text(text.replace("}", f", {finding['suggestion']}}}"))
    else:
        pasted(finding["suggestion"], path)
    assert cli("check", path).code == 0
    before, after = (json.loads(cli("inspect", one, "--format", "json").out)["param_scheduler"]
                     for one in (tmp_path / "base.py", path))  # fmt: skip
    assert after[0] == before[0]
    del before[1]["eta_min"]
    assert after[1] == before[1] | {"eta_min_ratio": 0.1}


def test_more_rules_take_no_fix_away(check):
    text = MODEL + wrapper(LAYERS, "layer_decay_rate=0.75")
    few, all_of_them = check(text), check(text, "--select", "ALL")
    assert [f["suggestion"] for f in few] == [f["suggestion"] for f in all_of_them]


def test_depth_that_is_not_implemented_says_so(check):
    text = RESNET.replace("depth=50", "depth=18") + wrapper(LAYERS, "layer_decay_rate=.7")
    (finding,) = check(text)
    assert "get_layer_depth" in finding["message"]


def test_scheduler_in_a_list_has_its_own_place_and_fix(check):
    text = SOUND + "param_scheduler = [\n  dict(type='CosineAnnealingLR', eta_min=1e-4, T_max=9)]"
    (finding,) = check(text)
    assert text.splitlines()[finding["line"] - 1][finding["column"] - 1 :].startswith("eta_min")
    assert "eta_min_ratio=0.1," in finding["suggestion"]
    scaled = (
        text + "\nauto_scale_lr = dict(base_batch_size=64)\ntrain_dataloader = dict(batch_size=64)"
    )
    (finding,) = check(scaled, "--auto-scale-lr", "--world-size", "4")
    assert "eta_min_ratio=0.025," in finding["suggestion"]


@pytest.mark.parametrize(
    "text",
    [
        RESNET + wrapper(SGD, "norm_decay_mult=0., custom_keys={'backbone': dict(lr_mult=0.1)}"),
        slow(MODEL + wrapper(ADAMW, "bias_decay_mult=0., custom_keys={'head': dict(lr_mult=10.)}")),
        slow(MODEL + wrapper(ADAMW, "custom_keys={'head': dict(decay_mult=0., lr_mult=10.)}")),
        slow(
            MODEL + wrapper(LAYERS, "layer_decay_rate=.75, norm_decay_mult=0., bias_decay_mult=0., "
                            "custom_keys=dict(backbone=dict(), attn=dict(decay_mult=.5))")
        ),
    ],
)  # fmt: skip
def test_what_is_suggested_changes_the_weight_decay_of_what_was_found_only(
    check, cli, tmp_path, text
):
    before = check(text, infos=True)
    found = {name for finding in before for name in finding["parameters"]}
    plan = settings(cli, tmp_path)
    assert before
    for finding in before:
        if finding["suggestion"] is None:
            continue
        check(text)
        check(pasted(finding["suggestion"], tmp_path / "config.py"))
        now = settings(cli, tmp_path)
        for name, (lr, decay) in plan.items():
            assert now[name][0] == lr
            assert now[name][1] == decay or name in found


def settings(cli, folder):
    result = cli("inspect", folder / "config.py", "--format", "json")
    return {p["name"]: (p["lr"], p["weight_decay"]) for p in json.loads(result.out)["parameters"]}


@pytest.mark.parametrize(
    "text",
    [
        MODEL + f"optim_wrapper = dict({LAYERS})\n",
        MODEL + wrapper(LAYERS, "layer_decay_rate=0.75"),
    ],
)
def test_fixes_that_open_the_same_dict_are_one(check, tmp_path, text):
    before = check(text)
    fixes = {f["suggestion"] for f in before if "custom_keys" in (f["suggestion"] or "")}
    assert len(fixes) == 1
    fixed = {f["code"] for f in before if f["suggestion"] in fixes}
    after = check(pasted(fixes.pop(), tmp_path / "config.py"))
    assert fixed.isdisjoint(codes(after))


def test_two_schedulers_with_one_fault_are_fixed_one_by_one(check):
    one = "dict(type='CosineAnnealingLR', eta_min=1e-4, %s, T_max=5)"
    text = SOUND + f"param_scheduler = [{one % 'end=5'}, {one % 'begin=5'}]"
    assert ["ratio" in f["suggestion"] for f in check(text)] == [True, True]


def test_misspelt_option_is_fixed_though_that_uncovers_another(check):
    text = SOUND.replace("layer_decay_rate=0.75", "layer_decay_rat=0.3")
    text += "param_scheduler = dict(type='PolyLR', eta_min=2e-5, end=9)"
    assert all("layer_decay_rate=0.3," in f["suggestion"] for f in check(text))


@pytest.mark.parametrize("name", ["config.yaml", "config.json"])
def test_fixes_of_yaml_and_json_are_in_their_language(check, name, tmp_path):
    from mmengine.config import Config

    text = SOUND.replace("bias_decay_mult=0., ", "")
    (tmp_path / "x.py").write_text(text)
    content = Config.fromfile(str(tmp_path / "x.py"))
    (finding,) = check(content.dump() and dumped(content, name), name=name)
    line = finding["suggestion"].splitlines()[-1]
    assert line.rstrip(",") in ("bias_decay_mult: 0.0", '"bias_decay_mult": 0.0')
    assert line.endswith(",") is name.endswith("json")


def dumped(content, name):
    import yaml

    data = content.to_dict()
    data.pop("_base_", None)
    return json.dumps(data, indent=1) if name.endswith("json") else yaml.safe_dump(data)


def test_a_dict_that_code_makes_gets_no_entries_suggested(check):
    text = MODEL + "def options(**more):\n    return dict(layer_decay_rate=0.75, **more)\n"
    text += f"optim_wrapper = dict({LAYERS}, paramwise_cfg=options(norm_decay_mult=0.))"
    assert {f["suggestion"] for f in check(text)} == {None}


def test_must_decay_is_not_held_against_the_config(check, tmp_path):
    (tmp_path / "lldtool.toml").write_text("must-decay = ['backbone.cls_token']")
    text = SOUND.replace("'.cls_token': dict(decay_mult=0.),", "")
    assert check(text) == []
    assert codes(check(SOUND)) == ["LLD106"]


@pytest.mark.parametrize("comment", ["unmatched-key", "LLD3", "lld301", "LLD301, LLD104"])
def test_comment_takes_what_select_takes(check, comment):
    line = f"\n'.nope': dict(decay_mult=0.),  # lldtool: ignore[{comment}]\n'.cls_token'"
    found = codes(check(SOUND.replace("'.cls_token'", line)))
    assert found == (["LLD001"] if "," in comment else [])


def test_comment_for_rules_that_do_not_run_is_not_unused(check):
    line = "\n'.nope': dict(decay_mult=0.),  # lldtool: ignore[LLD301]\n'.cls_token'"
    text = SOUND.replace("'.cls_token'", line)
    assert check(text, "--ignore", "LLD301") == []
    assert check(SOUND + "x = 1  # lldtool: ignore[LLD406]") == []
    (finding,) = check(SOUND + "x = 1  # lldtool: ignore[LLD999]")
    assert "there is no rule LLD999" in finding["message"]


def test_shared_parameter_may_be_bypassed_in_the_default_constructor(check):
    text = MODEL.replace("LinearClsHead", "TiedHead").replace(
        "model = dict(", "custom_imports = dict(imports=['tied'])\nmodel = dict("
    )
    Path("tied.py").write_text(
        "import torch\nfrom mmpretrain.models import LinearClsHead\n"
        "from mmpretrain.registry import MODELS\n"
        "@MODELS.register_module()\nclass TiedHead(LinearClsHead):\n"
        "    def __init__(self, num_classes, in_channels, **kw):\n"
        "        super().__init__(num_classes, in_channels, **kw)\n"
        "        self.aux = torch.nn.Linear(in_channels, num_classes)\n"
        "        self.aux.weight = self.fc.weight\n"
    )
    (finding,) = check(text + wrapper(ADAMW, "norm_decay_mult=0."), "--select", "LLD4")
    assert finding["code"] == "LLD402"
    assert "bypass_duplicate=True" in finding["suggestion"]


@pytest.mark.parametrize(
    ("lr", "options", "described"),
    [
        ("float('inf')", "layer_decay_rate=0.75", "optimizer.lr"),
        ("1e-3", "layer_decay_rate=-0.75", "paramwise_cfg.layer_decay_rate"),
        ("1e-3", "layer_decay_rate=float('nan')", "paramwise_cfg.layer_decay_rate"),
    ],
)
def test_invalid_lr_is_no_other_finding(check, lr, options, described):
    text = wrapper(LAYERS.replace("1e-3", lr), f"{options}, {SPARED % ''}")
    (finding,) = check(MODEL + text)
    assert (finding["code"], finding["severity"]) == ("LLD210", "error")
    assert finding["message"].endswith(f"from {described}")


def found(code, plan, **lists):
    """What a rule finds in a plan, which needs no config that is like it."""
    (rule,) = (rule for rule in all_rules() if rule.code == code)
    return list(rule.check(Subject(plan, **lists)))


def layers(**ids):
    """A plan of a backbone: module -> its layer, in order, and a head in layer 9."""
    names = {name.replace("__", "."): layer_id for name, layer_id in ids.items()}
    members = (
        make_parameter(f"backbone.{name}", layer_id=layer_id, shape=(2, 2), module_type="Linear")
        for name, layer_id in names.items()
    )
    return make_plan(*members, make_parameter("head.weight", layer_id=9))


@pytest.mark.parametrize(
    ("plan", "misplaced"),
    [
        (layers(conv1__w=9, layers__0__w=1, layers__1__w=2), ["conv1.w"]),
        (layers(conv1__w=0, layers__0__w=1, layers__1__w=2), []),
        (layers(conv1__w=9, layers__0__w=9, layers__1__w=9), []),
        # A final norm, and a parameter of the backbone's own that is no embedding, come last.
        (layers(norm__w=9, scale=9, cls_token=9, layers__0__w=1), ["cls_token"]),
        (layers(conv1__w=0, layers__0__w=1, layers__0__pos_embed=1, pos_embed=9), ["pos_embed"]),
        (layers(a__0__w=1, a__1__w=9, a__2__w=9, b__0__w=2), ["a.1.w", "a.2.w"]),
        (layers(a__0__w=1, a__1__w=9, a__2__w=2), ["a.1.w"]),
        # The last block alone, and a neck after all that is in other layers, may be meant so.
        (layers(a__0__w=1, a__1__w=2, a__2__w=9), []),
        (layers(a__0__w=1, a__1__w=2, neck__0__w=9, neck__1__w=9), []),
        (layers(neck__0__w=9, neck__1__w=9, a__0__w=1), ["neck.0.w", "neck.1.w"]),
        (layers(a__0__w=1, a__0__v=9, a__1__w=2), []),
    ],
)  # fmt: skip
def test_stem_and_blocks_in_the_last_layer_are_found_and_what_belongs_there_is_not(plan, misplaced):
    names = [name for one in found("LLD203", plan) for name in one.parameters]
    assert names == [f"backbone.{name}" for name in misplaced]


@pytest.mark.parametrize(
    ("plan", "messages"),
    [
        (layers(a__0__w=1, a__1__w=1, a__2__w=2), []),
        (
            layers(a__10__w=1, a__9__w=2),
            ["backbone.a.10 is in layer 1, and backbone.a.9 before it in 2"],
        ),
        (
            layers(a__0__w=3, a__1__w=2, a__2__w=1),
            ["backbone.a.1 is in layer 2, and backbone.a.0 before it in 3, and 1 more such place"],
        ),
        (
            layers(a__0__w=4, a__1__w=3, a__2__w=2, a__3__w=1),
            ["backbone.a.1 is in layer 3, and backbone.a.0 before it in 4, and 2 more such places"],
        ),
        (
            layers(a__0__b__0__w=2, a__0__b__1__w=1, a__1__w=None),
            ["backbone.a.0.b.1 is in layer 1, and backbone.a.0.b.0 before it in 2"],
        ),
    ],
)  # fmt: skip
def test_depths_that_fall_are_found_in_each_sequence(plan, messages):
    assert [one.message for one in found("LLD204", plan)] == messages


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ((None, None), "2 tensors start with"),
        ((3,), "1 tensor in layer 3 starts with"),
        ((3, 3, 1), "3 tensors in layers 1, 3 start with"),
        ((1, 2, 3), "3 tensors in layers 1 to 3 start with"),
    ],
)
@pytest.mark.parametrize(("floor", "ways"), [(5e-3, 1), (1e-2, 0), (2e-2, 0)])
def test_a_floor_above_the_lr_is_told_with_the_layers(ids, said, floor, ways):
    plan = make_plan(
        *(make_parameter(f"a.{i}", layer_id=layer_id) for i, layer_id in enumerate(ids)),
        make_parameter("head.weight", lr=1e-2, layer_id=9),
        param_scheduler=[{"type": "CosineAnnealingLR", "eta_min": floor}],
    )
    (one,) = found("LLD205", plan)
    assert (said in one.message) is (floor <= 1e-2)
    assert len(one.possible_fixes) == ways


@pytest.mark.parametrize(
    "scheduler",
    [
        {"eta_min": 1.0},
        {"type": "CosineAnnealingMomentum", "eta_min": 1.0},
        {"type": "CosineAnnealingParamScheduler", "param_name": "momentum", "eta_min": 1.0},
        {"type": "CosineAnnealingLR", "eta_min": 0},
        {"type": "CosineAnnealingLR", "eta_min": 1e-3},
        {"type": "CosineAnnealingLR"},
    ],
)
def test_what_raises_no_lr_is_not_found(scheduler):
    plan = make_plan(param_scheduler=[scheduler, None])
    assert found("LLD205", plan) == []


CFG = ("optim_wrapper", "paramwise_cfg")


def explained(rule, **fields):
    return Reasons(Reason("base"), Reason(rule, **fields))


@pytest.mark.parametrize(
    ("reason", "at", "why"),
    [
        (
            explained("base"), ["paramwise_cfg"],
            ": no custom key or paramwise_cfg option excludes it",
        ),
        (
            explained("norm_decay_mult"), ["paramwise_cfg", "norm_decay_mult"],
            " from norm_decay_mult",
        ),
        (
            explained("custom_key", key="ln"), ["paramwise_cfg", "custom_keys", "ln"],
            " from custom key 'ln'",
        ),
        (explained("constructor"), ["constructor"], ""),
        (
            explained("base", misses=("custom_key:.bn",)), ["paramwise_cfg"],
            ": custom key '.bn' excludes others, but does not match it",
        ),
        (
            explained("base", misses=("custom_key:.bn", "custom_key:gn", "custom_key:ln")),
            ["paramwise_cfg"],
            ": custom keys '.bn', 'gn' exclude others, but do not match it",
        ),
    ],
)  # fmt: skip
def test_what_decays_a_norm_is_told(reason, at, why):
    norm = make_parameter(reason=reason, traits=("norm",))
    keys = {"ln": {}, ".bn": {"decay_mult": 0.0}, "gn": {"decay_mult": 0}}
    constructor = Constructor("LearningRateDecay", {"custom_keys": keys})
    plan = make_plan(norm, *excluded_by(".bn", "gn"), constructor=constructor)
    (one,) = found("LLD101", plan)
    assert one.entry == ("optim_wrapper", *at)
    assert one.message == f"1 norm tensor gets weight decay 0.05{why}"
    by_key = "custom_keys" in at
    assert one.possible_fixes[0].edits == [
        Edit((*one.entry, "decay_mult") if by_key else (*CFG, "norm_decay_mult"), 0.0)
    ]


def excluded_by(*keys):
    return [
        make_parameter(
            f"other{number}", weight_decay=0.0, traits=("norm",),
            reason=explained("custom_key", key=key, mult=0.0),
        )
        for number, key in enumerate(keys)
    ]  # fmt: skip


def test_a_key_that_excludes_nothing_is_not_said_to_exclude_others():
    missed = explained("base", misses=("custom_key:.bn", "custom_key:.typo", "custom_key:.taken"))
    keys = {key: {"decay_mult": 0.0} for key in (".bn", ".typo", ".taken")}
    constructor = Constructor("LearningRateDecay", {"custom_keys": keys})
    norm = make_parameter(reason=missed, traits=("norm",))
    (one,) = found("LLD101", make_plan(norm, *excluded_by(".bn"), constructor=constructor))
    assert one.message.endswith(": custom key '.bn' excludes others, but does not match it")
    (one,) = found("LLD101", make_plan(norm, constructor=constructor))
    assert one.message.endswith(": no custom key or paramwise_cfg option excludes it")


@pytest.mark.parametrize(
    ("optimizer", "severities"),
    [("SGD", []), ("AdamW", [Severity.info]), ("Lamb8bit", [Severity.info]), ("RMSprop", [])],
)
def test_decay_for_all_is_told_only_where_sparing_norms_is_the_custom(optimizer, severities):
    plan = make_plan(
        make_parameter(layer_id=None, traits=("norm",), reason=explained("base")),
        constructor=Constructor("DefaultOptimWrapperConstructor"),
        optimizer=Optimizer(optimizer, 1e-3, 0.05),
    )
    assert [one.severity for one in found("LLD101", plan)] == severities


@pytest.mark.parametrize(
    ("options", "reads", "said"),
    [
        ({"bias_lr_mult": 1.0}, (), []),  # which is another rule's
        ({"nor_decay_mult": 0.0}, None, []),
        ({"nor_decay_mult": 0.0}, ("norm_decay_mult",), ["; did you mean 'norm_decay_mult'?"]),
        (
            {"nor_decay_mult": 0, "norm_decay_mult": 0},
            ("norm_decay_mult",),
            ["; it is misspelt, and norm_decay_mult is 0 already"],
        ),
        ({"head_decay_mult": 0.0}, ("bias_decay_mult",), [""]),
        ({"something": 0.0}, ("norm_decay_mult",), [""]),
        ({"_delete": True}, (), ["; did you mean '_delete_', which replaces what is inherited?"]),
    ],
)
def test_an_unknown_option_is_told_with_what_may_be_meant(options, reads, said):
    plan = make_plan(constructor=Constructor("C", options, reads=reads))
    findings = found("LLD304", plan)
    assert [one.message.partition("has no such option")[2] for one in findings] == said
    for one in findings:
        assert one.possible_fixes[0].edits[0] == Edit(one.entry, DELETE)
        assert one.may_uncover


@pytest.mark.parametrize("code", ["LLD301", "LLD308"])
@pytest.mark.parametrize(("reads", "number"), [(("layers",), 0), (("custom_keys",), 1), (None, 1)])
def test_keys_that_the_constructor_never_looks_at_are_not_looked_at(code, reads, number):
    keys = {"nope": {}, "ln1": {"decay_mul": 0.0}}
    constructor = Constructor("C", {"custom_keys": keys}, reads=reads)
    norm = make_parameter(reason=explained("base"))
    plan = make_plan(norm, constructor=constructor, optimizer=Optimizer("SGD", 0.1, 0.0, {}))
    assert len(found(code, plan)) == number


@pytest.mark.parametrize(
    ("base", "changes", "number"),
    [
        (0.05, {}, 1),
        (0.0, {}, 0),
        (0.05, {"lr": 0.0}, 0),
        (0.05, {"weight_decay": 0.01}, 0),
        (0.05, {"module_type": "Embedding"}, 0),
        (0.05, {"reason": explained("dwconv_decay_mult")}, 0),
    ],
)
def test_a_weight_without_decay_is_found_unless_that_is_meant(base, changes, number):
    fields = {"shape": (2, 2), "module_type": "Linear", "weight_decay": 0.0} | changes
    weight = make_parameter("head.weight", **fields)
    plan = make_plan(weight, optimizer=Optimizer("AdamW", 1e-3, base))
    findings = found("LLD105", plan)
    assert len(findings) == number
    assert not any(one.possible_fixes for one in findings)  # as no key is to blame
    assert found("LLD105", plan, may_decay=("head.*",)) == []


@pytest.mark.parametrize(
    ("kind", "message", "code", "said", "at", "ways"),
    [
        (
            "constructor-raises", "no x", "LLD401", "no x (try y)",
            ("optim_wrapper", "constructor"), [],
        ),
        (
            "constructor-raises", "it has no lr", "LLD401", "it has no lr (try y)",
            ("optim_wrapper", "optimizer"), [],
        ),
        (
            "constructor-raises", "it has no weight_decay", "LLD401",
            "it has no weight_decay (try y)", ("optim_wrapper", "optimizer"),
            [[Edit(("optim_wrapper", "optimizer", "weight_decay"), 0.0)]],
        ),
        (
            "parameter-in-two-groups", "no x", "LLD402", "no x", ("optim_wrapper", "constructor"),
            [[Edit(("optim_wrapper", "paramwise_cfg", "bypass_duplicate"), True)]],
        ),
        ("nothing-trainable", "no x", "LLD405", "no x", ("model",), []),
    ],
)  # fmt: skip
def test_what_a_constructor_raises_is_a_finding_of_one_rule(kind, message, code, said, at, ways):
    error = ConstructorError(message, hint="try y", kind=kind)
    (one,) = ((rule.code, f) for rule in all_rules() for f in rule.check_error(error))
    assert one[0] == code
    assert (one[1].message, one[1].entry, [fix.edits for fix in one[1].possible_fixes]) == (
        said,
        at,
        ways,
    )
    assert one[1].parameters == ()


def test_an_error_without_a_hint_is_told_as_it_is():
    error = ConstructorError("no x")
    assert [f.message for rule in all_rules() for f in rule.check_error(error)] == ["no x"]


@pytest.mark.parametrize(
    ("number", "said"), [(1, "1 tensor is in no"), (2, "2 tensors are in no"), (0, None)]
)
def test_what_no_group_holds_is_counted_and_named(number, said):
    left_out = tuple(UntrainedParameter(f"a.{i}", (1,), 1) for i in range(number))
    findings = found("LLD403", make_plan(left_out=left_out))
    assert [f.message.partition(" param")[0] for f in findings] == ([said] if said else [])
    assert [list(f.parameters) for f in findings] == ([[p.name for p in left_out]] if said else [])


@pytest.mark.parametrize(("number", "said"), [(1, "1 tensor is in"), (2, "2 tensors are in")])
def test_what_train_freezes_is_counted(number, said):
    members = (make_parameter(f"a.{i}", traits=("frozen_by_train",)) for i in range(number))
    (one,) = found("LLD404", make_plan(*members, make_parameter("b")))
    assert one.message.startswith(said)
    assert (one.entry, len(one.parameters)) == (("model",), number)


def test_a_plan_in_which_all_is_frozen_trains_nothing():
    frozen = make_parameter("a", traits=("frozen",))
    (one,) = found("LLD405", make_plan(frozen))
    assert one.message == "every parameter is frozen: training would change nothing"
    assert found("LLD405", make_plan(frozen, make_parameter("b"))) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([{}], None),
        ([{}, {}], "2 param groups with 1 distinct setting"),
        ([{}, {"lr": 7.0}], None),
        ([{}, {"weight_decay": 7.0}], None),
        ([{}, {"extras": {"eps": 1.0}}], None),
        ([{}, {}, {"lr": 7.0}], None),
        ([{}, {}, {"lr": 7.0}, {"lr": 7.0}], "4 param groups with 2 distinct settings"),
    ],
)
def test_groups_are_many_where_there_are_two_for_each_setting(settings, said):
    members = (make_parameter(f"a.{i}", group=i, **one) for i, one in enumerate(settings))
    assert [f.message for f in found("LLD406", make_plan(*members))] == ([said] if said else [])


def without(removed):
    """What leaving these custom keys out was measured to do."""
    return Effects({("custom_keys", key): effect for key, effect in removed.items()})


def keyed(*decays):
    """A plan with the custom keys `a.` and `b`, and tensors with this reason for their decay."""
    members = (
        make_parameter(f"a.b.{i}", reason=Reasons(Reason("base"), decay))
        for i, decay in enumerate(decays)
    )
    return make_plan(*members, constructor=Constructor("C", {"custom_keys": {"a.": {}, "b": {}}}))


@pytest.mark.parametrize(
    ("number", "said"), [(1, "the 1 tensor that it"), (2, "the 2 tensors that it")]
)
def test_a_redundant_key_is_found_where_leaving_it_out_has_no_effect(number, said):
    plan = keyed(*[Reason("custom_key", key="a.", misses=("custom_key:b",))] * number)
    (one,) = found("LLD303", plan, effects=without({"a.": Effect(), "b": Effect()}))
    assert said in one.message
    assert one.entry[-2:] == ("custom_keys", "a.")
    assert one.possible_fixes[0].is_noop
    has_effect = without({"a.": Effect(layers=1)})
    assert found("LLD303", plan, effects=has_effect) == found("LLD303", plan) == []


@pytest.mark.parametrize(
    ("number", "said"), [(1, "the 1 tensor that it"), (2, "the 2 tensors that it")]
)
def test_a_shadowed_key_is_told_with_the_keys_that_come_first(number, said):
    by_a = Reason("custom_key", key="a.", beats=("custom_key:b",), would_give=(0.05,))
    (one,) = found("LLD302", keyed(*[by_a] * number))
    assert f"'b' decides nothing: 'a.' comes first for {said} matches" in one.message
    assert one.entry[-2:] == ("custom_keys", "b")
    assert one.possible_fixes[0].is_noop
    by_b = Reason("custom_key", key="b", misses=("custom_key:a.",))
    assert found("LLD302", keyed(by_a, by_b)) == []
    by_c = Reason("custom_key", key="c", beats=("custom_key:b",), would_give=(0.05,))
    (one,) = found("LLD302", keyed(by_a, by_c))
    assert "decides nothing: 'a.' and 'c' come first for the 2 tensors" in one.message


@pytest.mark.parametrize(
    ("scheduler", "where", "instead"),
    [
        ({"eta_max": 1.0}, ["eta_max"], {}),
        ({}, [], {}),
        ({"eta_max": [1.0, 1.0]}, ["eta_max"], {}),
        ({"eta_max": [1.0, 2.0]}, None, None),
        ({"total_steps": 9, "begin": 1, "end": 8, "by_epoch": False, "pct_start": 0.3}, [],
         {"by_epoch": False, "begin": 1, "end": 8}),
        ({"total_steps": None, "end": 8}, [], {"end": 8}),
    ],
)  # fmt: skip
def test_a_cosine_in_the_place_of_one_cycle_runs_over_the_same_steps(scheduler, where, instead):
    plan = make_plan(make_parameter("a"), make_parameter("b", lr=7.0),
                     param_scheduler=[{"type": "OneCycleLR", **scheduler}])  # fmt: skip
    findings = found("LLD206", plan)
    if where is None:
        assert findings == []
        return
    (one,) = findings
    at = ("param_scheduler", "0")
    assert one.entry == (*at, *where)
    assert [fix.edits for fix in one.possible_fixes] == [
        [Edit(at, {"type": "CosineAnnealingLR", **instead})]
    ]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        (".cls_tokn", ".cls_token"),
        ("cls_tokn", "cls_token"),
        (".cls_tokn.", ".cls_token"),
        ("v_cls_token", None),
        ("backbone.layers.1", None),
        ("layrs.0.weight", "layers.0.weight"),
        ("layrs.1.weight", None),
        ("backbne.cls_token", "backbone.cls_token"),
        (".layrs.0", ".layers.0"),
        ("something", None),
    ],
)
def test_a_key_may_mean_a_part_of_a_name_of_as_many_parts(key, meant):
    assert near_part(key, ["backbone.cls_token", "backbone.layers.0.weight"]) == meant


@pytest.mark.parametrize(
    ("name", "options", "meant"),
    [
        ("llrd", ["norm_decay_mult", "decay_rate"], "decay_rate"),
        ("layer_decay_rate", ["lr_decay"], "lr_decay"),
        ("norm_decy_mult", ["bias_decay_mult", "norm_decay_mult"], "norm_decay_mult"),
        ("llrd", ["norm_decay_mult"], None),
    ],
)
def test_an_option_may_mean_one_of_nearly_its_name_or_of_its_meaning(name, options, meant):
    assert near(name, options) == meant


@pytest.mark.parametrize(
    ("constructor", "option"),
    [
        (Constructor("C", reads=("decay_rate",)), "decay_rate"),
        (Constructor("C", reads=("decay_rate", "layer_decay_rate")), "layer_decay_rate"),
        (Constructor("LearningRateDecayOptimizerConstructor"), "decay_rate"),
        (Constructor("C", bases=("LearningRateDecayOptimizerConstructor",)), "decay_rate"),
        (Constructor("LearningRateDecayOptimWrapperConstructor"), "layer_decay_rate"),
    ],
)
def test_the_rate_is_called_what_the_constructor_looks_for(constructor, option):
    assert rate_option(constructor) == option


@pytest.mark.parametrize(
    ("option", "reads", "meant"),
    [
        ("decay_rate", ("x", "layer_decay_rate"), "layer_decay_rate"),
        ("layer_decay_rate", ("decay_rate",), "decay_rate"),
        ("decay_rate", ("x",), None),
        ("num_layers", ("layer_decay_rate",), None),
    ],
)
def test_only_a_rate_has_another_name_elsewhere(option, reads, meant):
    assert same_meaning(option, reads) == meant


@pytest.mark.parametrize(
    ("options", "at", "why", "instead"),
    [
        ({}, ("optim_wrapper", "constructor"), "paramwise_cfg is empty",
         [[Edit((*CFG, "layer_decay_rate"), 0.75)]]),
        ({"x": 1}, CFG, "as there is no layer_decay_rate, which is 1 then",
         [[Edit((*CFG, "layer_decay_rate"), 0.75)]]),
        ({"layer_decay_rate": 1.0}, (*CFG, "layer_decay_rate"), "as layer_decay_rate is 1", []),
        ({"layer_decay_rate": 0}, (*CFG, "layer_decay_rate"), "as layer_decay_rate is 0", []),
        ({"layer_decay_rate": 0.5}, ("optim_wrapper", "constructor"), "depth function", []),
        ({"llrd": 0.5}, (*CFG, "llrd"), "is called layer_decay_rate here, not llrd",
         [[Edit((*CFG, "llrd"), DELETE), Edit((*CFG, "layer_decay_rate"), 0.5)]]),
    ],
)  # fmt: skip
def test_what_keeps_layers_from_decaying_is_told(options, at, why, instead):
    same = layers(a__0__w=1, a__1__w=2)
    plan = replace(same, constructor=Constructor("LayerDecay", options))
    (one,) = found("LLD201", plan)
    assert (one.entry, [fix.edits for fix in one.possible_fixes]) == (at, instead)
    assert why in one.message
    other = replace(plan.parameters[0], lr=7.0)
    assert found("LLD201", replace(plan, parameters=(other, *plan.parameters[1:]))) == []
    assert found("LLD201", replace(plan, parameters=plan.parameters[:1])) == []


@pytest.mark.parametrize(
    ("key", "severity"),
    [
        ("head", Severity.info),
        ("head.", Severity.info),
        ("head.fc", Severity.info),
        ("fc", Severity.warning),
    ],
)
def test_a_key_that_names_a_module_from_the_root_leaves_no_doubt(key, severity):
    weights = (
        make_parameter(f"head.fc.{name}", shape=(2, 2), module_type="Linear", weight_decay=0.0,
                       reason=explained("custom_key", key=key))
        for name in ("weight", "other")
    )  # fmt: skip
    (one,) = found("LLD105", make_plan(*weights))
    assert (one.severity, one.entry) == (severity, (*CFG, "custom_keys", key))
    assert (
        one.message == f"2 weights get no weight decay from {key!r}; the base weight decay is 0.05"
    )
    assert [fix.edits for fix in one.possible_fixes[:2]] == [
        [Edit((*one.entry, "decay_mult"), 1.0)], [Edit(one.entry, DELETE)]
    ]  # fmt: skip
    (longer,) = one.possible_fixes[2].edits  # as mmengine tries the longer key first
    assert len(longer.path[-1]) > len(key)


def test_an_entry_of_a_key_that_a_constructor_of_ones_own_may_read_is_not_found():
    key = {"custom_keys": {"ln1": {"mine": 1}}}
    for kind, rule, number in (
        ("Mine", "constructor", 0),
        ("Mine", "base", 1),
        ("DefaultOptimWrapperConstructor", "constructor", 1),
        ("LearningRateDecayOptimWrapperConstructor", "constructor", 1),
    ):
        plan = make_plan(
            make_parameter(reason=explained(rule)),
            constructor=Constructor(kind, key),
            optimizer=Optimizer("SGD", 0.1, 0.0, {}),
        )
        findings = found("LLD308", plan)
        assert len(findings) == number
        assert all(one.message.endswith("on the 1 tensor that the key matches") for one in findings)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"layer_decay_rate": 1.5}, ": layer_decay_rate is 1.5"),
        ({"layer_decay_rate": 1}, ""),
        ({"layer_decay_rate": "x"}, ""),
        ({}, ""),
    ],
)
def test_a_scale_above_one_is_told_with_the_rate_that_makes_it(options, why):
    scales = (make_parameter(f"a.{i}", lr_scale=scale) for i, scale in enumerate((1.0, 2.0, 4.0)))
    plan = make_plan(*scales, constructor=Constructor("LayerDecay", options))
    (one,) = found("LLD202", plan)
    assert one.message == f"2 tensors with an lr_scale above 1, up to 4.00{why}"


@pytest.mark.parametrize(
    ("keys", "number"),
    [
        ({"bn9": {"decay_mult": 0.0}}, 1),
        ({"bn9": {"decay_mult": 1.0}}, 0),
        ({"bn9": {}}, 0),
        ({"head": {"decay_mult": 0.0}}, 0),
    ],
)
def test_a_key_that_would_exclude_norms_and_matches_none_asks_for_them_to_be_excluded(keys, number):
    plan = make_plan(
        make_parameter(layer_id=None, traits=("norm",), reason=explained("base")),
        constructor=Constructor("DefaultOptimWrapperConstructor", {"custom_keys": keys}),
        optimizer=Optimizer("SGD", 1e-3, 0.05),
    )
    assert [one.severity for one in found("LLD101", plan)] == [Severity.error] * number


@pytest.mark.parametrize(
    ("names", "others", "free", "longer_than", "keys"),
    [
        (["x.ab.w"], [], [], 0, [".w"]),
        (["x.ab.w"], [], [], 2, [".ab."]),
        (["x.ab.w"], ["x.ab.v"], [], 0, [".w"]),
        (["x.a.w", "x.b.w"], ["y.w", "x.c.w"], [], 0, [".a.", ".b."]),
        (["x.a.w"], ["x.a.w2"], [], 0, None),
        ([f"{letter}.w" for letter in "abcde"], ["f.w"], [], 0, None),
        # A number at the end of the last part may be left out, where that saves keys.
        (["x.bn1.w", "x.bn2.w"], ["x.fc.w"], [], 0, [".bn"]),
        (["x.bn1.w"], ["x.fc.w"], [], 0, [".bn1."]),
        (["x.bn1.w", "x.bn2.w"], ["x.bn3.w"], [], 0, [".bn1.", ".bn2."]),
        (["x.g_1", "x.g_2"], ["x.fc.w"], [], 0, [".g_1", ".g_2"]),
        (["x.0.0.w"], ["x.1.v"], [], 0, [".w"]),
        (["x.l.0.0.w", "x.l.1.0.w"], ["x.a.w", "x.l.1.1.w"], [], 0, [".l.0.", ".l.1.0."]),
        # What may be matched as well is not, unless it takes too many keys otherwise.
        (["x.a.w"], ["y.w"], ["x.b.w"], 0, [".a."]),
        ([f"x.{c}.w" for c in "abcde"], ["y.w"], ["x.f.w"], 0, ["x."]),
        ([f"x.{c}.w" for c in "abcde"], ["y.w"], [f"x.{c}.w" for c in "fghijk"], 0, None),
    ],
)  # fmt: skip
def test_a_few_keys_match_these_names_and_no_other(names, others, free, longer_than, keys):
    index = NameIndex([*names, *others, *free])
    assert covering_keys(index, names, free, longer_than=longer_than) == keys


def test_keys_for_many_thousands_of_names_are_found_in_seconds():
    names = [
        f"backbone.stages.{stage}.blocks.{block}.attn.w_msa.{module}.{kind}"
        for stage in range(8)
        for block in range(300)
        for module in ("qkv", "proj", "ln1", "ln2")
        for kind in ("weight", "bias")
    ]
    index, start = NameIndex(names), time.monotonic()
    assert covering_keys(index, [name for name in names if ".ln" in name]) == [".ln"]
    assert covering_keys(index, names[::7]) is None
    assert time.monotonic() - start < 20


def test_a_key_undoes_the_option_that_would_be_next():
    undone = [
        explained("custom_key", key="a", beats=beats, would_give=would)
        for beats, would in (
            (("bias_decay_mult",), (0.0,)),
            (("norm_decay_mult", "flat_decay_mult"), (0.0, 0.0)),
            (("custom_key:b", "norm_decay_mult"), (0.05, 0.0)),
            (("norm_decay_mult", "flat_decay_mult"), (0.05, 0.0)),
            ((), ()),
        )
    ]
    members = (make_parameter(f"a.{i}", reason=reason) for i, reason in enumerate(undone))
    (one,) = found("LLD307", make_plan(*members, make_parameter("b", reason=explained("base"))))
    assert list(one.parameters) == ["a.0", "a.1", "a.2"]
    assert one.message == (
        "custom key 'a' undoes bias_decay_mult and norm_decay_mult: "
        "3 tensors would get no weight decay without it"
    )


@pytest.mark.parametrize(
    ("name", "module_type", "shape", "kind"),
    [
        ("pos_embed", "ViT", (1, 9, 4), "embedding"),
        ("pos_embed.0", "ParameterList", (1, 9, 4), "embedding"),
        ("pos_embed.weight", "Embedding", (9, 4), "embedding"),
        ("pos_embed.weight", "Linear", (9, 4), "weight"),
        ("pos_embed.other", "Embedding", (9, 4), "weight"),
        ("words.weight", "Embedding", (9, 4), "weight"),
        ("norm.weight", "RMSNorm", (4, 1), "norm"),
        ("norm.weight", "Normalizer", (4,), "vector"),
        ("norm.proj", "RMSNorm", (4, 4), "weight"),
        ("q_bias", "Attention", (4,), "bias"),
        ("bias", "Table", (4, 4), "weight"),
        ("gamma", "Block", (4,), "vector"),
        ("scale", "Block", (4, 1, 1), "scale"),
        ("weight", "Conv2d", (4, 1, 1, 1), "weight"),
        ("weight", "QuantLinear", (1, 4), "weight"),
    ],
)
def test_a_parameter_is_of_the_first_kind_that_its_name_module_and_shape_say(
    name, module_type, shape, kind
):
    assert kind_of(make_parameter(name, module_type=module_type, shape=shape)) == kind

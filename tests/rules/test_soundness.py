"""The rules on configs that they were not written for: no false alarm, no miss, no harmful mend."""

import json
from pathlib import Path

import pytest
from conftest import TINY_VIT
from pasting import pasted

MODEL = TINY_VIT[: TINY_VIT.index("optim_wrapper")]
RESNET = """
_base_ = []
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier', backbone=dict(type='ResNet', depth=50),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=2048))
"""
SWIN_V2 = """
_base_ = []
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='SwinTransformerV2', arch='tiny', img_size=64, window_size=[2, 2, 2, 2]),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=768))
"""
SGD = "optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)"
ADAMW = "optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05)"
LAYERS = f"{ADAMW}, constructor='LearningRateDecayOptimWrapperConstructor'"
SPARED = """norm_decay_mult=0., bias_decay_mult=0., custom_keys={
    '.cls_token': dict(decay_mult=0.), '.pos_embed': dict(decay_mult=0.)%s}"""


def wrapper(what, options):
    return f"optim_wrapper = dict({what}, paramwise_cfg=dict({options}))\n"


SOUND = MODEL + wrapper(LAYERS, "layer_decay_rate=0.75, " + SPARED % "")
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


def test_more_rules_take_no_mend_away(check):
    text = MODEL + wrapper(LAYERS, "layer_decay_rate=0.75")
    few, all_of_them = check(text), check(text, "--select", "ALL")
    assert [f["suggestion"] for f in few] == [f["suggestion"] for f in all_of_them]


def test_depth_that_is_not_implemented_says_so(check):
    text = RESNET.replace("depth=50", "depth=18") + wrapper(LAYERS, "layer_decay_rate=.7")
    (finding,) = check(text)
    assert "get_layer_depth" in finding["message"]


def test_scheduler_in_a_list_has_its_own_place_and_mend(check):
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
        MODEL + wrapper(ADAMW, "bias_decay_mult=0., custom_keys={'head': dict(lr_mult=10.)}"),
        MODEL + wrapper(ADAMW, "custom_keys={'head': dict(decay_mult=0., lr_mult=10.)}"),
        MODEL + wrapper(LAYERS, "layer_decay_rate=.75, norm_decay_mult=0., bias_decay_mult=0., "
                        "custom_keys=dict(backbone=dict(), attn=dict(decay_mult=.5))"),
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
def test_mends_that_open_the_same_dict_are_one(check, tmp_path, text):
    before = check(text)
    mends = {f["suggestion"] for f in before if "custom_keys" in (f["suggestion"] or "")}
    assert len(mends) == 1
    mended = {f["code"] for f in before if f["suggestion"] in mends}
    after = check(pasted(mends.pop(), tmp_path / "config.py"))
    assert mended.isdisjoint(codes(after))


def test_two_schedulers_with_one_fault_are_mended_one_by_one(check):
    one = "dict(type='CosineAnnealingLR', eta_min=1e-4, %s, T_max=5)"
    text = SOUND + f"param_scheduler = [{one % 'end=5'}, {one % 'begin=5'}]"
    assert ["ratio" in f["suggestion"] for f in check(text)] == [True, True]


def test_misspelt_option_is_mended_though_that_uncovers_another(check):
    text = SOUND.replace("layer_decay_rate=0.75", "layer_decay_rat=0.3")
    text += "param_scheduler = dict(type='PolyLR', eta_min=2e-5, end=9)"
    assert all("layer_decay_rate=0.3," in f["suggestion"] for f in check(text))


@pytest.mark.parametrize("name", ["config.yaml", "config.json"])
def test_mends_of_yaml_and_json_are_in_their_language(check, name, tmp_path):
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

"""Where parameters start, as mmengine's own Runner loads them."""

import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from loading import (
    FILL,
    backbone_only,
    bare,
    beit,
    classifier,
    config_of,
    deit3,
    halved,
    in_module,
    nested,
    pretrained_names,
    really_loaded,
    resnet,
    saved,
    starts,
    swin,
    swin_v2,
    vit,
    wrapped,
)

import lldtool
from lldtool.checkpoint import read_checkpoint


class OldScipy:
    """`scipy.interpolate`, of which mmpretrain calls what newer releases no longer have."""

    @staticmethod
    def interp2d(x, y, z, kind):
        return lambda dx, dy: np.full((len(dy), len(dx)), z.mean())


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    # mmengine's checkpoints are no plain weights, which is all that torch loads since 2.6.
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    scipy = types.ModuleType("scipy")
    scipy.interpolate = OldScipy
    monkeypatch.setitem(sys.modules, "scipy", scipy)


LOADED_FROM = {
    "the same": (vit(), vit(), wrapped),
    "bare weights": (vit(), vit(), bare),
    "no backbone prefix": (vit(), vit(), backbone_only),
    "model nesting": (vit(), vit(), nested),
    "module prefix": (vit(), vit(), in_module),
    "another image size": (vit(), vit(img_size=64), wrapped),
    "another head": (vit(), vit(classes=7), wrapped),
    "half": (vit(), vit(), halved),
    "resnet": (resnet(), resnet(classes=7), wrapped),
    "a deeper resnet": (resnet(), resnet(depth=34), halved),
    "swin": (swin(), swin(classes=3), wrapped),
    "swin, another window": (swin(), swin(window_size=2), wrapped),
    "swin v2, another window": (swin_v2(), swin_v2(img_size=64, window_size=8), wrapped),
    "beit": (beit(), beit(img_size=64, classes=7), wrapped),
    "beit, shared table": (
        beit(use_shared_rel_pos_bias=True, use_rel_pos_bias=False),
        beit(img_size=64, use_shared_rel_pos_bias=True, use_rel_pos_bias=False), wrapped,
    ),
    "beit from a shared table": (
        beit(use_shared_rel_pos_bias=True, use_rel_pos_bias=False), beit(), wrapped,
    ),
    "deit3": (deit3(), deit3(img_size=64), wrapped),
    "another architecture": (resnet(), vit(), wrapped),
}  # fmt: skip


def pretrained(**options):
    return dict(type="Pretrained", checkpoint="checkpoint.pth", **options)


def lora(init_cfg):
    """A model that initialises a part of itself while it is built."""
    module = {**vit()["backbone"], "init_cfg": init_cfg}
    return classifier("LoRAModel", 192, rank=4, targets=[{"type": "qkv"}], module=module)


TRUNCATED = {"type": "TruncNormal", "layer": "Linear", "std": 0.02}
BY_INIT_CFG = {
    "with prefix": (vit(init_cfg=pretrained(prefix="backbone.")), wrapped, "backbone."),
    "without dot": (vit(init_cfg=pretrained(prefix="backbone")), bare, "backbone"),
    "of the backbone alone": (vit(init_cfg=pretrained()), backbone_only, None),
    "full without prefix": (vit(init_cfg=pretrained()), wrapped, None),
    "under model": (vit(init_cfg=pretrained()), nested, None),
    "under module": (vit(init_cfg=pretrained()), in_module, None),
    "among others": (vit(init_cfg=[pretrained(prefix="backbone"), TRUNCATED]), wrapped, "backbone"),
    "another image size": (vit(64, init_cfg=pretrained(prefix="backbone")), wrapped, "backbone"),
    "of the model": (dict(vit(), init_cfg=pretrained()), wrapped, None),
    "while it is built": (lora(pretrained(prefix="backbone")), wrapped, "backbone"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOADED_FROM)
def test_start_is_what_the_runner_loads_from_load_from(name, tmp_path):
    source, model, form = LOADED_FROM[name]
    checkpoint = tmp_path / "checkpoint.pth"
    saved(checkpoint, source, form)
    config = config_of(model, tmp_path, load_from=str(checkpoint))
    plan = lldtool.dry_run(config)
    assert pretrained_names(plan) == really_loaded(config, tmp_path)
    assert None not in starts(plan).values()
    (loaded,) = plan.loaded
    filled = [*starts(plan).values()].count("pretrained")
    assert (loaded.by, loaded.tensors + loaded.buffers) == ("load_from", filled)


@pytest.mark.parametrize("name", BY_INIT_CFG)
def test_start_is_what_the_runner_loads_by_init_cfg(name, tmp_path, monkeypatch):
    model, form, prefix = BY_INIT_CFG[name]
    monkeypatch.chdir(tmp_path)
    saved("checkpoint.pth", vit(), form)
    config = config_of(model, tmp_path)
    plan = lldtool.dry_run(config)
    assert pretrained_names(plan) == really_loaded(config, tmp_path)
    (loaded,) = plan.loaded
    assert (loaded.by, loaded.prefix) == ("init_cfg", prefix)
    modules = {"of the model": "", "while it is built": "backbone.module"}
    assert loaded.module == modules.get(name, "backbone")


def test_load_from_comes_after_init_cfg(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved("checkpoint.pth", vit(), backbone_only)
    saved("head.pth", vit(classes=7), lambda w: {n: w[n] for n in w if "head" in n})
    config = config_of(vit(init_cfg=pretrained()), tmp_path, load_from="head.pth")
    plan = lldtool.dry_run(config)
    assert pretrained_names(plan) == really_loaded(config, tmp_path)
    assert {p.name: p.checkpoint_shape for p in plan.parameters if p.start == "mismatched"} == {
        "head.fc.weight": (7, 192), "head.fc.bias": (7,),
    }  # fmt: skip
    assert [(x.by, x.tensors, x.unexpected) for x in plan.loaded] == [
        ("init_cfg", 150, ()), ("load_from", 0, ()),
    ]  # fmt: skip


def test_keys_that_nothing_took_are_listed(tmp_path):
    saved(tmp_path / "a.pth", vit(), lambda w: {"model": w, "epoch": 3})
    saved(tmp_path / "b.pth", resnet(), lambda w: {n: w[n] for n in [*w][:2]})
    for name, keys in (
        ("a.pth", ("model",)),
        ("b.pth", ("backbone.conv1.weight", "backbone.bn1.weight")),
    ):
        config = config_of(vit(), tmp_path, load_from=str(tmp_path / name))
        assert lldtool.dry_run(config).loaded[0].unexpected == keys


def test_prefix_that_no_tensor_has_is_the_error_that_training_raises(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved("checkpoint.pth", vit(), backbone_only)
    config = config_of(vit(init_cfg=pretrained(prefix="backbone.")), tmp_path)
    with pytest.raises(AssertionError, match="is not in the pretrained model"):
        really_loaded(config, tmp_path)
    with pytest.raises(lldtool.LldtoolError) as raised:
        lldtool.dry_run(config)
    assert "AssertionError: backbone. is not in the pretrained model" in str(raised.value)
    assert "first tensor is cls_token" in str(raised.value)


def test_start_is_unknown_for_what_is_not_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "https://download.openmmlab.com/mae.pth"
    model = vit(init_cfg={"type": "Pretrained", "checkpoint": url, "prefix": "backbone."})
    plan = lldtool.dry_run(config_of(model, tmp_path))
    assert set(starts(plan).values()) == {None}
    assert plan.loaded is None
    assert [url in note for note in plan.notes].count(True) == 1
    saved("head.pth", vit(), lambda w: {"head.fc.weight": w["head.fc.weight"]})
    plan = lldtool.dry_run(config_of(model, tmp_path, load_from="head.pth"))
    found = starts(plan)
    assert {n: s for n, s in found.items() if "head" in n} == {
        "head.fc.weight": "pretrained", "head.fc.bias": "missing",
    }  # fmt: skip
    assert {s for n, s in found.items() if "backbone" in n} == {None}


def test_nothing_is_loaded_where_no_checkpoint_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("lldtool.dryrun.starts.Loading", None)
    plan = lldtool.dry_run(config_of(vit(), tmp_path))
    assert (plan.loaded, plan.buffers, set(starts(plan).values())) == ((), (), {None})


def test_resumed_weights_are_told_apart(tmp_path):
    saved(tmp_path / "a.pth", vit(), wrapped)
    config = config_of(vit(), tmp_path, load_from=str(tmp_path / "a.pth"), resume=True)
    assert set(starts(lldtool.dry_run(config)).values()) == {"resumed"}


OWN = """
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

@MODELS.register_module(force=True)
class OwnLoader(BaseModel):
    def __init__(self, init_cfg=None, data_preprocessor=None):
        super().__init__(init_cfg=init_cfg)
        names = ('student', 'teacher', 'filled', 'scaled', 'assigned', 'head')
        for name in names:
            setattr(self, name, nn.Linear(40, 40))
        self.register_buffer('kept', torch.zeros(3))

    def init_weights(self):
        weights = CheckpointLoader.load_checkpoint(self.init_cfg['checkpoint'])['model']
        weights['assigned.weight'] = weights.pop('other.weight').float()
        self.load_state_dict(weights, strict=False)
        self.assigned.bias = nn.Parameter(weights['assigned.bias'].clone())
        self.teacher.load_state_dict(self.student.state_dict())
        nn.init.trunc_normal_(self.filled.weight, std=0.02)
        self.filled.bias.data.zero_()
        self.scaled.weight.data.mul_(1.0)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs
"""


def test_start_follows_what_the_models_own_code_loads_copies_and_fills(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_loader.py").write_text(OWN)
    square, bias = torch.full((40, 40), FILL).half(), torch.full((40,), FILL).half()
    weights = {"kept": torch.full((3,), FILL), "other.weight": square, "assigned.bias": bias}
    for name in ("student", "filled", "scaled", "extra"):
        weights |= {f"{name}.weight": square, f"{name}.bias": bias}
    torch.save({"model": weights}, "checkpoint.pth")
    model = {"type": "OwnLoader", "init_cfg": pretrained()}
    config = config_of(model, tmp_path, custom_imports={"imports": ["own_loader"]})
    plan = lldtool.dry_run(config)
    missing = {name for name, start in starts(plan).items() if start == "missing"}
    assert missing == {"filled.weight", "filled.bias", "head.weight", "head.bias"}
    assert pretrained_names(plan) == really_loaded(config, tmp_path)
    assert plan.loaded[0].unexpected == ("extra.weight", "extra.bias")


@pytest.mark.parametrize("version", ["0.5.3", None])
def test_safetensors_are_loaded_by_a_torch_that_can(tmp_path, monkeypatch, version):
    path = tmp_path / "a.safetensors"
    saved(path, vit(), bare)
    found = replace(read_checkpoint(path), format="safetensors")
    monkeypatch.setattr("lldtool.dryrun.loading.read_checkpoint", lambda *_: found)
    monkeypatch.setattr("lldtool.dryrun.refusals.installed_version", lambda _: version)
    plan = lldtool.dry_run(config_of(vit(), tmp_path, load_from=str(path)))
    assert set(starts(plan).values()) == {"pretrained"}
    assert any("pip install safetensors" in note for note in plan.notes) is (version is None)


@pytest.mark.parametrize("forced", [True, False])
def test_checkpoint_that_torch_refuses_is_a_note(tmp_path, monkeypatch, forced):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1" if forced else "0")
    saved(tmp_path / "a.pth", vit(), lambda w: {"state_dict": w, "meta": Path("x")})
    plan = lldtool.dry_run(config_of(vit(), tmp_path, load_from=str(tmp_path / "a.pth")))
    assert set(starts(plan).values()) == {"pretrained"}
    assert any("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1" in note for note in plan.notes) is not forced

"""Where parameters start, as mmengine's own Runner loads them."""

import sys
import types
from itertools import chain

import numpy as np
import pytest
import torch
from conftest import SAMPLES, TINY_VIT
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from runners import runner_of

import lldtool

#: What all tensors of a checkpoint are filled with; no initialisation gives it.
FILL = 7.25


def vit(img_size=32, classes=10, **backbone):
    return classifier(
        dict(type="VisionTransformer", arch="deit-tiny", img_size=img_size, patch_size=16), 192,
        classes, **backbone,
    )  # fmt: skip


def resnet(depth=18, classes=10, **backbone):
    stem = dict(type="ResNet", depth=depth, stem_channels=8, base_channels=8)
    return classifier(stem, 64, classes, neck=dict(type="GlobalAveragePooling"), **backbone)


def swin(img_size=32, window_size=4, classes=10, **backbone):
    arch = dict(embed_dims=8, depths=[1, 2], num_heads=[2, 2])
    return classifier(
        dict(type="SwinTransformer", arch=arch, img_size=img_size, window_size=window_size,
             out_indices=[1]),
        16, classes, neck=dict(type="GlobalAveragePooling"), **backbone,
    )  # fmt: skip


def swin_v2(img_size=32, window_size=4, classes=10, **backbone):
    arch = dict(embed_dims=8, depths=[1, 2], num_heads=[2, 2], extra_norm_every_n_blocks=0)
    kind = dict(type="SwinTransformerV2", arch=arch, img_size=img_size, window_size=window_size)
    kind["out_indices"] = [1]
    neck = dict(type="GlobalAveragePooling")
    return classifier(kind, 16, classes, neck=neck, **backbone)


def beit(img_size=32, classes=10, **backbone):
    arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    kind = dict(type="BEiTViT", arch=arch, img_size=img_size, patch_size=8)
    return classifier(kind, 16, classes, **backbone)


def deit3(img_size=32, classes=10, **backbone):
    arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    return classifier(
        dict(type="DeiT3", arch=arch, img_size=img_size, patch_size=8), 16, classes, **backbone
    )


def classifier(backbone, channels, classes, neck=None, **changes):
    return dict(
        type="ImageClassifier",
        backbone={**backbone, **changes},
        neck=neck,
        head=dict(type="LinearClsHead", num_classes=classes, in_channels=channels),
    )


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


def built(model):
    if not MODELS.children.get("mmpretrain"):
        lldtool.dry_run(SAMPLES / "vit-small_pure-python.py")
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        return MODELS.build(dict(model, _scope_="mmpretrain"))


def saved(path, model, form):
    """Save a checkpoint of a model in which all values are the same."""
    weights = {
        name: torch.full_like(tensor, FILL) for name, tensor in built(model).state_dict().items()
    }
    torch.save(form(weights), path)


def config_of(model, folder, **entries):
    optimizer = dict(type="AdamW", lr=1e-3, weight_decay=0.05)
    Config(
        dict(
            default_scope="mmpretrain",
            model=model,
            optim_wrapper=dict(optimizer=optimizer),
            **entries,
        )
    ).dump(folder / "config.py")
    return folder / "config.py"


def really_loaded(config, folder):
    """The names of the tensors that the real Runner fills from the checkpoint."""
    runner = runner_of(Config.fromfile(config), folder / "work", load_from=_load_from(config))
    runner.model.init_weights()
    runner.load_or_resume()
    return {
        name
        for name, tensor in chain(runner.model.named_parameters(), runner.model.named_buffers())
        if tensor.numel() and torch.isclose(tensor.float(), torch.full_like(tensor, FILL).float()).all()
    }  # fmt: skip


def _load_from(config):
    return Config.fromfile(config).get("load_from", None)


def starts(plan):
    return {p.name: p.start for p in (*plan.every_parameter, *plan.buffers)}


def pretrained_names(plan):
    return {name for name, start in starts(plan).items() if start == "pretrained"}


def wrapped(weights):
    return {"state_dict": weights, "meta": {"epoch": 3}}


def bare(weights):
    return weights


def backbone_only(weights):
    return {n.removeprefix("backbone."): w for n, w in weights.items() if "backbone." in n}


def nested(weights):
    return {"model": weights}


def in_module(weights):
    return {"state_dict": {f"module.{name}": weight for name, weight in weights.items()}}


def halved(weights):
    return {
        "state_dict": {
            n: w for i, (n, w) in enumerate(weights.items()) if i % 2 or "running" in n
        } | {"extra.weight": torch.ones(2)}
    }  # fmt: skip


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
    module = dict(vit()["backbone"], init_cfg=init_cfg)
    kind = dict(type="LoRAModel", rank=4, targets=[dict(type="qkv")], module=module)
    return classifier(kind, 192, 10)


TRUNCATED = dict(type="TruncNormal", layer="Linear", std=0.02)
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
    with pytest.raises(AssertionError, match="backbone. is not in the pretrained model"):
        really_loaded(config, tmp_path)
    with pytest.raises(lldtool.LldtoolError) as raised:
        lldtool.dry_run(config)
    assert "AssertionError: backbone. is not in the pretrained model" in str(raised.value)
    assert "first tensor is cls_token" in str(raised.value)


def test_start_is_unknown_for_what_is_not_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = "https://download.openmmlab.com/mae.pth"
    model = vit(init_cfg=dict(type="Pretrained", checkpoint=url, prefix="backbone."))
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

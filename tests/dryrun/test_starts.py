"""Where parameters start, as mmengine's own Runner loads them."""

import sys
import types

import numpy as np
import pytest
import torch
from conftest import SAMPLES, TINY_VIT
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint
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


def classifier(backbone, channels, classes, neck=None, init_cfg=None, **changes):
    model = dict(
        type="ImageClassifier",
        backbone={**backbone, **changes},
        neck=neck,
        head=dict(type="LinearClsHead", num_classes=classes, in_channels=channels),
    )
    return {**model, "init_cfg": init_cfg} if init_cfg else model


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
        for name, tensor in runner.model.state_dict().items()
        if tensor.numel() and torch.isclose(tensor.float(), torch.full_like(tensor, FILL).float()).all()
    }  # fmt: skip


def _load_from(config):
    return Config.fromfile(config).get("load_from", None)


def starts(plan):
    return {p.name: p.start for p in (*plan.every_parameter, *plan.buffers)}


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


@pytest.mark.parametrize("name", LOADED_FROM)
def test_start_is_what_the_runner_loads_from_load_from(name, tmp_path):
    source, model, form = LOADED_FROM[name]
    checkpoint = tmp_path / "checkpoint.pth"
    saved(checkpoint, source, form)
    config = config_of(model, tmp_path, load_from=str(checkpoint))
    plan = lldtool.dry_run(config)
    found = starts(plan)
    assert {n for n, start in found.items() if start == "pretrained"} == really_loaded(
        config, tmp_path
    )
    assert None not in found.values()
    (loaded,) = plan.loaded
    filled = [*found.values()].count("pretrained")
    assert (loaded.by, loaded.tensors + loaded.buffers) == ("load_from", filled)

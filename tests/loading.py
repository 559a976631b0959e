"""Checkpoints of small models, filled with one value, and what a real Runner loads of them."""

import torch
from conftest import SAMPLES
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from runners import runner_of

import lldtool

#: What all tensors of a checkpoint are filled with; no initialisation gives it.
FILL = 7.25


HIERARCHY = {"embed_dims": 8, "depths": [1, 2], "num_heads": [2, 2]}
PLAIN = {"embed_dims": 16, "num_layers": 2, "num_heads": 2, "feedforward_channels": 32}


def vit(img_size=32, **changes):
    return classifier("VisionTransformer", 192, img_size=img_size, patch_size=16, **{
        "arch": "deit-tiny", **changes
    })  # fmt: skip


def resnet(depth=18, **changes):
    return classifier("ResNet", 64, depth=depth, stem_channels=8, base_channels=8, **changes)


def swin(window_size=4, **changes):
    return classifier("SwinTransformer", 16, arch=HIERARCHY, window_size=window_size, **{
        "img_size": 32, "out_indices": [1], **changes
    })  # fmt: skip


def swin_v2(img_size=32, **changes):
    arch = {**HIERARCHY, "extra_norm_every_n_blocks": 0}
    return classifier(
        "SwinTransformerV2", 16, arch=arch, img_size=img_size, out_indices=[1], **changes
    )


def beit(img_size=32, **changes):
    return classifier("BEiTViT", 16, arch=PLAIN, img_size=img_size, patch_size=8, **changes)


def deit3(img_size=32):
    return classifier("DeiT3", 16, arch=PLAIN, img_size=img_size, patch_size=8)


def classifier(kind, channels, *, classes=10, **backbone):
    has_maps = kind.startswith(("ResNet", "Swin"))
    return {
        "type": "ImageClassifier",
        "backbone": {"type": kind, **backbone},
        "neck": {"type": "GlobalAveragePooling"} if has_maps else None,
        "head": {"type": "LinearClsHead", "num_classes": classes, "in_channels": channels},
    }


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
    optimizer = {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05}
    Config(
        dict(
            default_scope="mmpretrain",
            model=model,
            optim_wrapper={"optimizer": optimizer},
            **entries,
        )
    ).dump(folder / "config.py")
    return folder / "config.py"


def really_loaded(config, folder):
    """The names of the tensors that the real Runner fills from the checkpoint."""
    content = Config.fromfile(config)
    load_from = content.get("load_from", None)
    runner = runner_of(content, folder / "work", load_from=load_from)
    runner.model.init_weights()
    runner.load_or_resume()
    return {
        name
        for tensors in (runner.model.named_parameters(), runner.model.named_buffers())
        for name, tensor in tensors
        if torch.isclose(tensor.float(), torch.full_like(tensor, FILL).float()).all()
    }


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

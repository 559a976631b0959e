"""The rules' examples: named base configs with small models, and what differs from them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from lldtool.text import literal

Config = Mapping[str, Any]
#: The file with the weights of an example.
CHECKPOINT = "checkpoint.pth"
#: Name -> where the code of an example imports it from.
_IMPORTS = {
    "Hook": "mmengine.hooks",
    "BaseModel": "mmengine.model",
    "DefaultOptimWrapperConstructor": "mmengine.optim",
    "HOOKS": "mmengine.registry",
    "OPTIM_WRAPPER_CONSTRUCTORS": "mmengine.registry",
    "LinearClsHead": "mmpretrain.models",
    "VisionTransformer": "mmpretrain.models",
    "MODELS": "mmpretrain.registry",
    "Linear": "torch.nn",
}


@dataclass(frozen=True)
class Base:
    """A config that examples start from: a name in `MODELS`, and its `optim_wrapper`."""

    model: str
    optim_wrapper: Config


@dataclass(frozen=True)
class Example:
    """A config that a rule passes or finds something in, as what differs from a base.

    `paramwise_cfg` has options of `optim_wrapper.paramwise_cfg`; `config` has other entries, named
    as in `--cfg-options`: `{"model.backbone.depth": 18}`. Both are merged into the base as mmengine
    merges a config into its `_base_`, `_delete_` included. `model` replaces the base's model.
    `code` is the source of a module `my_code` that the config imports, without its imports;
    `settings` are lldtool's settings, in TOML.

    With `weights`, the config loads `checkpoint.pth`. It has the weights of the model, with these
    regular expressions replaced in their names; those that are left without a name are not in it.
    `weights_of` are entries of the config in which that model differs, `classes` those that it was
    trained for.

    With `resumed`, the config resumes from `checkpoint.pth`, which training saved after an epoch
    with a config that differs in these entries.
    """

    base: Base
    paramwise_cfg: Config = field(default_factory=dict)
    _: KW_ONLY
    model: str = ""
    config: Config = field(default_factory=dict)
    code: str = ""
    settings: str = ""
    weights: Mapping[str, str] | None = None
    weights_of: Config = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    resumed: Config | None = None

    @property
    def module(self) -> str:
        """The whole module, with its imports."""
        names = [name for name in _IMPORTS if re.search(rf"\b{name}\b", self.code)]
        sources = itertools.groupby(names, _IMPORTS.__getitem__)
        lines = [f"from {source} import {', '.join(used)}\n" for source, used in sources]
        return f"{''.join(lines)}\n\n{self.code}" if self.code else ""

    def renamed(self, name: str) -> str:
        """Return the name of a weight in the checkpoint; empty where it is not in it."""
        for pattern, replacement in (self.weights or {}).items():
            name = re.sub(pattern, replacement, name)
        return name

    @property
    def about_checkpoint(self) -> str:
        """What is in the checkpoint, as a comment; empty where there is none."""
        if self.resumed is not None:
            entries = [f"{k} = {literal(v)}" for k, v in self.resumed.items()]
            which = f"with {'; '.join(entries)}" if entries else "with this config"
            return f"# {CHECKPOINT} was saved after an epoch of a training {which}.\n"
        if self.weights is None:
            return ""
        changes = [f"{k} = {literal(v)}" for k, v in self.weights_of.items()]
        changes += [f"{k!r} → {v!r} in their names" for k, v in self.weights.items()]
        changes += [f"for the classes {', '.join(self.classes)}"] if self.classes else []
        return f"# {CHECKPOINT} has the weights of this model{'; '.join(['', *changes])}.\n"

    @property
    def text(self) -> str:
        """The whole config."""
        config: Config = {
            **({"custom_imports": {"imports": ["my_code"]}} if self.code else {}),
            "default_scope": "mmpretrain",
            "model": MODELS[self.model or self.base.model],
            "optim_wrapper": self.base.optim_wrapper,
            **({} if self.weights is None else {"load_from": CHECKPOINT}),
            **({} if self.resumed is None else {"load_from": CHECKPOINT, "resume": True}),
        }
        for path, value in self.config.items():
            config = _merged(config, _nested(path, value))
        if self.paramwise_cfg:
            config = _merged(config, _nested("optim_wrapper.paramwise_cfg", self.paramwise_cfg))
        return "".join(f"{name} = {literal(value)}\n" for name, value in config.items())


def keys(*names: str, **options: object) -> Config:
    """Return `custom_keys` of these names, all with the same options."""
    return {"custom_keys": dict.fromkeys(names, options)}


def _nested(path: str, value: object) -> Config:
    """`a.b` -> `{"a": {"b": value}}`."""
    name, _, rest = path.partition(".")
    return {name: _nested(rest, value) if rest else value}


def _merged(base: Any, change: Any) -> Any:  # noqa: ANN401
    """The base with a change: dicts are merged, anything else is replaced."""
    if not isinstance(change, Mapping):
        return change
    if not isinstance(base, Mapping) or "_delete_" in change:
        return {key: value for key, value in change.items() if key != "_delete_"}
    return {**base, **{key: _merged(base.get(key), value) for key, value in change.items()}}


def _classifier(in_channels: int, **backbone: object) -> Config:
    head = {"type": "LinearClsHead", "num_classes": 10, "in_channels": in_channels}
    return {"type": "ImageClassifier", "backbone": backbone, "head": head}


_DEIT = {"arch": "deit-tiny", "img_size": 32, "patch_size": 16}
_THREE_BLOCKS = {"embed_dims": 64, "num_layers": 3, "num_heads": 2, "feedforward_channels": 64}

MODELS = {
    "vit": _classifier(192, type="VisionTransformer", **_DEIT),
    "vit-distilled": _classifier(192, type="DistilledVisionTransformer", **_DEIT),
    "beit": _classifier(
        64,
        type="BEiTViT",
        arch=_THREE_BLOCKS,
        img_size=32,
        patch_size=16,
        use_abs_pos_emb=False,
        use_rel_pos_bias=True,
    ),
    "swin": _classifier(768, type="SwinTransformer", arch="tiny", img_size=64, window_size=2),
    "convnext": _classifier(320, type="ConvNeXt", arch="atto"),
    "convnext-v2": _classifier(
        320, type="ConvNeXt", arch="atto", use_grn=True, layer_scale_init_value=0.0
    ),
    "resnet": _classifier(2048, type="ResNet", depth=50, num_stages=4),
}

_SGD = {"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}}
_ADAMW = {"optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05}}
_LAYER_DECAY = {**_ADAMW, "constructor": "LearningRateDecayOptimWrapperConstructor"}
_WITH_RATE = {"layer_decay_rate": 0.75}
_NO_DECAY = {
    "norm_decay_mult": 0.0,
    "bias_decay_mult": 0.0,
    "flat_decay_mult": 0.0,
    "custom_keys": {".cls_token": {"decay_mult": 0.0}, ".pos_embed": {"decay_mult": 0.0}},
}

#: Two epochs of warm-up and a cosine, in a training of ten.
SCHEDULED: Config = {
    "train_cfg": {"by_epoch": True, "max_epochs": 10},
    "param_scheduler": [
        {"type": "LinearLR", "start_factor": 0.01, "begin": 0, "end": 2},
        {"type": "CosineAnnealingLR", "eta_min_ratio": 0.01, "begin": 2, "end": 10},
    ],
}

#: A ResNet with SGD: one lr and one weight decay for all parameters.
SGD = Base("resnet", _SGD)
#: A ViT with AdamW: one lr and one weight decay for all parameters.
ADAMW = Base("vit", _ADAMW)
#: A ViT with a layer-decay constructor that has no rate.
NO_RATE = Base("vit", _LAYER_DECAY)
#: A ViT with layer-wise lr decay and one weight decay for all parameters.
LAYER_DECAY = Base("vit", {**_LAYER_DECAY, "paramwise_cfg": _WITH_RATE})
#: A ViT with a recipe for fine-tuning, in which no rule finds anything.
RECIPE = Base("vit", {**_LAYER_DECAY, "paramwise_cfg": {**_WITH_RATE, **_NO_DECAY}})

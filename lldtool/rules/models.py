"""The configs that the rules' examples follow on: small models, as OpenMMLab writes them."""

from __future__ import annotations

_CLASSIFIER = """\
_base_ = []
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict({backbone}),
    head=dict(type='LinearClsHead', num_classes=10, in_channels={channels}))
"""

_BACKBONES = {
    "vit": ("type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16", 192),
    "vit-distilled": (
        "type='DistilledVisionTransformer', arch='deit-tiny', img_size=32, patch_size=16", 192,
    ),
    "beit": (
        "type='BEiTViT', arch=dict(embed_dims=64, num_layers=3, num_heads=2, "
        "feedforward_channels=64), img_size=32, patch_size=16, use_abs_pos_emb=False, "
        "use_rel_pos_bias=True", 64,
    ),
    "swin": ("type='SwinTransformer', arch='tiny', img_size=64, window_size=2", 768),
    "convnext": ("type='ConvNeXt', arch='atto'", 320),
    "convnext-v2": ("type='ConvNeXt', arch='atto', use_grn=True, layer_scale_init_value=0.", 320),
    "resnet": ("type='ResNet', depth=50, num_stages=4", 2048),
}  # fmt: skip


def model_config(name: str) -> str:
    """The config text of a small model: `vit`, `swin`, `resnet`, …"""
    backbone, channels = _BACKBONES[name]
    return _CLASSIFIER.format(backbone=backbone, channels=channels)

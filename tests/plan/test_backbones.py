"""Backbones are found by what they are called, or by owning the blocks."""

import pytest

from lldtool.plan.backbones import backbones_of


def blocks(sequence, number=3):
    return [f"{sequence}.{i}.attn.weight" for i in range(number)]


@pytest.mark.parametrize(
    ("names", "backbones"),
    [
        ([*blocks("backbone.layers"), *blocks("decode_head.convs", 9)], ("backbone",)),
        (
            [*blocks("img_backbone.layers"), *blocks("pts_backbone.blocks"), "head.weight"],
            ("img_backbone", "pts_backbone"),
        ),
        (
            [*blocks("student.backbone.layers"), *blocks("teacher.backbone.layers")],
            ("student.backbone", "teacher.backbone"),
        ),
        ([*blocks("image_encoder.blocks"), *blocks("mask_decoder.layers")], ("image_encoder",)),
        ([*blocks("visual.transformer.resblocks"), *blocks("transformer.resblocks")], ("visual",)),
        # A backbone in a backbone, as of a detector that is the backbone of a tracker.
        (blocks("backbone.img_backbone.layers"), ("backbone",)),
        (
            [*blocks("vision_backbone.layers"), "ln_vision_backbone.weight", "text_backbone.a.w"],
            ("vision_backbone", "text_backbone"),
        ),
        # An encoder that is a backbone and its neck.
        (
            ["image_encoder.0.conv1.weight", *blocks("image_encoder.0.layer1"),
             "image_encoder.1.fc.weight"],
            ("image_encoder.0",),
        ),
        # Nothing is called a backbone: what owns the blocks and what comes before them.
        (["vit.cls_token", *blocks("vit.blocks"), "head.weight"], ("vit",)),
        (
            ["model.vit.embeddings.weight", *blocks("model.vit.encoder.layer"), "model.head.bias"],
            ("model.vit",),
        ),
        (["net.stem.weight", *blocks("net.stages.0.blocks", 2), *blocks("net.stages.1.blocks")],
         ("net",)),
        ([*blocks("encoder.layers"), "head.weight"], ("encoder",)),
        # The model is the backbone itself.
        (["cls_token", *blocks("blocks"), "head.weight"], ("",)),
        (["conv1.weight", *blocks("transformer.resblocks"), "proj"], ("",)),
        (["a.weight", "b.0.weight"], ()),
        ([], ()),
    ],
)  # fmt: skip
def test_backbones_are_found(names, backbones):
    assert backbones_of(names) == backbones

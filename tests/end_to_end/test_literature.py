"""The exponents of layer-wise decay, against what timm, MAE and BEiT document.

All of them give a ViT with L blocks L + 2 layers, and a parameter rate^(L + 1 − its layer):
0 for the embeddings, i + 1 for block i, L + 1 for the rest.

- BEiT, `optim_factory.py`, `get_num_layer_for_vit`: cls_token, mask_token, pos_embed and
  patch_embed are layer 0, rel_pos_bias the last but one, everything else the last.
- MAE, `util/lr_decay.py`, `get_layer_id_for_vit`: cls_token, pos_embed and patch_embed are
  layer 0; "norm" and head are the last.
- timm, `optim/_param_groups.py`, `param_groups_layer_decay`, with `group_matcher` of
  `vision_transformer.py`: stem `^cls_token|pos_embed|patch_embed`, then blocks, then `^norm`, and
  the head after all; no weight decay for what is one-dimensional or in `no_weight_decay()`.
"""

import re

import pytest
from conftest import SAMPLES

import lldtool

L = 12


def mae_layer(name):
    """MAE's `get_layer_id_for_vit`, in mmpretrain's names (layers for blocks, ln1 for norm)."""
    name = name.removeprefix("backbone.")
    if name in ("cls_token", "pos_embed") or name.startswith("patch_embed"):
        return 0
    block = re.match(r"layers\.(\d+)\.", name)
    return int(block[1]) + 1 if block else L + 1


@pytest.fixture(scope="module")
def plan():
    return lldtool.dry_run(SAMPLES / "vit-base_layer-decay.py")


def test_exponents_of_vit_base_are_13_to_0(plan):
    scales = [layer.lr_scale for layer in plan.layers]
    assert scales == [0.75**exponent for exponent in range(13, -1, -1)]


def test_layers_are_those_of_mae(plan):
    assert {p.name: p.layer_id for p in plan.parameters} == {
        p.name: mae_layer(p.name) for p in plan.parameters
    }


def test_scales_are_those_of_mae(plan):
    for p in plan.parameters:
        assert p.lr_scale == 0.75 ** (L + 1 - mae_layer(p.name))


def test_timm_decays_no_one_dimensional_tensor_nor_position_nor_class_token(plan):
    undecayed = {p.name for p in plan.parameters if p.weight_decay == 0}
    timm = {
        p.name for p in plan.parameters
        if len(p.shape) <= 1 or p.name in ("backbone.pos_embed", "backbone.cls_token")
    }  # fmt: skip
    assert undecayed == timm


def test_the_final_norm_is_in_the_last_layer_with_the_head(plan):
    # timm has the head one layer after the final norm, MAE and BEiT have them together.
    (last,) = {p.layer_id for p in plan.parameters if p.name.startswith(("backbone.ln1", "head"))}
    assert last == L + 1


def test_beit_has_no_position_embedding_to_be_in_the_stem():
    plan = lldtool.dry_run(SAMPLES / "beit-base.py")
    stem = {p.name for p in plan.layers[0].parameters}
    assert stem == {
        "backbone.cls_token",
        "backbone.patch_embed.projection.weight",
        "backbone.patch_embed.projection.bias",
    }
    tables = [p for p in plan.parameters if p.name.endswith("relative_position_bias_table")]
    assert [p.layer_id for p in tables] == list(range(1, L + 1))

"""LLD101 decayed-norm."""

from __future__ import annotations

from lldtool.lint.rules._decay import DecayRule
from lldtool.lint.rules.base import Severity
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, SGD, Example, keys


class DecayedNorm(DecayRule):
    """A parameter of a normalization layer gets weight decay.

    Weight decay pulls the scale of a normalization layer towards 0, which makes its output smaller
    and no simpler. Fine-tuning recipes exclude these layers. mmengine's `norm_decay_mult` does so
    for BatchNorm, InstanceNorm, GroupNorm, LayerNorm and classes that inherit from them, but not
    for others, such as RMSNorm (torch's too) and GRN. A custom key applies to names that contain
    it: `.ln` is not part of `patch_embed.norm.weight`.

    Ignore it where a paper's recipe applies weight decay to norms. Otherwise write
    `norm_decay_mult=0.0`, or a custom key with `decay_mult=0.0` that matches the names shown.
    """

    kind = "norm"
    noun = "norm tensor"
    severity = Severity.error
    passes = (Example(RECIPE), Example(SGD))
    finds = (
        Example(LAYER_DECAY),
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0}, model="convnext-v2"),
        Example(
            LAYER_DECAY,
            {"bias_decay_mult": 0.0, **keys(".cls_token", ".pos_embed", ".ln2", decay_mult=0.0)},
        ),
        Example(SGD, {"norm_decay_mult": 0.0, **keys("backbone.layer4", lr_mult=10)}),
    )

"""LLD102 decayed-bias."""

from __future__ import annotations

from lldtool.lint.rules._decay import DecayRule
from lldtool.lint.rules.base import Severity
from lldtool.lint.rules.examples import ADAMW, LAYER_DECAY, RECIPE, SGD, Example, keys


class DecayedBias(DecayRule):
    """A bias gets weight decay.

    A bias has no scale that weight decay could regularize; recipes for transformers exclude
    biases. mmengine's `bias_decay_mult` does so for parameters called `bias` only: the `q_bias`
    and `v_bias` of BEiT and an `in_proj_bias` get weight decay all the same.

    Ignore it where a paper's recipe applies weight decay to biases. Otherwise write
    `bias_decay_mult=0.0`, `flat_decay_mult=0.0` for all tensors of one dimension, or a custom key
    with `decay_mult=0.0`.
    """

    kind = "bias"
    noun = "bias tensor"
    severity = Severity.error
    passes = (
        Example(RECIPE),
        Example(SGD),
        Example(SGD, {"norm_decay_mult": 0.0}),
        Example(
            SGD,
            {
                "norm_decay_mult": 0.0,
                **keys("absolute_pos_embed", "relative_position_bias_table", decay_mult=0.0),
            },
            model="swin",
        ),
    )
    finds = (
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0}),
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0}, model="beit"),
        Example(ADAMW, {"bias_decay_mult": 0.0, **keys("head", lr_mult=10)}, model="swin"),
    )

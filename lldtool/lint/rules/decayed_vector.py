"""LLD103 decayed-vector."""

from __future__ import annotations

from lldtool.lint.rules._decay import DecayRule
from lldtool.lint.rules.examples import ADAMW, LAYER_DECAY, RECIPE, Example, keys


class DecayedVector(DecayRule):
    """A parameter of at most one dimension gets weight decay.

    These are layer scale, temperatures and the like: each number scales a whole channel or layer,
    and weight decay pulls it towards switching that off. timm, MAE and BEiT exclude every tensor
    of one dimension. Norms and biases have rules of their own, LLD101 and LLD102.

    Ignore it where a paper's recipe applies weight decay to them. Otherwise write
    `flat_decay_mult=0.0`, or a custom key with `decay_mult=0.0`.
    """

    kind = "vector"
    passes = (
        Example(RECIPE),
        Example(
            LAYER_DECAY,
            {"layer_decay_rate": 0.8, "norm_decay_mult": 0.0, "flat_decay_mult": 0.0},
            model="beit",
        ),
    )
    finds = (
        Example(
            LAYER_DECAY,
            {"layer_decay_rate": 0.8, "norm_decay_mult": 0.0, "bias_decay_mult": 0.0},
            model="convnext",
        ),
        Example(
            ADAMW, {"flat_decay_mult": 0.0, **keys("backbone.layers.2", lr_mult=0.1)}, model="beit"
        ),
    )

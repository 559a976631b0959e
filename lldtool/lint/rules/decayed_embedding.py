"""LLD104 decayed-embedding."""

from __future__ import annotations

from lldtool.lint.rules._decay import DecayRule
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, SGD, Example, keys


class DecayedEmbedding(DecayRule):
    """A position embedding, a token, or a table of relative positions gets weight decay.

    A token is added to a layer's input or stands beside it; it is not a weight that multiplies it.
    timm, MAE and Swin exclude `pos_embed`, `cls_token` and the relative-position tables, and say
    so in the model's `no_weight_decay()` and `no_weight_decay_keywords()`, which lldtool follows.
    BEiT applies weight decay to its tables, and mmpretrain's configs follow its authors.

    Ignore it where a paper's recipe applies weight decay to them. Otherwise write a custom key
    with `decay_mult=0.0`.
    """

    kind = "embedding"
    passes = (Example(RECIPE), Example(SGD))
    finds = (
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, "flat_decay_mult": 0.0}),
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, "flat_decay_mult": 0.0}, model="beit"),
        Example(
            LAYER_DECAY,
            {
                "norm_decay_mult": 0.0,
                "flat_decay_mult": 0.0,
                **keys(".absolute_pos_embed", decay_mult=0.0),
            },
            model="swin",
        ),
    )

"""LLD104 decayed-embedding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.lint.diagnostics import Severity
from lldtool.lint.rules._decay import decayed
from lldtool.lint.rules.base import Found, Rule, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, SGD, Example


class DecayedEmbedding(Rule):
    """A position embedding, a token, or a table of relative positions gets weight decay.

    A token is added to a layer's input or stands beside it; it is not a weight that multiplies it.
    timm, MAE and Swin exclude `pos_embed`, `cls_token` and the relative-position tables, and say
    so in the model's `no_weight_decay()` and `no_weight_decay_keywords()`, which lldtool follows.
    BEiT applies weight decay to its tables, and mmpretrain's configs follow its authors.

    It is a warning where the config says that embeddings are to be excluded: it excludes some of
    them, or names an option or key that would; also where it names a constructor of layer-wise
    decay, whose recipes exclude them. Otherwise weight decay for all tensors may be meant: that is
    only information with AdamW and its relatives, and not reported with SGD.

    Ignore it where a paper's recipe applies weight decay to them. Otherwise write a custom key
    with `decay_mult=0.0`.
    """

    code = "LLD104"
    name = "decayed-embedding"
    severity = Severity.warning
    passes: ClassVar = [
        Example(RECIPE),
        Example(SGD),
    ]
    finds: ClassVar = [
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, "flat_decay_mult": 0.0}),
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, "flat_decay_mult": 0.0}, model="beit"),
        Example(
            LAYER_DECAY,
            {
                "norm_decay_mult": 0.0,
                "flat_decay_mult": 0.0,
                "custom_keys": {".absolute_pos_embed": {"decay_mult": 0.0}},
            },
            model="swin",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Yield a finding for each cause of weight decay on embeddings."""
        yield from decayed(subject, "embedding", "tensor")

"""LLD102 decayed-bias."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.lint.diagnostics import Severity
from lldtool.lint.rules._decay import decayed
from lldtool.lint.rules.base import Found, Rule, Subject
from lldtool.lint.rules.examples import ADAMW, LAYER_DECAY, RECIPE, SGD, Example


class DecayedBias(Rule):
    """A bias gets weight decay.

    A bias has no scale that weight decay could regularize; recipes for transformers exclude
    biases. mmengine's `bias_decay_mult` does so for parameters called `bias` only: the `q_bias`
    and `v_bias` of BEiT and an `in_proj_bias` get weight decay all the same.

    It is an error where the config says that biases are to be excluded: it excludes some of them,
    or names an option or key that would. It is a warning where the config only names a constructor
    of layer-wise decay, whose recipes exclude them. Otherwise weight decay for all tensors may be
    meant: that is only information with AdamW and its relatives, and not reported with SGD.

    Ignore it where a paper's recipe applies weight decay to biases. Otherwise write
    `bias_decay_mult=0.0`, `flat_decay_mult=0.0` for all tensors of one dimension, or a custom key
    with `decay_mult=0.0`.
    """

    code = "LLD102"
    name = "decayed-bias"
    severity = Severity.error
    passes: ClassVar = [
        Example(RECIPE),
        Example(SGD),
        Example(SGD, {"norm_decay_mult": 0.0}),
        Example(
            SGD,
            {
                "norm_decay_mult": 0.0,
                "custom_keys": {
                    "absolute_pos_embed": {"decay_mult": 0.0},
                    "relative_position_bias_table": {"decay_mult": 0.0},
                },
            },
            model="swin",
        ),
    ]
    finds: ClassVar = [
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0}),
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0}, model="beit"),
        Example(
            ADAMW, {"bias_decay_mult": 0.0, "custom_keys": {"head": {"lr_mult": 10}}}, model="swin"
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Yield a finding for each cause of weight decay on biases."""
        yield from decayed(subject, "bias", "bias tensor")

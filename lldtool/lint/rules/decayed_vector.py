"""LLD103 decayed-vector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.lint.diagnostics import Severity
from lldtool.lint.rules._decay import decayed
from lldtool.lint.rules.base import Found, Rule, Subject
from lldtool.lint.rules.examples import ADAMW, LAYER_DECAY, RECIPE, Example


class DecayedVector(Rule):
    """A parameter of at most one dimension gets weight decay.

    These are layer scale, temperatures and the like: each number scales a whole channel or layer,
    and weight decay pulls it towards switching that off. timm, MAE and BEiT exclude every tensor
    of one dimension. Norms and biases have rules of their own, LLD101 and LLD102.

    It is a warning where the config says that vectors are to be excluded: it excludes some of
    them, or names an option or key that would; also where it names a constructor of layer-wise
    decay, whose recipes exclude them. Otherwise weight decay for all tensors may be meant: that is
    only information with AdamW and its relatives, and not reported with SGD.

    Ignore it where a paper's recipe applies weight decay to them. Otherwise write
    `flat_decay_mult=0.0`, or a custom key with `decay_mult=0.0`.
    """

    code = "LLD103"
    name = "decayed-vector"
    severity = Severity.warning
    passes: ClassVar = [
        Example(RECIPE),
        Example(
            LAYER_DECAY,
            {"layer_decay_rate": 0.8, "norm_decay_mult": 0.0, "flat_decay_mult": 0.0},
            model="beit",
        ),
    ]
    finds: ClassVar = [
        Example(
            LAYER_DECAY,
            {"layer_decay_rate": 0.8, "norm_decay_mult": 0.0, "bias_decay_mult": 0.0},
            model="convnext",
        ),
        Example(
            ADAMW,
            {"flat_decay_mult": 0.0, "custom_keys": {"backbone.layers.2": {"lr_mult": 0.1}}},
            model="beit",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Yield a finding for each cause of weight decay on vectors."""
        yield from decayed(subject, "vector", "tensor")

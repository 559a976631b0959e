"""LLD101 decayed-norm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.lint.diagnostics import Severity
from lldtool.lint.rules._decay import decayed
from lldtool.lint.rules.base import Found, Rule, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, SGD, Example


class DecayedNorm(Rule):
    """A parameter of a normalization layer gets weight decay.

    Weight decay pulls the scale of a normalization layer towards 0, which makes its output smaller
    and no simpler. Fine-tuning recipes exclude these layers. mmengine's `norm_decay_mult` does so
    for BatchNorm, InstanceNorm, GroupNorm, LayerNorm and classes that inherit from them, but not
    for others, such as RMSNorm (torch's too) and GRN. A custom key applies to names that contain
    it: `.ln` is not part of `patch_embed.norm.weight`.

    It is an error where the config says that norms are to be excluded: it excludes some of them,
    or names an option or key that would. It is a warning where the config only names a constructor
    of layer-wise decay, whose recipes exclude them. Otherwise weight decay for all tensors may be
    meant: that is only information with AdamW and its relatives, and not reported with SGD.

    Ignore it where a paper's recipe applies weight decay to norms. Otherwise write
    `norm_decay_mult=0.0`, or a custom key with `decay_mult=0.0` that matches the names shown.
    """

    code = "LLD101"
    name = "decayed-norm"
    severity = Severity.error
    passes: ClassVar = [
        Example(RECIPE),
        Example(SGD),
    ]
    finds: ClassVar = [
        Example(LAYER_DECAY),
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0}, model="convnext-v2"),
        Example(
            LAYER_DECAY,
            {
                "bias_decay_mult": 0.0,
                "custom_keys": {
                    ".cls_token": {"decay_mult": 0.0},
                    ".pos_embed": {"decay_mult": 0.0},
                    ".ln2": {"decay_mult": 0.0},
                },
            },
        ),
        Example(SGD, {"norm_decay_mult": 0.0, "custom_keys": {"backbone.layer4": {"lr_mult": 10}}}),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Yield a finding for each cause of weight decay on norms."""
        yield from decayed(subject, "norm", "norm tensor")

"""LLD101 decayed-norm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.rules._decay import decayed
from lldtool.rules.base import Example, Found, Rule, Subject


class DecayedNorm(Rule):
    """A parameter of a normalization layer is decayed.

    Weight decay pulls the scale of a normalization layer towards 0, which makes its output
    smaller and no simpler. Fine-tuning recipes spare them. mmengine's `norm_decay_mult` does so
    for BatchNorm, InstanceNorm, GroupNorm, LayerNorm and what inherits from them, and not for
    another class: RMSNorm, torch's too, or GRN; a custom key does so for what its text is part
    of, and `.ln` is no part of `patch_embed.norm.weight`.

    It is an error where the config spares some of them, names an option or key that should, or
    names a constructor of layer-wise decay. Where nothing in a config says that any should be
    spared, weight decay for all may well be meant: that is information with AdamW and its kin,
    and nothing with SGD.

    Ignore it where a paper's recipe decays them. Else write `norm_decay_mult=0.0`, or a custom
    key with `decay_mult=0.0` that matches the names shown.
    """

    code = "LLD101"
    name = "decayed-norm"
    severity = Severity.error
    passes: ClassVar = [
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
        }))
""",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
""",
            model="resnet",
        ),
    ]
    finds: ClassVar = [
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75))
""",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0))
""",
            model="convnext-v2",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75,
        bias_decay_mult=0.0,
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
            '.ln2': dict(decay_mult=0.0),
        }))
""",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={'backbone.layer4': dict(lr_mult=10)}))
""",
            model="resnet",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Norms with weight decay, a finding for each cause."""
        yield from decayed(subject, "norm", "norm tensor")

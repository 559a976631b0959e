"""LLD102 decayed-bias."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.rules._decay import decayed
from lldtool.rules.base import Example, Found, Rule, Subject


class DecayedBias(Rule):
    """A bias is decayed.

    A bias has no scale that weight decay could regularize; recipes for transformers spare
    biases. mmengine's `bias_decay_mult` does so for what is called `bias` and nothing else: the
    `q_bias` and `v_bias` of BEiT and an `in_proj_bias` are decayed all the same.

    It is an error where the config spares some of them, names an option or key that should, or
    names a constructor of layer-wise decay. Where nothing in a config says that any should be
    spared, weight decay for all may well be meant: that is information with AdamW and its kin,
    and nothing with SGD.

    Ignore it where a paper's recipe decays them. Else write `bias_decay_mult=0.0`,
    `flat_decay_mult=0.0` for all tensors of one dimension, or a custom key with
    `decay_mult=0.0`.
    """

    code = "LLD102"
    name = "decayed-bias"
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
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(
        norm_decay_mult=0.0))
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
        layer_decay_rate=0.75,
        norm_decay_mult=0.0))
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
            model="beit",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(
        bias_decay_mult=0.0,
        custom_keys={'head': dict(lr_mult=10)}))
""",
            model="swin",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Biases with weight decay, a finding for each cause."""
        yield from decayed(subject, "bias", "bias tensor")

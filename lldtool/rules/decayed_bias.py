"""LLD102 decayed-bias."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.rules._decay import decayed
from lldtool.rules.base import Example, Found, Rule, Subject


class DecayedBias(Rule):
    """A bias gets weight decay.

    A bias has no scale that weight decay could regularize; recipes for transformers exclude
    biases. mmengine's `bias_decay_mult` does so for parameters called `bias` only: the `q_bias`
    and `v_bias` of BEiT and an `in_proj_bias` get weight decay all the same.

    It is an error where the config says that biases are to be excluded: it excludes some of them,
    or names an option or key that would. It is a warning where the config only names a
    constructor of layer-wise decay, whose recipes exclude them. Otherwise weight decay for all
    tensors may be meant: that is information with AdamW and its kin, and no finding with SGD.

    Ignore it where a paper's recipe applies weight decay to biases. Otherwise write
    `bias_decay_mult=0.0`, `flat_decay_mult=0.0` for all tensors of one dimension, or a custom key
    with `decay_mult=0.0`.
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
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            'absolute_pos_embed': dict(decay_mult=0.0),
            'relative_position_bias_table': dict(decay_mult=0.0),
        }))
""",
            model="swin",
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
        """Yield a finding for each cause of weight decay on biases."""
        yield from decayed(subject, "bias", "bias tensor")

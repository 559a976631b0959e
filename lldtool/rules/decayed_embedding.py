"""LLD104 decayed-embedding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.rules._decay import decayed
from lldtool.rules.base import Example, Found, Rule, Subject


class DecayedEmbedding(Rule):
    """A position embedding, a token, or a table of relative positions is decayed.

    A token is added to or put beside what a layer sees, and is no weight that multiplies it.
    timm, MAE and Swin spare `pos_embed`, `cls_token` and the relative-position tables, and say
    so in the model's `no_weight_decay()` and `no_weight_decay_keywords()`; lldtool holds models
    to what theirs say. BEiT decays its tables, and mmpretrain's configs do as its authors did.

    It is a warning where the config spares some of them, names an option or key that should, or
    names a constructor of layer-wise decay. Where nothing in a config says that any should be
    spared, weight decay for all may well be meant: that is information with AdamW and its kin,
    and nothing with SGD.

    Ignore it where a paper's recipe decays them. Else write a custom key with `decay_mult=0.0`.
    """

    code = "LLD104"
    name = "decayed-embedding"
    severity = Severity.warning
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
        layer_decay_rate=0.75,
        norm_decay_mult=0.0,
        flat_decay_mult=0.0))
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
        flat_decay_mult=0.0))
""",
            model="beit",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75,
        norm_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys={'.absolute_pos_embed': dict(decay_mult=0.0)}))
""",
            model="swin",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Embeddings with weight decay, a finding for each cause."""
        yield from decayed(subject, "embedding", "tensor")

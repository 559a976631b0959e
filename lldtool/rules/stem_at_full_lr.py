"""LLD203 stem-at-full-lr."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.plan import Parameter
from lldtool.rules._blocks import backbone_parameters, blocks_in_last_layer, stem
from lldtool.rules.base import Example, Found, Rule, Subject
from lldtool.text import plural


class StemAtFullLr(Rule):
    """A part of the stem, or a block, sits in the last layer and learns with the full lr.

    A model's `get_layer_depth` puts what it does not recognise into the last layer, with the
    head: right for a final norm, wrong for a token, an embedding or a norm before the first
    block. In mmpretrain's ViT that is `dist_token`, `mask_token` and `pre_norm`. They are as
    pretrained as the first block, and change as fast as a new head.

    lldtool takes for the stem what the backbone has before its first numbered block, and tokens
    and position embeddings wherever they are. Ignore it where the part is new and not
    pretrained. There is no option against it: override `get_layer_depth` of the backbone in a
    class of your own.
    """

    code = "LLD203"
    name = "stem-at-full-lr"
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
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.8,
        norm_decay_mult=0.0))
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
            model="vit-distilled",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Stem and blocks of the backbone in the last of several layers."""
        members = backbone_parameters(subject)
        if len({p.layer_id for p in members}) < 2:
            return
        last = max(subject.plan.layer_ids)
        for part, found in (
            ("the stem", stem(members)),
            ("blocks", blocks_in_last_layer(members, last)),
        ):
            misplaced: list[Parameter] = [p for p in found if p.layer_id == last]
            if misplaced:
                verb = "is" if len(misplaced) == 1 else "are"
                number = plural(len(misplaced), "tensor")
                yield Found(
                    f"{number} of {part} {verb} in the last layer, {last}, at the lr of the head",
                    ("optim_wrapper", "constructor"),
                    misplaced,
                )

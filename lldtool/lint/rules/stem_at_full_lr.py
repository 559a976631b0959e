"""LLD203 stem-at-full-lr."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.lint.diagnostics import Severity
from lldtool.lint.rules._blocks import Backbone, blocks_in_last_layer
from lldtool.lint.rules._depth import has_lr_asked_for, ladder
from lldtool.lint.rules.base import Found, Rule, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, Example
from lldtool.plan import Parameter, Plan
from lldtool.text import plural, significant


class StemAtFullLr(Rule):
    """A part of the stem, or a block, sits in the last layer and learns with the full lr.

    A model's `get_layer_depth` puts what it does not recognise into the last layer, with the
    head: right for a final norm, wrong for a token, an embedding or a norm before the first
    block. In mmpretrain's ViT that is `dist_token`, `mask_token` and `pre_norm`. They are as
    pretrained as the first block, and change as fast as a new head.

    lldtool takes for the stem what the backbone defines before its first numbered block, and,
    wherever they are defined, tokens, position embeddings, tables of relative positions that the
    blocks share, and what is called a stem, a patch embedding or a norm before the blocks
    (`pre_norm`, `norm_pre`, `ln_pre`). Final norms, necks, adapters and heads are not the stem.

    Ignore it where the part is new and not pretrained. There is no option against it: override
    `get_layer_depth` of the backbone in a class of your own.
    """

    code = "LLD203"
    name = "stem-at-full-lr"
    severity = Severity.warning
    passes: ClassVar = [
        Example(RECIPE),
        Example(LAYER_DECAY, {"layer_decay_rate": 0.8, "norm_decay_mult": 0.0}, model="swin"),
    ]
    finds: ClassVar = [
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0}, model="vit-distilled"),
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0}, config={"model.backbone.pre_norm": True}),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Stem and blocks of a backbone that learn as fast as the head."""
        for backbone in subject.backbones:
            if not all(isinstance(p.layer_id, (int, float)) for p in backbone.parameters):
                yield from _above_the_blocks(backbone)
            elif len({p.layer_id for p in backbone.parameters}) > 1:
                yield from _in_last_layer(backbone, _last(subject.plan))


def _last(plan: Plan) -> float:
    return max(layer_id for layer_id in plan.layer_ids if not isinstance(layer_id, str))


def _in_last_layer(backbone: Backbone, last: float) -> Iterator[Found]:
    for part, found in (
        ("the stem", backbone.stem()),
        ("blocks", blocks_in_last_layer(backbone, last)),
    ):
        misplaced = [p for p in found if p.layer_id == last]
        if misplaced:
            verb = "is" if len(misplaced) == 1 else "are"
            yield _found(
                misplaced, part, f"{verb} in the last layer, {last}, at the lr of the head"
            )


def _above_the_blocks(backbone: Backbone) -> Iterator[Found]:
    """The same where the constructor does not tell its layers: by the lr_scale."""
    blocks = ladder(backbone)
    if blocks is None:
        return
    most = blocks.scales[-1]
    misplaced = [p for p in backbone.stem() if (p.lr_scale or 0) > most and not has_lr_asked_for(p)]
    if misplaced:
        verb = "trains" if len(misplaced) == 1 else "train"
        scale = significant(max(p.lr_scale or 0 for p in misplaced), 2)
        yield _found(
            misplaced,
            "the stem",
            f"{verb} at {scale} of the base lr, and the last block at {significant(most, 2)}",
        )


def _found(misplaced: list[Parameter], part: str, what: str) -> Found:
    number = plural(len(misplaced), "tensor")
    return Found(f"{number} of {part} {what}", ("optim_wrapper", "constructor"), misplaced)

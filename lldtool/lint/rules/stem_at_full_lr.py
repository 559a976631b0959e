"""LLD203 stem-at-full-lr."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules._blocks import Backbone, blocks_in_last_layer
from lldtool.lint.rules._depth import has_lr_asked_for, ladder
from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Subject, count
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, Example
from lldtool.text import significant


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

    passes = (
        Example(RECIPE),
        Example(LAYER_DECAY, {"layer_decay_rate": 0.8, "norm_decay_mult": 0.0}, model="swin"),
    )
    finds = (
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0}, model="vit-distilled"),
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0}, config={"model.backbone.pre_norm": True}),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for the stem, and for the blocks, of a backbone at the head's lr."""
        for backbone in subject.backbones:
            if not all(isinstance(p.layer_id, (int, float)) for p in backbone.parameters):
                yield from self._above_the_blocks(backbone)
            elif len({p.layer_id for p in backbone.parameters}) > 1:
                last = max(one for one in subject.plan.layer_ids if not isinstance(one, str))
                blocks = blocks_in_last_layer(backbone, last)
                for part, found in (("the stem", backbone.stem()), ("blocks", blocks)):
                    if misplaced := [p for p in found if p.layer_id == last]:
                        tensors = count(misplaced, f"tensor of {part} is", f"tensors of {part} are")
                        message = f"{tensors} in the last layer, {last}, at the lr of the head"
                        yield self.diagnostic(message, CONSTRUCTOR, misplaced)

    def _above_the_blocks(self, backbone: Backbone) -> Iterator[Diagnostic]:
        """Yield a finding by the lr_scale, where the constructor does not tell its layers."""
        blocks = ladder(backbone)
        if blocks is None:
            return
        most = blocks.scales[-1]
        stem = [(p.lr_scale or 0, p) for p in backbone.stem() if not has_lr_asked_for(p)]
        if misplaced := [(scale, p) for scale, p in stem if scale > most]:
            scale = significant(max(scale for scale, _ in misplaced), 2)
            yield self.diagnostic(
                f"{count(misplaced, 'tensor of the stem trains', 'tensors of the stem train')} at "
                f"{scale} of the base lr, and the last block at {significant(most, 2)}",
                CONSTRUCTOR,
                [p for _, p in misplaced],
            )

"""LLD604 pretrained-at-full-lr."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules._depth import has_lr_asked_for
from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Subject, count
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, Example


class PretrainedAtFullLr(Rule):
    """Pretrained blocks, or a pretrained stem, train at the highest lr, and other blocks at less.

    Layer-wise decay is there to change pretrained layers slowly. A pretrained tensor at the head's
    lr forgets what it has learned, while its neighbours keep it. A final norm after the blocks is
    no finding: constructors put it in the last layer, with the head.
    """

    passes = (Example(RECIPE, weights={}),)
    finds = (Example(LAYER_DECAY, {"norm_decay_mult": 0.0}, model="vit-distilled", weights={}),)

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each backbone with such tensors."""
        highest = max((p.lr or 0 for p in subject.parameters), default=0)
        if not subject.decays_by_layer:
            return
        for backbone in subject.backbones:
            own = [*backbone.stem(), *backbone.in_blocks]
            loaded = [p for p in own if p.start == "pretrained" and not has_lr_asked_for(p)]
            fast = [p for p in loaded if p.lr == highest]
            if fast and len(fast) < len(loaded):
                yield self.diagnostic(
                    f"{count(fast, 'pretrained tensor trains', 'pretrained tensors train')} at the "
                    f"highest lr, and {count(len(loaded) - len(fast), 'other', 'others')} at less",
                    CONSTRUCTOR,
                    fast,
                )

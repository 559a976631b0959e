"""LLD603 new-parameter-slow."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules._blocks import backbone_names
from lldtool.lint.rules._starts import from_scratch, is_inside, meant_for
from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Subject, count
from lldtool.lint.rules.examples import RECIPE, Example
from lldtool.text import significant

#: Below this part of the highest lr, a parameter needs several times as long.
_SLOW = 0.1


class NewParameterSlow(Rule):
    r"""A parameter that starts from its initialisation trains at less than a tenth of the lr.

    Layer-wise decay gives low lrs to layers that are pretrained. A tensor there that the checkpoint
    does not have, or has in another shape, is as new as the head, and hardly moves.

    Load it, or give it a custom key with an `lr_mult` of its own where the constructor has that.
    Parameters of backbones of which nothing is loaded are in LLD601 only.
    """

    passes = (Example(RECIPE, weights={}),)
    finds = (Example(RECIPE, weights={r"^backbone\.cls_token": ""}),)

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for the new parameters of pretrained backbones with a low lr."""
        plan = subject.plan
        highest = max((p.lr or 0 for p in plan.trained), default=0)
        for module in backbone_names(plan):
            own = [p for p in plan.trained if is_inside(p.name, module)]
            if meant_for(plan, module) is None or all(map(from_scratch, own)):
                continue
            new = (p for p in own if from_scratch(p))
            slow = [p for p in new if p.lr is not None and p.lr < _SLOW * highest]
            if slow:
                share = significant(max(p.lr or 0 for p in slow) / highest, 2)
                yield self.diagnostic(
                    f"{count(slow, 'tensor starts', 'tensors start')} from the initialisation and "
                    f"{'trains' if len(slow) == 1 else 'train'} at {share} of the highest lr",
                    CONSTRUCTOR,
                    slow,
                )

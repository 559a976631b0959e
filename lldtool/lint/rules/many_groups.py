"""LLD406 many-groups."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, SGD, Example
from lldtool.text import plural


class ManyGroups(Rule):
    """There are many more param groups than distinct settings.

    OpenMMLab's constructors make one param group per parameter. An optimizer steps group by
    group, and fused or foreach kernels work within a group: with 152 groups of a ViT-B that
    hold 28 distinct settings, a step takes longer than it must. It changes no result, so this
    is only information, and off by default.

    Ignore it unless the optimizer step shows up in a profile. mmpretrain has no option to merge
    groups; a constructor of your own can.
    """

    severity = Severity.info
    by_default = False
    passes = (Example(SGD, model="vit"),)
    finds = (Example(LAYER_DECAY, {"norm_decay_mult": 0.0}),)

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding if there are at least twice as many groups as settings."""
        parameters = subject.plan.parameters
        groups = len({p.group for p in parameters})
        distinct = len({(p.lr, p.weight_decay, repr(p.extras)) for p in parameters})
        if groups >= 2 * distinct and groups > 1:
            yield self.diagnostic(
                f"{groups} param groups with {plural(distinct, 'distinct setting')}", CONSTRUCTOR
            )

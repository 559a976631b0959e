"""LLD202 scale-above-one."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.config.edit import PARAMWISE_CFG, Edit
from lldtool.lint.rules._depth import DepthOption, depth_option, has_lr_asked_for, ladder
from lldtool.lint.rules._options import rate_option
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, SGD, Example, keys
from lldtool.text import plural, significant


class ScaleAboveOne(Rule):
    """Layer decay gives some parameter more than the base lr.

    `lr_scale` is rate^(max_layer_id − layer_id − 1): a rate above 1 reverses the decay, and so
    does a `num_layers` smaller than the backbone's depth, for the constructors that have that
    option. An `lr_mult` above 1 in a custom key, as for a new head, is explicit and is not
    reported.

    Ignore it where the first layers are meant to learn fastest.
    """

    severity = Severity.error
    passes = (Example(RECIPE), Example(SGD, keys("head", lr_mult=10)))
    finds = (Example(LAYER_DECAY, {"layer_decay_rate": 1.25}),)

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for scales above 1 that no `lr_mult` sets."""
        found = [
            (p.lr_scale, p)
            for p in subject.parameters
            if p.lr_scale is not None and p.lr_scale > 1 and not has_lr_asked_for(p)
        ]
        depth = _too_shallow(subject)
        if not found or not (subject.decays_by_layer or depth):
            return
        most = significant(max(scale for scale, _ in found))
        number = plural(len(found), "tensor")
        option = rate_option(subject.plan.constructor)
        rate = subject.paramwise_cfg.get(option, None)
        at: tuple[str, ...] = (*PARAMWISE_CFG, option)
        why, ways = "", list[list[Edit]]()
        if isinstance(rate, (int, float)) and rate > 1:
            why = f": {option} is {rate}"
        elif depth is not None:
            blocks, told = depth
            at, why, ways = told.at, f": {blocks} blocks, but {told.says}", told.ways
        yield self.diagnostic(
            f"{number} with an lr_scale above 1, up to {most}{why}", at, [p for _, p in found], ways
        )


def _too_shallow(subject: Subject) -> tuple[int, DepthOption] | None:
    """How many blocks there are, and the option that says there are fewer."""
    for found in filter(None, map(ladder, subject.backbones)):
        steps = found.steps(found.scales[-1], 1.0)
        if found.blocks is not None and steps is not None and steps < 0:
            option = depth_option(subject, found.blocks, steps)
            if option is not None:
                return found.blocks, option
    return None

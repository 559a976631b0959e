"""LLD404 frozen-later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.rules.base import Example, Found, Rule, Subject
from lldtool.text import plural


class FrozenLater(Rule):
    """The model freezes parameters in `train()`, after the optimizer was given them.

    The runner builds the optimizer first and calls `model.train()` later. What `frozen_stages`
    or a `train()` of the model's own freezes then stays in the optimizer. It gets no gradient, so
    an optimizer leaves it as it is, weight decay or not; but it is in the param groups, in their
    log and in the checkpoint, and whoever counts them takes it for trained.

    Freeze it when the model is built, in `__init__`, or ignore it where only the counting is
    wrong.
    """

    code = "LLD404"
    name = "frozen-later"
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
    ]
    finds: ClassVar = [
        Example(
            """\
model['backbone']['frozen_stages'] = 1
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75,
        norm_decay_mult=0.0))
""",
            model="swin",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """What is in the optimizer and frozen by `train()`."""
        found = [p for p in subject.plan.parameters if p.state == "frozen_by_train"]
        if found:
            verb = "is" if len(found) == 1 else "are"
            yield Found(
                f"{plural(len(found), 'tensor')} {verb} in the optimizer, and frozen by "
                "model.train() after it is built",
                ("model",),
                found,
            )

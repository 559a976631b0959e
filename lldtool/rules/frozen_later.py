"""LLD404 frozen-later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.rules.base import Found, Rule, Subject
from lldtool.rules.examples import LAYER_DECAY, RECIPE, Example
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
        Example(RECIPE),
    ]
    finds: ClassVar = [
        Example(
            LAYER_DECAY,
            {"norm_decay_mult": 0.0},
            model="swin",
            config={"model.backbone.frozen_stages": 1},
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

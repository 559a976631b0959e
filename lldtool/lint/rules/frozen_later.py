"""LLD404 frozen-later."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules.base import Diagnostic, Rule, Subject, count
from lldtool.lint.rules.examples import LAYER_DECAY, Example


class FrozenLater(Rule):
    """The model freezes parameters in `train()`, after the optimizer was given them.

    The runner builds the optimizer first and calls `model.train()` later. A parameter that
    `frozen_stages` or the model's own `train()` freezes then stays in the optimizer. It gets no
    gradient, so the optimizer does not change it, weight decay or not; but it is in the param
    groups, in their logs and in the checkpoint, and is counted as trained.

    Freeze it when the model is built, in `__init__`, or ignore the finding where only the count
    matters.
    """

    finds = (
        Example(
            LAYER_DECAY,
            {"norm_decay_mult": 0.0},
            model="swin",
            config={"model.backbone.frozen_stages": 1},
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding if parameters in the optimizer are frozen by `train()`."""
        found = [p for p in subject.plan.parameters if p.state == "frozen_by_train"]
        if found:
            yield self.diagnostic(
                f"{count(found, 'tensor is', 'tensors are')} in the optimizer, and frozen by "
                "model.train() after it is built",
                ("model",),
                found,
            )

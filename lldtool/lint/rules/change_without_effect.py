"""LLD702 change-without-effect."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules.base import Diagnostic, Rule, Subject
from lldtool.lint.rules.examples import RECIPE, SCHEDULED, Example
from lldtool.text import value


class ChangeWithoutEffect(Rule):
    """An entry was changed since the checkpoint was saved, and the resumed training ignores it.

    When a training is resumed, the param groups and the schedulers of the checkpoint replace those
    of the config, without a message. A new lr, decay rate or `eta_min` then does nothing.

    Each change is taken back in turn, and mmengine's own resume run again: what is reported changes
    no setting of any step. `lldtool resume` shows every lr to the end.

    Start over from the weights, with `load_from` and without `resume`, or undo the change.
    """

    passes = (
        Example(RECIPE, config=SCHEDULED, resumed={}),
        Example(RECIPE, config=SCHEDULED, resumed={"optim_wrapper.clip_grad": {"max_norm": 1}}),
    )
    finds = (
        Example(RECIPE, config=SCHEDULED, resumed={"optim_wrapper.optimizer.lr": 2e-3}),
        Example(
            RECIPE,
            config=SCHEDULED,
            resumed={"optim_wrapper.paramwise_cfg.layer_decay_rate": 0.5},
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each change."""
        if subject.resume is None:
            return
        for change in subject.resume.without_effect:
            old, new = map(value, change.values)
            yield self.diagnostic(
                f"the change from {old} to {new} has no effect: the training is resumed from "
                f"{subject.resume.checkpoint}, which keeps its own",
                change.path,
            )

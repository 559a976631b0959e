"""LLD701 cannot-resume."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import RECIPE, SCHEDULED, Example


class CannotResume(Rule):
    """The training can't be resumed from its checkpoint: it fails at startup or at the first step.

    A checkpoint can be resumed from only with as many param groups as it was saved with, with
    parameters of the same shapes, and with an optimizer of the same kind. Another number of
    classes, a stage that is frozen now, or SGD for AdamW is noticed when the GPUs are running.

    It is checked for a config with `resume = True` and `load_from`, and with `--resume`.

    Start over from the weights: `load_from` without `resume`.
    """

    severity = Severity.error
    passes = (Example(RECIPE, config=SCHEDULED, resumed={}),)
    finds = (
        Example(RECIPE, config=SCHEDULED, resumed={"model.head.num_classes": 5}),
        Example(
            RECIPE,
            config={**SCHEDULED, "model.backbone.frozen_stages": 1},
            resumed={"model.backbone.frozen_stages": -1},
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for the error of resuming."""
        if subject.no_resume is not None:
            yield self.diagnostic(subject.no_resume.without_config(), ("load_from",))

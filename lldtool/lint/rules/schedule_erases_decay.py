"""LLD206 schedule-erases-decay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lldtool.config.edit import Edit
from lldtool.lint.rules._schedulers import lr_schedulers
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import RECIPE, SGD, Example, keys


class ScheduleErasesDecay(Rule):
    """A scheduler gives every param group the same absolute lr.

    `OneCycleLR` sets each group's lr from `eta_max`, a number or a list with one for each
    group, whatever the constructor gave it: layer decay and every `lr_mult` are lost at the
    first step.

    Use a scheduler that multiplies, such as `LinearLR` followed by `CosineAnnealingLR`, or give
    `eta_max` a list with a value for each param group. The suggested `CosineAnnealingLR` has no
    warm-up, and falls to the end of what the scheduler covers of the training.
    """

    severity = Severity.error
    passes = (
        Example(RECIPE, config={"param_scheduler": {"type": "CosineAnnealingLR", "T_max": 100}}),
        Example(
            SGD,
            config={"param_scheduler": {"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 100}},
        ),
    )
    finds = (
        Example(
            RECIPE,
            config={
                "param_scheduler": {
                    "type": "OneCycleLR",
                    "eta_max": 1e-3,
                    "total_steps": 100,
                    "by_epoch": True,
                }
            },
        ),
        Example(
            SGD,
            keys("head", lr_mult=10),
            config={
                "param_scheduler": [{"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 100}]
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each one-cycle scheduler with one maximum for different lrs."""
        plan = subject.plan
        lrs = {p.lr for p in subject.parameters}
        if len(lrs) < 2:
            return
        for at, scheduler in lr_schedulers(plan):
            most = scheduler.get("eta_max")
            one_for_all = not isinstance(most, list) or len(set(most)) == 1
            if str(scheduler["type"]).startswith("OneCycle") and one_for_all:
                yield self.diagnostic(
                    f"{scheduler['type']} gives every param group the lr of eta_max: "
                    f"the {len(lrs)} different lrs that the constructor set are lost",
                    (*at, "eta_max") if "eta_max" in scheduler else at,
                    (),
                    [[Edit(at, {"type": "CosineAnnealingLR", **_span(scheduler)})]],
                )


def _span(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with which a cosine replaces it over the same steps.

    Without `T_max`, the cosine reaches its lowest lr when the scheduler or the training ends, so it
    never rises again.
    """
    kept = ("by_epoch", "begin", "end", "convert_to_iter_based")
    return {key: scheduler[key] for key in kept if key in scheduler}

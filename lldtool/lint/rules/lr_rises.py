"""LLD205 lr-rises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lldtool.config.edit import DELETE, Edit
from lldtool.lint.rules._schedulers import lr_schedulers
from lldtool.lint.rules.base import Diagnostic, Fix, Rule, Severity, Subject
from lldtool.lint.rules.examples import RECIPE, SGD, Example, keys
from lldtool.plan import Parameter
from lldtool.plan.schedule import unit_of
from lldtool.text import lr, plural, ranges

#: Schedulers that take the lr to a value of their own, whatever it was before.
_TO_A_VALUE = ("Cosine", "Poly", "OneCycle")
#: The scheduler of the examples, which set its floor.
_COSINE = {"type": "CosineAnnealingLR", "T_max": 100}


class LrRises(Rule):
    """The schedule's floor is above a layer's lr, so its lr rises over the training.

    `eta_min` is absolute. `CosineAnnealingLR(eta_min=1e-6)` takes every param group to 1e-6,
    also those that start below: with layer decay the first layers, whose lr *rises* while all
    others fall, until all layers have the same. `eta_min_ratio` keeps the ratios. The same
    holds for `PolyLR`, which has no such option.

    It is a warning where another scheduler takes the lr down again after this one. An `eta_min`
    above every lr with a scheduler after it is the peak of a cyclic schedule, and is not reported.

    Ignore it where the floor is meant for every layer. Otherwise write `eta_min_ratio`, or a
    lower `eta_min`.
    """

    severity = Severity.error
    passes = (
        Example(RECIPE, config={"param_scheduler": {**_COSINE, "eta_min_ratio": 1e-3}}),
        Example(RECIPE, config={"param_scheduler": {**_COSINE, "eta_min": 1e-6}}),
        Example(
            SGD,
            config={
                "param_scheduler": [
                    {**_COSINE, "eta_min": 1.0, "T_max": 40, "end": 40},
                    {**_COSINE, "eta_min": 1e-5, "T_max": 60, "begin": 40, "end": 100},
                ]
            },
        ),
    )
    finds = (
        Example(
            RECIPE,
            config={
                "param_scheduler": [
                    {"type": "LinearLR", "start_factor": 1e-3, "end": 5},
                    {**_COSINE, "eta_min": 1e-4, "T_max": 95, "begin": 5},
                ]
            },
        ),
        Example(
            SGD,
            keys("backbone", lr_mult=1e-4),
            config={"param_scheduler": {"type": "PolyLR", "eta_min": 1e-4, "end": 100}},
        ),
        Example(
            SGD,
            keys("backbone", lr_mult=0.0),
            config={"param_scheduler": {**_COSINE, "eta_min": 1e-4}},
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each scheduler with a floor above some lr."""
        schedulers = list(lr_schedulers(subject.plan))
        for path, scheduler in schedulers:
            floor = scheduler.get("eta_min")
            if not isinstance(floor, (int, float)) or floor <= 0:
                continue
            below = [p for p in subject.parameters if p.lr is not None and p.lr < floor]
            if not below:
                continue
            end = _taken_over_at(scheduler, [other for _, other in schedulers])
            is_peak = all(p.lr is None or p.lr < floor for p in subject.parameters)
            if end is not None and is_peak:  # as in a cyclic schedule
                continue
            at = (*path, "eta_min")
            verb = "starts" if len(below) == 1 else "start"
            until = "over the training"
            if end is not None:
                until = f"until {unit_of(scheduler)} {end:g}"
            yield self.diagnostic(
                f"eta_min {lr(floor)} of {scheduler['type']} is above the lr that "
                f"{plural(len(below), 'tensor')}{_layers(below)} {verb} with, from "
                f"{lr(min(p.lr for p in below if p.lr is not None))}: it rises {until}",
                at,
                below,
                _fixes(subject, at, floor, str(scheduler["type"])),
                None if end is None else Severity.warning,
            )


def _taken_over_at(
    scheduler: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> float | None:
    """Return where a scheduler ends, if one that goes to a value of its own begins there."""
    end = scheduler.get("end")
    if not isinstance(end, (int, float)):
        return None
    follows = any(
        str(other["type"]).startswith(_TO_A_VALUE)
        and unit_of(other) == unit_of(scheduler)
        and isinstance(other.get("begin"), (int, float))
        and other["begin"] >= end
        for other in others
    )
    return end if follows else None


def _layers(below: list[Parameter]) -> str:
    ids = dict.fromkeys(p.layer_id for p in below if p.layer_id is not None)
    return f" in layer{'s' if len(ids) > 1 else ''} {ranges(ids, ' to ')}" if ids else ""


def _fixes(subject: Subject, at: tuple[str, ...], floor: float, kind: str) -> list[Fix]:
    """Return the same floor for the base lr, as a ratio, where the scheduler knows ratios.

    A group with lr 0 stays there with a ratio, so it no longer trains.
    """
    plan = subject.plan
    base = (plan.optimizer.lr or 0.0) * plan.auto_scale_lr
    top = base if floor < base else max(p.lr for p in plan.parameters if p.lr is not None)
    if floor >= top:
        return []
    edits = [Edit(at, 0.0)]
    if kind.startswith("Cosine"):
        ratio = float(f"{floor / top:.2g}")
        edits = [Edit(at, DELETE), Edit((*at[:-1], "eta_min_ratio"), ratio)]
    return [Fix(edits, may_retrain=True)]

"""LLD205 lr-rises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.plan import Parameter
from lldtool.rules._schedulers import lr_schedulers
from lldtool.rules.base import DELETE, Edit, Example, Found, Rule, Subject
from lldtool.text import lr, plural, ranges


class LrRises(Rule):
    """The schedule's floor lies above a layer's lr, so its lr rises over the training.

    `eta_min` is absolute. `CosineAnnealingLR(eta_min=1e-6)` takes every param group to 1e-6,
    also those that start below: with layer decay the first layers, whose lr *rises* while all
    others fall, until all layers have the same. `eta_min_ratio` keeps the ratios. The same
    holds for `PolyLR`, which knows no ratio.

    Ignore it where the floor is meant for every layer. Else write `eta_min_ratio`, or a lower
    `eta_min`.
    """

    code = "LLD205"
    name = "lr-rises"
    severity = Severity.error
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
param_scheduler = dict(type='CosineAnnealingLR', eta_min_ratio=1e-3, T_max=100)
""",
        ),
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
param_scheduler = dict(type='CosineAnnealingLR', eta_min=1e-6, T_max=100)
""",
        ),
    ]
    finds: ClassVar = [
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
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=5),
    dict(type='CosineAnnealingLR', eta_min=1e-4, begin=5, T_max=95)]
""",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={'backbone': dict(lr_mult=1e-4)}))
param_scheduler = dict(type='PolyLR', eta_min=1e-4, end=100)
""",
            model="resnet",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Groups with an lr below a floor, a finding for each scheduler."""
        for path, scheduler in lr_schedulers(subject.plan):
            floor = scheduler.get("eta_min")
            if not isinstance(floor, (int, float)) or floor <= 0:
                continue
            below = [p for p in subject.parameters if p.lr is not None and p.lr < floor]
            if not below:
                continue
            at = (*path, "eta_min")
            verb = "starts" if len(below) == 1 else "start"
            yield Found(
                f"eta_min {lr(floor)} of {scheduler['type']} is above the lr that "
                f"{plural(len(below), 'tensor')}{_layers(below)} {verb} with, from "
                f"{lr(min(p.lr for p in below if p.lr is not None))}: it rises over the training",
                at,
                below,
                _ways(subject, at, floor, knows_ratios=str(scheduler["type"]).startswith("Cosine")),
            )


def _layers(below: list[Parameter]) -> str:
    ids = {p.layer_id for p in below if p.layer_id is not None}
    return f" in layer{'s' if len(ids) > 1 else ''} {ranges(ids, ' to ')}" if ids else ""


def _ways(
    subject: Subject, at: tuple[str, ...], floor: float, *, knows_ratios: bool
) -> list[list[Edit]]:
    """The same floor for the highest lr, as a ratio, where the scheduler knows ratios."""
    highest = max(p.lr for p in subject.plan.parameters if p.lr is not None)
    if floor >= highest:
        return []
    ratio = float(f"{floor / highest:.2g}")
    as_ratio = [Edit(at, DELETE), Edit((*at[:-1], "eta_min_ratio"), ratio)]
    return [as_ratio] if knows_ratios else [[Edit(at, 0.0)]]

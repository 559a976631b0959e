"""LLD306 ignored-lr-mult."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.plan import Parameter
from lldtool.rules._decay import custom_keys
from lldtool.rules.base import DELETE, PARAMWISE_CFG, Edit, Example, Found, Rule, Subject
from lldtool.text import plural


class IgnoredLrMult(Rule):
    """A custom key has an `lr_mult`, and the constructor does nothing with it.

    mmpretrain's layer-decay constructor computes the lr from the depth alone and copies
    `lr_mult` into the param group, where no optimizer reads it: a head that was to learn ten
    times as fast does not.

    Delete it. For another lr of one part, a constructor of your own is needed, or mmengine's
    default one.
    """

    code = "LLD306"
    name = "ignored-lr-mult"
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
""",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={'head': dict(lr_mult=10)}))
""",
            model="resnet",
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
        custom_keys={'head': dict(lr_mult=10.0)}))
""",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Keys whose `lr_mult` ended up as a mere entry of the param groups."""
        for key, entry in custom_keys(subject):
            found = [p for p in subject.parameters if key in p.name and _has_it_lie(p)]
            if "lr_mult" in entry and found:
                at = (*PARAMWISE_CFG, "custom_keys", key, "lr_mult")
                yield Found(
                    f"lr_mult {entry['lr_mult']} of custom key {key!r} does nothing here: "
                    f"the lr of {plural(len(found), 'tensor')} comes from the layer alone",
                    at,
                    found,
                    [[Edit(at, DELETE)]],
                )


def _has_it_lie(p: Parameter) -> bool:
    """Whether the group has an `lr_mult` that its lr was not multiplied by."""
    return "lr_mult" in p.extras and p.reason.lr.rule == "layer_decay"

"""LLD305 ignored-option."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.rules._options import KNOWN_OPTIONS, ignored, removal_text, same_meaning
from lldtool.rules.base import DELETE, PARAMWISE_CFG, Edit, Example, Found, Rule, Subject

_DEFAULT = "DefaultOptimWrapperConstructor"
#: mmpretrain's, which has no option that another one does not have.
_LAYER_DECAY = "LearningRateDecayOptimWrapperConstructor"


class IgnoredOption(Rule):
    """An option is known to another constructor, and this one ignores it.

    OpenMMLab's constructors share few options: the rate is `layer_decay_rate` in mmpretrain and
    mmpose and `decay_rate` in mmdet, mmseg and mmaction2; `dwconv_decay_mult`, `bias_lr_mult`
    and `bypass_duplicate` are mmengine's own, and its layer-decay relatives know nothing of
    them; those of mmdet and mmseg know no `custom_keys`. lldtool runs the constructor with
    another value for an option that it was not seen to read, and without it: one that changes
    nothing in the optimizer has no effect.

    Write this constructor's name for it, or delete it.
    """

    code = "LLD305"
    name = "ignored-option"
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
        bias_lr_mult=2.0))
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
        dwconv_decay_mult=0.0))
""",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        decay_rate=0.75))
""",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(
        layer_decay_rate=0.75))
""",
            model="resnet",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Options that the constructor never looked for, and that another one knows."""
        constructor = subject.plan.constructor
        for option in ignored(subject):
            if option not in KNOWN_OPTIONS:
                continue
            at = (*PARAMWISE_CFG, option)
            delete, hint = Edit(at, DELETE), removal_text(subject, option)
            ways = [] if hint else [[delete]]
            meant = same_meaning(option, constructor.reads or ())
            if meant is not None and meant not in subject.paramwise_cfg:
                hint = f"; here it is called {meant!r}{hint}"
                ways = [[delete, Edit((*PARAMWISE_CFG, meant), subject.paramwise_cfg[option])]]
            if option == "layer_decay_rate" and constructor.type == _DEFAULT:
                hint = f"; constructor={_LAYER_DECAY!r} decays by layers"
                ways = [[Edit(("optim_wrapper", "constructor"), _LAYER_DECAY)], *ways]
            knows = KNOWN_OPTIONS[option]
            yield Found(
                f"{option!r} has no effect with {constructor.type}: it is an option of "
                f"{knows}{hint}",
                at,
                (),
                ways,
                may_uncover=True,
            )

"""LLD401 constructor-raises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.errors import ConstructorError
from lldtool.findings import Severity
from lldtool.rules.base import Edit, Example, Found, Rule


class ConstructorRaises(Rule):
    """The constructor raises, and training would crash at its start.

    lldtool runs the constructor that the config names, so what it raises here it raises in
    training: a missing `weight_decay` or `lr`, a backbone without `get_layer_depth`, a wrong
    type. After the time in the queue, that is. A config that this finds something in has no
    plan, and counts as an error.

    Mend what the message says.
    """

    code = "LLD401"
    name = "constructor-raises"
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
    ]
    finds: ClassVar = [
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75))
""",
        ),
    ]

    def check_error(self, error: ConstructorError) -> Iterator[Found]:
        """What it raised."""
        if error.kind != "constructor-raises":
            return
        hint = f" ({error.hint})" if error.hint else ""
        optimizer = ("optim_wrapper", "optimizer")
        if "has no weight_decay" in error.message:
            way = [[Edit((*optimizer, "weight_decay"), 0.0)]]
            yield Found(f"{error.message}{hint}", optimizer, (), way)
        else:
            is_lr = "has no lr" in error.message
            at = optimizer if is_lr else ("optim_wrapper", "constructor")
            yield Found(f"{error.message}{hint}", at)

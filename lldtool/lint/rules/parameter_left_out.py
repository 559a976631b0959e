"""LLD403 parameter-left-out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.lint.diagnostics import Severity
from lldtool.lint.rules.base import Found, Rule, Subject
from lldtool.lint.rules.examples import ADAMW, RECIPE, Example
from lldtool.text import plural


class ParameterLeftOut(Rule):
    """A parameter that asks for a gradient is in no param group.

    The constructor left it out: gradients are computed for it in every step, and it never
    changes.

    Freeze it with `requires_grad = False` if that is meant. Otherwise fix the constructor.
    """

    code = "LLD403"
    name = "parameter-left-out"
    severity = Severity.error
    passes: ClassVar = [
        Example(RECIPE),
    ]
    finds: ClassVar = [
        Example(
            ADAMW,
            {"norm_decay_mult": 0.0},
            config={"optim_wrapper.constructor": "BackboneOnly"},
            module="""\
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BackboneOnly(DefaultOptimWrapperConstructor):
    def add_params(self, params, module, prefix='', **kwargs):
        if prefix == '':
            module, prefix = module.backbone, 'backbone'
        super().add_params(params, module, prefix, **kwargs)
""",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """What no group holds."""
        left_out = [p.name for p in subject.plan.left_out]
        if left_out:
            verb = "is" if len(left_out) == 1 else "are"
            yield Found(
                f"{plural(len(left_out), 'tensor')} {verb} in no param group and never trained",
                ("optim_wrapper", "constructor"),
                left_out,
            )

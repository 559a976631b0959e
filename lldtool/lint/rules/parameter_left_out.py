"""LLD403 parameter-left-out."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Severity, Subject, count
from lldtool.lint.rules.examples import ADAMW, Example


class ParameterLeftOut(Rule):
    """A parameter that asks for a gradient is in no param group.

    The constructor left it out: gradients are computed for it in every step, and it never
    changes.

    Freeze it with `requires_grad = False` if that is meant. Otherwise fix the constructor.
    """

    severity = Severity.error
    finds = (
        Example(
            ADAMW,
            {"norm_decay_mult": 0.0},
            config={"optim_wrapper.constructor": "BackboneOnly"},
            code="""\
@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class BackboneOnly(DefaultOptimWrapperConstructor):
    def add_params(self, params, module, prefix='', **kwargs):
        if prefix == '':
            module, prefix = module.backbone, 'backbone'
        super().add_params(params, module, prefix, **kwargs)
""",
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding if parameters are in no param group."""
        left_out = subject.plan.left_out
        if left_out:
            tensors = count(left_out, "tensor is", "tensors are")
            message = f"{tensors} in no param group and never trained"
            yield self.diagnostic(message, CONSTRUCTOR, left_out)

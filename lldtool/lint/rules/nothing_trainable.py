"""LLD405 nothing-trainable."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.errors import ConstructorError
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example


class NothingTrainable(Rule):
    """No parameter is trained: every one is frozen or has lr 0.

    Where the constructor leaves frozen parameters out, the optimizer gets none, and torch
    raises "optimizer got an empty parameter list": training fails at startup.
    mmengine's default constructor puts them in all the same, and the training changes nothing.

    Look for `frozen_stages`, a `freeze` option, or a `requires_grad = False` in the model, and
    for an `lr_mult` of 0 that matches everything.
    """

    severity = Severity.error
    finds = (
        Example(
            SGD,
            config={"model": {"_delete_": True, "type": "Frozen"}},
            code="""\
@MODELS.register_module()
class Frozen(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = Linear(2, 2).requires_grad_(False)

    def forward(self, *args, **kwargs):
        return {}
""",
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding if no parameter trains."""
        if subject.plan.trained:
            return
        without_lr = any(p.state == "zero_lr" for p in subject.plan.parameters)
        what = "is frozen or has lr 0" if without_lr else "is frozen"
        at = ("optim_wrapper",) if without_lr else ("model",)
        yield self.diagnostic(f"every parameter {what}: training would change nothing", at)

    def check_error(self, error: ConstructorError) -> Iterator[Diagnostic]:
        """Yield a finding if the optimizer got no parameters."""
        if error.kind == "nothing-trainable":
            yield self.diagnostic(error.message, ("model",))

"""LLD605 frozen-not-loaded."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules._parameters import is_embedding_name
from lldtool.lint.rules._starts import Tensor, from_scratch, inside
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject, count
from lldtool.lint.rules.examples import RECIPE, Example
from lldtool.plan import Parameter


class FrozenNotLoaded(Rule):
    """A frozen parameter is not loaded: it keeps its random initialisation for ever.

    No gradient reaches it, and no checkpoint gives it a value. It is mostly a backbone that is
    frozen for a linear probe, and whose checkpoint has other names.

    Position embeddings are no finding: fixed ones are calculated when the model is initialised.
    """

    severity = Severity.error
    passes = (Example(RECIPE, weights={}, config={"model.backbone.frozen_stages": 2}),)
    finds = (
        Example(
            RECIPE,
            weights={r"^backbone\.layers\.0\..*": ""},
            config={"model.backbone.frozen_stages": 2},
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for the parameters that are neither trained nor loaded."""
        found = [p for p in inside(subject.plan, "") if from_scratch(p) and _is_never_trained(p)]
        left_out = subject.plan.left_out_names  # not frozen, and reported by another rule
        found = [p for p in found if p.name not in left_out and not _is_fixed(p)]
        if found:
            yield self.diagnostic(
                f"{count(found, 'frozen tensor is', 'frozen tensors are')} in no checkpoint that "
                "is loaded, so never trained at all",
                ("model",),
                found,
            )


def _is_never_trained(p: Tensor) -> bool:
    return not isinstance(p, Parameter) or p.state in ("frozen", "frozen_by_train")


def _is_fixed(p: Tensor) -> bool:
    return any(map(is_embedding_name, p.name.split(".")))

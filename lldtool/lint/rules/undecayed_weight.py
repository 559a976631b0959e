"""LLD105 undecayed-weight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from lldtool.config.selectors import matching_pattern
from lldtool.lint.rules._decay import cause, is_key, ways_by_key
from lldtool.lint.rules._parameters import grouped_by, is_in_embedding
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject, count
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, SGD, Example, keys
from lldtool.plan import Parameter
from lldtool.text import setting


class UndecayedWeight(Rule):
    """A weight matrix or kernel gets no weight decay, though the base weight decay is not 0.

    A custom key matches every name that contains it: `head` also matches `decode_head`, `norm`
    matches `norm_proj.weight`, and `bias` any name with that word in it. Where a key that was
    meant for vectors matches a matrix, the matrix is trained without the regularization that the
    config asks for.

    A key that names a module from the root, such as `head` or `backbone.conv1`, is clearly meant
    for that module, and is only information.

    Depthwise kernels that `dwconv_decay_mult` excludes are not reported, nor are embeddings, nor
    what `no-decay` or `may-decay` names. Ignore it where a part is excluded on purpose.
    Otherwise write a longer key.
    """

    passes = (Example(RECIPE), Example(SGD, {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0}))
    finds = (
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, **keys(".ffn", decay_mult=0.0)}),
        Example(SGD, keys("conv1", decay_mult=0.0)),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each cause of weights without weight decay."""
        if not subject.plan.optimizer.weight_decay:
            return
        exempt = (*subject.no_decay, *subject.may_decay)
        weights = subject.by_kind["weight"]
        found = [p for p in weights if _is_undecayed(p) and not matching_pattern(exempt, p)]
        for at, parameters in grouped_by(found, cause).items():
            base = setting(subject.plan.optimizer.weight_decay)
            ways = partial(ways_by_key, subject, parameters, at, decay_mult=1.0)
            number = count(parameters, "weight gets", "weights get")
            yield self.diagnostic(
                f"{number} no weight decay from {at[-1]!r}; the base weight decay is {base}",
                at,
                parameters,
                ways if is_key(at) else (),
                Severity.info if _is_path(at, parameters) else None,
                of_decay=True,
            )


def _is_path(at: tuple[str, ...], found: Sequence[Parameter]) -> bool:
    """Whether a custom key names a module from the root, `head` or `backbone.conv1`."""
    return is_key(at) and all(f"{p.name}.".startswith(f"{at[-1].rstrip('.')}.") for p in found)


def _is_undecayed(p: Parameter) -> bool:
    reason = p.reason.weight_decay
    by_option = reason.rule == "dwconv_decay_mult"
    table = p.module_type == "Embedding" or is_in_embedding(p)
    return p.weight_decay == 0 and p.lr != 0 and not (by_option or table)

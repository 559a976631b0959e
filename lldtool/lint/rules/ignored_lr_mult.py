"""LLD306 ignored-lr-mult."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.config.edit import DELETE, Edit
from lldtool.lint.rules._parameters import grouped_by
from lldtool.lint.rules.base import CUSTOM_KEYS, Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, SGD, Example, keys
from lldtool.plan import Parameter
from lldtool.text import plural


class IgnoredLrMult(Rule):
    """A custom key has an `lr_mult` or an `lr`, and the constructor ignores it.

    mmpretrain's layer-decay constructor computes the lr from the depth alone and copies
    `lr_mult` into the param group, where no optimizer reads it: a head that was to learn ten
    times as fast does not.

    Delete it. To give one part another lr, use mmengine's default constructor or write your own.
    """

    severity = Severity.error
    passes = (Example(RECIPE), Example(SGD, keys("head", lr_mult=10)))
    finds = (Example(LAYER_DECAY, {"norm_decay_mult": 0.0, **keys("head", lr_mult=10.0)}),)

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each lr in a key whose parameters get theirs from the layer."""
        by_key = grouped_by(filter(_has_lr_of_layer_alone, subject.parameters), _key)
        for key, entry in subject.custom_keys:
            found = by_key.get((key,), [])
            for option in ("lr_mult", "lr"):
                if option not in entry or not found:
                    continue
                at = (*CUSTOM_KEYS, key, option)
                yield self.diagnostic(
                    f"{option} {entry[option]} of custom key {key!r} does nothing here: "
                    f"the lr of {plural(len(found), 'tensor')} comes from the layer alone",
                    at,
                    found,
                    [[Edit(at, DELETE)]],
                )


def _has_lr_of_layer_alone(p: Parameter) -> bool:
    """Whether a custom key decides for the parameter, and the layer alone gives it its lr."""
    return p.reason.weight_decay.rule == "custom_key" and p.reason.lr.rule == "layer_decay"


def _key(p: Parameter) -> tuple[str, ...]:
    return (p.reason.weight_decay.key or "",)

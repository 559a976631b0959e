"""LLD307 key-undoes-rule."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lldtool.config.selectors import matching_pattern
from lldtool.lint.rules._decay import ways_by_key
from lldtool.lint.rules._parameters import grouped_by
from lldtool.lint.rules.base import CUSTOM_KEYS, Diagnostic, Rule, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, SGD, Example, keys
from lldtool.plan import Parameter
from lldtool.text import plural


class KeyUndoesRule(Rule):
    """A custom key gives weight decay to parameters that an option of the config excludes.

    A custom key decides alone for all parameters that it matches: `norm_decay_mult`,
    `bias_decay_mult` and `flat_decay_mult` do not count there.
    `custom_keys={'backbone': dict(lr_mult=0.1)}`, meant for the lr, makes every norm and bias of
    the backbone get weight decay again.

    Ignore it where that is meant. Otherwise delete the key, use a key that matches fewer names,
    or add longer keys with `decay_mult=0.0` for the parameters to exclude.
    """

    passes = (Example(RECIPE), Example(SGD, keys("backbone.layer4", lr_mult=0.1)))
    finds = (
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, "custom_keys": {"backbone.layers": {}}}),
        Example(SGD, {"norm_decay_mult": 0.0, **keys("backbone.layer4", lr_mult=0.1)}),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each key that gives weight decay to what an option excludes."""
        exempt = (*subject.may_decay, *subject.must_decay)
        found = [p for p in subject.parameters if _undone(p) and not matching_pattern(exempt, p)]
        for (key,), decided in grouped_by(found, _key).items():
            without = subject.effects.undecayed.get(("custom_keys", key))
            parameters = [p for p in decided if without is None or p.name in without]
            if not parameters:
                continue
            options = sorted({rule for p in parameters for rule in _undone(p)})
            at = (*CUSTOM_KEYS, key)
            yield self.diagnostic(
                f"custom key {key!r} undoes {' and '.join(options)}: "
                f"{plural(len(parameters), 'tensor')} would get no weight decay without it",
                at,
                parameters,
                partial(ways_by_key, subject, parameters, at, decay_mult=0.0),
                of_decay=True,
            )


def _undone(p: Parameter) -> list[str]:
    """The options that would give the parameter no weight decay."""
    reason = p.reason.weight_decay
    if reason.rule != "custom_key" or not p.weight_decay:
        return []
    beaten = zip(reason.beats, reason.would_give, strict=False)
    options = [(rule, would) for rule, would in beaten if not rule.startswith("custom_key")]
    # The first of them would decide.
    return [rule for rule, would in options[:1] if would == 0]


def _key(p: Parameter) -> tuple[str, ...]:
    return (p.reason.weight_decay.key or "",)

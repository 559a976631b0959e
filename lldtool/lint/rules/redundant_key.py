"""LLD303 redundant-key."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.analysis.keys import Effect
from lldtool.config.edit import DELETE, Edit
from lldtool.lint.rules._options import custom_keys_read
from lldtool.lint.rules.base import CUSTOM_KEYS, Diagnostic, Fix, Rule, Severity, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, Example, keys


class RedundantKey(Rule):
    """Leaving a custom key out changes nothing.

    lldtool runs the constructor without the key: every parameter keeps its settings, because
    options or other keys set the same. The key does no harm, so this is only information, but
    a key without effect was often meant to have one.

    Delete the key, or run `lldtool explain --keys` to see what else sets these parameters.
    """

    severity = Severity.info
    finds = (Example(LAYER_DECAY, {"norm_decay_mult": 0.0, **keys(".ln1", decay_mult=0.0)}),)

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each key that decides, and without which nothing changes."""
        for key in custom_keys_read(subject):
            if key.decided and subject.effects.removed.get(key.path) == Effect():
                tensors = "1 tensor" if key.decided == 1 else f"{key.decided} tensors"
                yield self.diagnostic(
                    f"custom key {key.name!r} is redundant: the {tensors} that it decides would "
                    "get the same without it",
                    (*CUSTOM_KEYS, key.name),
                    fixes=[Fix([Edit((*CUSTOM_KEYS, key.name), DELETE)], is_noop=True)],
                )

"""LLD303 redundant-key."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.analysis.keys import Effect
from lldtool.config.edit import DELETE, Edit
from lldtool.lint.rules._options import ignored
from lldtool.lint.rules.base import CUSTOM_KEYS, Diagnostic, Fix, Rule, Severity, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, Example


class RedundantKey(Rule):
    """Leaving a custom key out changes nothing.

    lldtool runs the constructor without the key: every parameter keeps its settings, because
    options or other keys set the same. The key does no harm, so this is only information, but
    a key without effect was often meant to have one.

    Delete the key, or run `lldtool explain --keys` to see what else sets these parameters.
    """

    code = "LLD303"
    name = "redundant-key"
    severity = Severity.info
    finds = (
        Example(
            LAYER_DECAY, {"norm_decay_mult": 0.0, "custom_keys": {".ln1": {"decay_mult": 0.0}}}
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Keys that decide something, without which the constructor gives the same."""
        if "custom_keys" in ignored(subject):
            return
        for key in subject.keys:
            if key.is_custom and key.decided and subject.effects.removed.get(key.path) == Effect():
                at = (*CUSTOM_KEYS, key.name)
                number = "1 tensor" if key.decided == 1 else f"{key.decided} tensors"
                yield self.diagnostic(
                    f"custom key {key.name!r} is redundant: the {number} that it decides would get "
                    "the same without it",
                    at,
                    (),
                    [Fix([Edit(at, DELETE)], is_noop=True)],
                )

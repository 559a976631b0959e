"""LLD302 shadowed-key."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.config.edit import DELETE, Edit
from lldtool.lint.rules._options import ignored
from lldtool.lint.rules.base import CUSTOM_KEYS, Diagnostic, Fix, Rule, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, Example


class ShadowedKey(Rule):
    """Longer keys override every match of a custom key.

    The longest key that is part of a name applies alone; the options of shorter keys are not
    merged in. A key has no effect where a longer key overrides each of its matches.

    Ignore it in a file that several models share. Otherwise delete it, or add its options to the
    longer keys.
    """

    code = "LLD302"
    name = "shadowed-key"
    finds = (
        Example(
            LAYER_DECAY,
            {
                "norm_decay_mult": 0.0,
                "custom_keys": {
                    ".cls_token": {"decay_mult": 0.0},
                    "backbone.cls_token": {"decay_mult": 0.0},
                },
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Keys that match and never decide."""
        if "custom_keys" in ignored(subject):
            return
        for key in subject.keys:
            if not key.is_custom or not key.matched or key.decided:
                continue
            takers = " and ".join(repr(name) for name in key.taken)
            verb = "comes" if len(key.taken) == 1 else "come"
            at = (*CUSTOM_KEYS, key.name)
            number = "1 tensor" if key.matched == 1 else f"{key.matched} tensors"
            yield self.diagnostic(
                f"custom key {key.name!r} decides nothing: {takers} {verb} first for the {number} "
                "that it matches",
                at,
                (),
                [Fix([Edit(at, DELETE)], is_noop=True)],
            )

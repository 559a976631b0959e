"""LLD302 shadowed-key."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.config.edit import DELETE, Edit
from lldtool.lint.rules._options import custom_keys_read
from lldtool.lint.rules.base import CUSTOM_KEYS, Diagnostic, Fix, Rule, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, Example, keys


class ShadowedKey(Rule):
    """Longer keys override every match of a custom key.

    The longest key that is part of a name applies alone; the options of shorter keys are not
    merged in. A key has no effect where a longer key overrides each of its matches.

    Ignore it in a file that several models share. Otherwise delete it, or add its options to the
    longer keys.
    """

    finds = (
        Example(
            LAYER_DECAY,
            {"norm_decay_mult": 0.0, **keys(".cls_token", "backbone.cls_token", decay_mult=0.0)},
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each key that matches parameters and decides for none."""
        for key in custom_keys_read(subject):
            if not key.matched or key.decided:
                continue
            takers = " and ".join(repr(name) for name in key.taken)
            verb = "comes" if len(key.taken) == 1 else "come"
            tensors = "1 tensor" if key.matched == 1 else f"{key.matched} tensors"
            yield self.diagnostic(
                f"custom key {key.name!r} decides nothing: {takers} {verb} first for the {tensors} "
                "that it matches",
                (*CUSTOM_KEYS, key.name),
                fixes=[Fix([Edit((*CUSTOM_KEYS, key.name), DELETE)], is_noop=True)],
            )

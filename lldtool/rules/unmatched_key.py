"""LLD301 unmatched-key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from lldtool.findings import Severity
from lldtool.keys import Effect
from lldtool.rules._decay import custom_keys
from lldtool.rules._options import near_part
from lldtool.rules._parameters import is_embedding_name
from lldtool.rules.base import DELETE, PARAMWISE_CFG, Edit, Example, Found, Rule, Subject


class UnmatchedKey(Rule):
    """A custom key matches no parameter.

    A key is part of a parameter's full name, and one that is part of none is ignored without a
    word: a typo, a module that has another name in this backbone, or a line copied from another
    config. What it was meant for trains with the base settings.

    A key that names a token or a position embedding which this model does not have leaves
    nothing decayed, and is information.

    Ignore it in a file that several models share. Else delete the key, or write the name that
    the model has; `lldtool inspect --params` lists them.
    """

    code = "LLD301"
    name = "unmatched-key"
    severity = Severity.warning
    passes: ClassVar = [
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        flat_decay_mult=0.0,
        custom_keys={
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
        }))
""",
        ),
    ]
    finds: ClassVar = [
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        layer_decay_rate=0.75,
        norm_decay_mult=0.0,
        custom_keys={'.cls_tokn': dict(decay_mult=0.0)}))
""",
        ),
        Example(
            """\
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(
        custom_keys={'.cls_token': dict(decay_mult=0.0)}))
""",
            model="resnet",
        ),
    ]

    def check(self, subject: Subject) -> Iterator[Found]:
        """Keys that are part of no name, frozen parameters included."""
        if not _looks_at_keys(subject):
            return
        matched = {key.name: key.matched for key in subject.keys if key.is_custom}
        for key, entry in custom_keys(subject):
            if matched.get(key) or any(key in name for name in _unexplained(subject, matched[key])):
                continue
            if subject.effects.removed.get(("custom_keys", key), Effect()) != Effect():
                continue  # a constructor that reads keys in a way of its own
            path = (*PARAMWISE_CFG, "custom_keys")
            ways = [[Edit((*path, key), DELETE)]]
            meant = near_part(key, [p.name for p in subject.plan.parameters])
            hint = ""
            if meant is not None and meant not in dict(custom_keys(subject)):
                hint = f"; did you mean {meant!r}?"
                ways = [[*ways[0], Edit((*path, meant), entry)]]
            harmless = not hint and is_embedding_name(key.strip("."))
            severity = Severity.info if harmless else None
            message = f"custom key {key!r} matches no parameter{hint}"
            yield Found(message, (*path, key), (), ways, severity, changes_nothing=not hint)


def _looks_at_keys(subject: Subject) -> bool:
    """LLD305 has it where the constructor looks at no custom keys."""
    reads = subject.plan.constructor.reads
    return reads is None or "custom_keys" in reads


def _unexplained(subject: Subject, matched: int | None) -> list[str]:
    """The names that a key may be part of, for all that the reasons say: those not in a group.

    Where reasons say nothing, all names, with the dot that mmengine puts before some.
    """
    everything = [f".{p.name}" for p in subject.plan.every_parameter]
    untrained = [p.name for p in (*subject.plan.frozen, *subject.plan.left_out)]
    return everything if matched is None else untrained

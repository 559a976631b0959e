"""What the rules share that are about parameters which should get no weight decay."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from lldtool.config.edit import DELETE, PARAMWISE_CFG, Edit
from lldtool.config.selectors import matching_pattern
from lldtool.lint.rules._parameters import covering_keys, grouped_by, is_embedding_name
from lldtool.lint.rules.base import (
    CONSTRUCTOR,
    CUSTOM_KEYS,
    Diagnostic,
    Rule,
    Severity,
    Subject,
    count,
)
from lldtool.plan import NO_WEIGHT_DECAY, Parameter
from lldtool.text import setting

#: Kind of parameter -> the options that exclude it from weight decay, and what a custom key has in
#: its name that is meant for it.
_EXCLUDED_BY = {
    "norm": (("norm_decay_mult", "flat_decay_mult"), r"norm|ln|bn|\bgn"),
    "bias": (("bias_decay_mult", "flat_decay_mult"), r"bias"),
    "vector": (("flat_decay_mult",), r"gamma|scale|beta|alpha"),
    "embedding": ((), r"embed|token|table|rel_pos"),
}
#: How many keys are named.
_MOST_KEYS = 3
#: Optimizers that apply weight decay apart from the gradient; there, excluding norms is the custom.
_DECOUPLED = re.compile(r".*(AdamW|Lion|Lamb|LAMB|Adan|Sophia|Prodigy).*")


#: What the pages of these rules say of their severity.
_OF_SEVERITY = """
It is {error} where the config says that {them} are to be excluded: it excludes some of them, or
names an option or key that would{only} a constructor of layer-wise decay, whose recipes exclude
them. Otherwise weight decay for all tensors may be meant: that is only information with AdamW and
its relatives, and not reported with SGD.
"""
_ONLY_NAMES = {
    Severity.error: ". It is a warning where the config only names",
    Severity.warning: "; also where it names",
}


class DecayRule(Rule):
    """A rule for weight decay on parameters of a `kind`, which messages call a `noun`.

    The severity follows what the config says, as the rule's page explains.
    """

    kind: ClassVar[str]
    noun: ClassVar[str] = "tensor"

    @property
    def page(self) -> str:
        """The docstring, with what all these rules say of their severity before the last part."""
        text = _OF_SEVERITY.format(
            error="an error" if self.severity is Severity.error else "a warning",
            them="biases" if self.kind == "bias" else f"{self.kind}s",
            only=_ONLY_NAMES[self.severity],
        )
        *paragraphs, last = super().page.split("\n\n")
        return "\n\n".join([*paragraphs, textwrap.fill(text.strip(), 96), last])

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each cause of weight decay on parameters of the kind."""
        members = subject.by_kind[self.kind]
        exempt = (*subject.may_decay, *subject.must_decay)
        found = [
            p for p in members if p.weight_decay and p.lr != 0 and not matching_pattern(exempt, p)
        ]
        severity = None
        if not _is_meant_to_be_excluded(subject, self.kind, members):
            severity = Severity.warning if subject.decays_by_layer else Severity.info
            if severity is Severity.info and not _DECOUPLED.fullmatch(subject.plan.optimizer.type):
                return
        for at, parameters in grouped_by(found, cause).items():
            decays = " or ".join(dict.fromkeys(setting(p.weight_decay) for p in parameters))
            tensors = count(parameters, f"{self.noun} gets", f"{self.noun}s get")
            message = f"{tensors} weight decay {decays}{_why(subject, at, parameters)}"
            fixes = partial(_fixes, subject, self.kind, parameters, at)
            yield self.diagnostic(message, at, parameters, fixes, severity, of_decay=True)


def _fixes(
    subject: Subject, kind: str, parameters: Sequence[Parameter], at: tuple[str, ...]
) -> list[list[Edit]]:
    """Return edits of the options and custom keys that may exclude parameters of a kind."""
    options = () if is_key(at) else _EXCLUDED_BY[kind][0]
    by_option = [[Edit((*PARAMWISE_CFG, option), 0.0)] for option in options]
    return by_option + ways_by_key(subject, parameters, at, decay_mult=0.0)


def cause(p: Parameter) -> tuple[str, ...]:
    """Return the entry of the config that gave a parameter its weight decay, or did not."""
    reason = p.reason.weight_decay
    if reason.rule == "custom_key" and reason.key is not None:
        return (*CUSTOM_KEYS, reason.key)
    if reason.rule.endswith("_mult"):
        return (*PARAMWISE_CFG, reason.rule)
    if reason.rule == "constructor":
        return CONSTRUCTOR
    return PARAMWISE_CFG


def _is_meant_to_be_excluded(subject: Subject, kind: str, members: Sequence[Parameter]) -> bool:
    """Whether the config or the model says that this kind is to get no weight decay."""
    options, _ = _EXCLUDED_BY[kind]
    config = subject.paramwise_cfg
    # A key that excludes a whole module, weights and all, says nothing of the kind.
    whole = {cause(p) for p in subject.by_kind["weight"] if not p.weight_decay}
    return (
        any(p.weight_decay == 0 and cause(p) not in whole for p in members)
        or any(config.get(option) == 0 for option in options)
        or any(_kind_meant(key) == kind for key in _keys_of_nothing(subject))
        or any(NO_WEIGHT_DECAY in p.traits for p in members)
    )


def _keys_of_nothing(subject: Subject) -> list[str]:
    """The custom keys with decay_mult 0 that match no trained parameter: only the name tells."""
    trained = "\n".join(p.name for p in subject.parameters)
    return [k for k, v in subject.custom_keys if v.get("decay_mult") == 0 and k not in trained]


def _kind_meant(key: str) -> str | None:
    """The kind that a key is meant for by its name: `relative_position_bias_table` is no bias."""
    if is_embedding_name(key.strip(".").rpartition(".")[2]):
        return "embedding"
    words = ((kind, words) for kind, (_, words) in _EXCLUDED_BY.items())
    return next((kind for kind, pattern in words if re.search(pattern, key)), None)


def _why(subject: Subject, at: tuple[str, ...], parameters: Sequence[Parameter]) -> str:
    if is_key(at):
        return f" from custom key {at[-1]!r}"
    if at[:2] == PARAMWISE_CFG and len(at) == 3:
        return f" from {at[-1]}"
    if at == PARAMWISE_CFG and subject.paramwise_cfg:
        return _what_misses(subject, parameters)
    return ": nothing in the config excludes any tensor" if at == PARAMWISE_CFG else ""


def _what_misses(subject: Subject, parameters: Sequence[Parameter]) -> str:
    """The custom keys that exclude others and do not match these, or that there are none."""
    them = "it" if len(parameters) == 1 else "them"
    excluding = {cause(p)[-1] for p in subject.plan.parameters if not p.weight_decay}
    missed = [
        key
        for key, value in subject.custom_keys
        if value.get("decay_mult") == 0
        and key in excluding
        and all(f"custom_key:{key}" in p.reason.weight_decay.misses for p in parameters)
    ]
    if not missed:
        return f": no custom key or paramwise_cfg option excludes {them}"
    keys, more = ", ".join(map(repr, missed[:_MOST_KEYS])), len(missed) - _MOST_KEYS
    keys += f" and {more} more" if more > 0 else ""
    if len(missed) == 1:
        return f": custom key {keys} excludes others, but does not match {them}"
    return f": custom keys {keys} exclude others, but do not match {them}"


def is_key(at: tuple[str, ...]) -> bool:
    """Whether an entry is a custom key."""
    return at[-2:-1] == ("custom_keys",)


def ways_by_key(
    subject: Subject, found: Sequence[Parameter], at: tuple[str, ...], *, decay_mult: float
) -> list[list[Edit]]:
    """Return edits of custom keys that may give these parameters a multiplier, and change no other.

    Args:
        subject: of the config.
        found: the parameters.
        at: the entry that gave them their weight decay.
        decay_mult: what they are to have.
    """
    ways: list[list[Edit]] = []
    entry: dict[str, object] = {}
    if is_key(at):
        ways = [[Edit((*at, "decay_mult"), decay_mult)], [Edit(at, DELETE)]]
        entry = dict(subject.custom_keys).get(at[-1], {})
    names = {p.name for p in found}
    free = {
        p.name
        for p in subject.plan.parameters
        if not p.is_trained or bool(p.weight_decay) is bool(decay_mult)
    } - names
    longer_than = len(at[-1]) if is_key(at) else 0
    keys = covering_keys(subject.names, names, free, longer_than=longer_than)
    if keys:
        ways.append([_entry(key, {**entry, "decay_mult": decay_mult}) for key in keys])
    if is_key(at):
        ways += _narrowed(subject, names, at[-1], entry, decay_mult)
    return ways


def _narrowed(
    subject: Subject, names: set[str], key: str, entry: dict[str, object], decay_mult: float
) -> list[list[Edit]]:
    """Return the edits that replace a key by some that do not match these names.

    Where it says more than a weight decay, other keys say that for these names.
    """
    matched = {p.name for p in subject.plan.parameters if cause(p)[-1] == key}
    kept = covering_keys(subject.names, matched - names)
    if not kept:
        return []
    edits = [Edit((*CUSTOM_KEYS, key), DELETE), *(_entry(one, entry) for one in kept)]
    if not entry.keys() - {"decay_mult"}:
        return [edits]
    new = covering_keys(subject.names, names, most=4 - len(kept))
    return [[*edits, *(_entry(k, {**entry, "decay_mult": decay_mult}) for k in new)]] if new else []


def _entry(key: str, content: dict[str, object]) -> Edit:
    return Edit((*CUSTOM_KEYS, key), content)

"""What the rules share that are about parameters which should not be decayed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lldtool.findings import Severity
from lldtool.plan import NO_WEIGHT_DECAY, Parameter
from lldtool.rules._parameters import covering_keys, grouped_by, matches
from lldtool.rules.base import DELETE, PARAMWISE_CFG, Edit, Found, Subject
from lldtool.text import plural, setting

#: Kind of parameter -> the options that spare it, and what a custom key says that means it.
_SPARED_BY = {
    "norm": (("norm_decay_mult", "flat_decay_mult"), r"norm|ln|bn|\bgn"),
    "bias": (("bias_decay_mult", "flat_decay_mult"), r"bias"),
    "vector": (("flat_decay_mult",), r"gamma|scale|beta|alpha"),
    "embedding": ((), r"embed|token|table|rel_pos"),
}
#: How many keys are named.
_MOST_KEYS = 3
#: Optimizers that apply weight decay apart from the gradient; there, sparing norms is the custom.
_DECOUPLED = re.compile(r".*(AdamW|Lion|Lamb|LAMB|Adan|Sophia|Prodigy).*")


def decayed(subject: Subject, kind: str, noun: str) -> Iterator[Found]:
    """The decayed parameters of a kind, a finding for each cause.

    Where nothing in the config says that the kind is to be spared, and no layer-decay constructor
    asks for the customs of fine-tuning, weight decay for all is what the config says: that is
    information with an optimizer of decoupled weight decay, and nothing with SGD.
    """
    members = subject.by_kind[kind]
    exempt = (*subject.may_decay, *subject.must_decay)
    found = [p for p in members if p.weight_decay and p.lr != 0 and not matches(exempt, p)]
    severity = None
    if not _is_to_be_spared(subject, kind, members):
        if not _DECOUPLED.fullmatch(subject.plan.optimizer.type):
            return
        severity = Severity.info
    for at, parameters in grouped_by(found, cause).items():
        decays = " or ".join(dict.fromkeys(setting(p.weight_decay) for p in parameters))
        verb = "is" if len(parameters) == 1 else "are"
        why = _why(subject, at, parameters)
        message = f"{plural(len(parameters), noun)} {verb} decayed, at {decays}{why}"
        options = (
            [] if is_key(at) else [[Edit((*PARAMWISE_CFG, o), 0.0)] for o in _SPARED_BY[kind][0]]
        )
        ways = [*options, *ways_by_key(subject, parameters, at, decay_mult=0.0)]
        yield Found(message, at, parameters, ways, severity, only_decay=True)


def cause(p: Parameter) -> tuple[str, ...]:
    """The entry of the config that gave a parameter its weight decay, or did not."""
    reason = p.reason.weight_decay
    if reason.rule == "custom_key" and reason.key is not None:
        return (*PARAMWISE_CFG, "custom_keys", reason.key)
    if reason.rule.endswith("_mult"):
        return (*PARAMWISE_CFG, reason.rule)
    if reason.rule == "constructor":
        return ("optim_wrapper", "constructor")
    return PARAMWISE_CFG


def _is_to_be_spared(subject: Subject, kind: str, members: Sequence[Parameter]) -> bool:
    options, words = _SPARED_BY[kind]
    config = subject.paramwise_cfg
    keys = (key for key, value in custom_keys(subject) if value.get("decay_mult") == 0)
    # A key that spares a whole module, weights and all, says nothing of the kind.
    whole = {cause(p) for p in subject.by_kind["weight"] if not p.weight_decay}
    return (
        subject.decays_by_layer
        or any(p.weight_decay == 0 and cause(p) not in whole for p in members)
        or any(config.get(option) == 0 for option in options)
        or any(re.search(words, key) for key in keys)
        or any(NO_WEIGHT_DECAY in p.traits for p in members)
    )


def custom_keys(subject: Subject) -> list[tuple[str, dict[str, object]]]:
    """The custom keys with their entries."""
    keys = subject.paramwise_cfg.get("custom_keys", None)
    known = keys.items() if isinstance(keys, dict) else ()
    return [(key, value) for key, value in known if isinstance(value, dict)]


def _why(subject: Subject, at: tuple[str, ...], parameters: Sequence[Parameter]) -> str:
    if is_key(at):
        return f": custom key {at[-1]!r} decides"
    if at[:2] == PARAMWISE_CFG and len(at) == 3:
        return f" by {at[-1]}"
    if at == PARAMWISE_CFG and subject.paramwise_cfg:
        return _what_misses(subject, parameters)
    return ": nothing in the config excludes any" if at == PARAMWISE_CFG else ""


def _what_misses(subject: Subject, parameters: Sequence[Parameter]) -> str:
    """Return which custom keys exclude other parameters but not these, or that there are none."""
    them, their = ("it", "its name") if len(parameters) == 1 else ("them", "their names")
    excluding = {cause(p)[-1] for p in subject.plan.parameters if not p.weight_decay}
    missed = [
        key
        for key, value in custom_keys(subject)
        if value.get("decay_mult") == 0
        and key in excluding
        and all(f"custom_key:{key}" in p.reason.weight_decay.misses for p in parameters)
    ]
    if not missed:
        return f": no custom key or paramwise_cfg option excludes {them}"
    keys, more = ", ".join(map(repr, missed[:_MOST_KEYS])), len(missed) - _MOST_KEYS
    keys += f" and {more} more" if more > 0 else ""
    if len(missed) == 1:
        return f": custom key {keys} excludes others and does not match {their}"
    return f": custom keys {keys} exclude others and do not match {their}"


def is_key(at: tuple[str, ...]) -> bool:
    """Whether an entry is a custom key."""
    return at[-2:-1] == ("custom_keys",)


def ways_by_key(
    subject: Subject, found: Sequence[Parameter], at: tuple[str, ...], *, decay_mult: float
) -> list[list[Edit]]:
    """Edits of custom keys that may give these parameters a multiplier, and change no other.

    Args:
        subject: of the config.
        found: the parameters.
        at: the entry that gave them their weight decay.
        decay_mult: what they are to have.
    """
    ways: list[list[Edit]] = []
    path, entry = (*PARAMWISE_CFG, "custom_keys"), {}
    if is_key(at):
        ways = [[Edit((*at, "decay_mult"), decay_mult)], [Edit(at, DELETE)]]
        entry = dict(custom_keys(subject)).get(at[-1], {})
    names = [p.name for p in found]
    same = [p.name for p in subject.parameters if bool(p.weight_decay) is bool(decay_mult)]
    others = {p.name for p in subject.plan.parameters} - {*names, *same}
    keys = covering_keys(names, others, longer_than=len(at[-1]) if is_key(at) else 0)
    if keys:
        ways.append([Edit((*path, key), {**entry, "decay_mult": decay_mult}) for key in keys])
    return ways

"""LLD301 unmatched-key."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from lldtool.analysis.keys import Effect
from lldtool.analysis.option_names import near_part
from lldtool.config.edit import DELETE, Edit
from lldtool.lint.rules._options import ignored
from lldtool.lint.rules._parameters import covering_keys, grouped_by, is_embedding_name
from lldtool.lint.rules.base import CUSTOM_KEYS, Diagnostic, Fix, Rule, Severity, Subject
from lldtool.lint.rules.examples import ADAMW, LAYER_DECAY, SGD, Example, keys
from lldtool.text import plural, ranges

_NUMBER = re.compile(r"\d+")
#: Signs of globs and regular expressions, which are in no name.
_PATTERN = re.compile(r"[*?+|^$()\[\]{}\\]")
_NO_PATTERN = ": a key is a part of a name, not a pattern"
#: How many keys a pattern may become; there may be one for each block.
_MOST_KEYS = 24


class UnmatchedKey(Rule):
    """A custom key matches no parameter.

    A key matches the parameters whose full name it is part of. One that is part of no name is
    ignored without a message: it is a typo, a module that has another name in this backbone, a
    block that the model does not have, or a line copied from another config. What it was meant
    for trains with the base settings.

    Keys that differ only in their numbers, and those of blocks that the model does not have, are
    one finding. A key that names a token or a position embedding which this model does not have
    does no harm, and is only information.

    Ignore it in a file that several models share. Otherwise delete the key, or write the name
    that the model has; `lldtool inspect --params` lists them.
    """

    finds = (
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, **keys(".cls_tokn", decay_mult=0.0)}),
        Example(SGD, keys(".cls_token", decay_mult=0.0)),
        Example(SGD, keys("backbone.layer0", lr_mult=0.0)),
        Example(
            ADAMW,
            {
                "custom_keys": {
                    "backbone.layers.11.": {"lr_mult": 0.1},
                    "backbone.layers.12.": {"lr_mult": 0.2},
                    "backbone.layers.13.": {"lr_mult": 0.3},
                }
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for the keys that match no name; for those of one cause together."""
        if "custom_keys" in ignored(subject):
            return
        names = [p.name for p in subject.plan.every_parameter]
        unmatched = _unmatched(subject)
        for members in grouped_by(unmatched, lambda one: _cause(one[0], names)).values():
            keys = dict(members)
            why, fixes = _explained(subject, keys, names)
            harmless = all(is_embedding_name(key.strip(".")) for key in keys) and not fixes
            delete = [Edit((*CUSTOM_KEYS, key), DELETE) for key in keys]
            yield self.diagnostic(
                f"{_subject_of(list(keys))}{why}",
                (*CUSTOM_KEYS, members[0][0]),
                (),
                [*fixes, Fix(delete, is_noop=not fixes)],
                Severity.info if harmless else None,
            )


def _unmatched(subject: Subject) -> list[tuple[str, dict[str, object]]]:
    """The custom keys that match no name, and their entries."""
    plan, removed = subject.plan, subject.effects.removed
    matched = {key.name: key.matched for key in subject.keys if key.is_custom}
    # Where reasons say nothing a key may be part of any name, with the dot that mmengine puts
    # before some; else of a name in no group.
    everything = "\n".join(f".{p.name}" for p in plan.every_parameter)
    in_no_group = "\n".join(p.name for p in (*plan.frozen, *plan.left_out))
    return [
        (key, entry)
        for key, entry in subject.custom_keys
        if not matched[key]
        and key not in (everything if matched[key] is None else in_no_group)
        # A constructor may read keys in a way of its own.
        and removed.get(("custom_keys", key), Effect()) == Effect()
    ]


def _cause(key: str, names: Sequence[str]) -> tuple[str, ...]:
    """The same for keys that match nothing for the same cause.

    That is a number which is too high, whatever comes after it; else the keys differ in their
    numbers only.
    """
    too_high = _numbers_there(key, names)
    return ("number", too_high[0]) if too_high else ("name", _NUMBER.sub("#", key))


def _subject_of(keys: Sequence[str]) -> str:
    if len(keys) == 1:
        return f"custom key {keys[0]!r} matches no parameter"
    if len(keys) == 2:
        return f"custom keys {keys[0]!r} and {keys[1]!r} match no parameter"
    return f"{len(keys)} custom keys, {keys[0]!r} to {keys[-1]!r}, match no parameter"


def _explained(
    subject: Subject, keys: Mapping[str, dict[str, object]], names: Sequence[str]
) -> tuple[str, list[Fix]]:
    """Why keys match nothing, where that is certain, and what to write for them."""
    first = next(iter(keys))
    too_high = _numbers_there(first, names)
    if too_high is not None:
        return _what_there_is(*too_high), []
    if _PATTERN.search(first):
        return _NO_PATTERN, _by_pattern(subject, keys)
    meant = {key: near_part(key, names) for key in keys}
    taken = dict(subject.custom_keys)
    if any(right is None or right in taken for right in meant.values()):
        return "", []
    hint = f"; did you mean {meant[first]!r}?"
    edits = [
        edit
        for key, right in meant.items()
        for edit in (Edit((*CUSTOM_KEYS, key), DELETE), Edit((*CUSTOM_KEYS, str(right)), keys[key]))
    ]
    return "", [Fix(edits, hint, must_change=True, may_retrain=True)]


def _numbers_there(key: str, names: Sequence[str]) -> tuple[str, tuple[int, ...]] | None:
    """Return what comes before the first number of a key that no name has, and which there are.

    `backbone.layers.12.ln1` -> `backbone.layers.`, 0 to 11; None where no number is to blame.
    """
    text = "\n".join(names)
    for number in _NUMBER.finditer(key):
        before = key[: number.start()]
        there = {int(n) for n in re.findall(rf"{re.escape(before)}(\d+)(?!\d)", text)}
        if before.strip(".") and there and int(number[0]) not in there:
            return before, tuple(sorted(there))
    return None


def _what_there_is(before: str, numbers: Sequence[int]) -> str:
    name = before.strip(".")
    if before.endswith("."):
        return f": {name!r} has {plural(len(numbers), 'block')} only, {ranges(numbers, ' to ')}"
    there = [f"{before.lstrip('.')}{number}" for number in numbers]
    if len(there) == 1:
        return f": there is {there[0]!r} only"
    return f": there are {there[0]!r} to {there[-1]!r} only"


def _by_pattern(subject: Subject, keys: Mapping[str, dict[str, object]]) -> list[Fix]:
    """Return the keys that match what a glob or regular expression would."""
    edits: list[Edit] = []
    for key, entry in keys.items():
        matched = {p.name for p in subject.plan.parameters if _is_like(key, p.name)}
        new = covering_keys(subject.names, matched, most=_MOST_KEYS) if matched else None
        if new is None:
            return []
        edits.append(Edit((*CUSTOM_KEYS, key), DELETE))
        edits += [Edit((*CUSTOM_KEYS, one), entry) for one in new]
    return [Fix(edits, must_change=True, may_retrain=True)]


def _is_like(pattern: str, name: str) -> bool:
    """Whether a part of a name is like a glob, or like a regular expression."""
    if fnmatchcase(name, f"*{pattern}*"):
        return True
    with contextlib.suppress(re.error):
        return re.search(pattern, name) is not None
    return False

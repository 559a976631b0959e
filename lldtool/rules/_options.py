"""The options of `paramwise_cfg`: which there are, which a constructor ignores, what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence

from lldtool.keys import Effect
from lldtool.plan import Constructor
from lldtool.rules.base import Subject
from lldtool.text import plural

#: Option -> the constructors that know it. Sources: mmengine 0.10.7, mmpretrain 1.2, mmdet 3.3,
#: mmseg 1.2, mmpose 1.3 and mmaction2 1.2.
KNOWN_OPTIONS = {
    "custom_keys": "mmengine and mmpretrain",
    "norm_decay_mult": "mmengine and mmpretrain",
    "bias_decay_mult": "mmengine and mmpretrain",
    "flat_decay_mult": "mmengine and mmpretrain",
    "dwconv_decay_mult": "mmengine's default constructor",
    "bias_lr_mult": "mmengine's default constructor",
    "dcn_offset_lr_mult": "mmengine's default constructor",
    "bypass_duplicate": "mmengine's default constructor",
    "layer_decay_rate": "mmpretrain and mmpose",
    "decay_rate": "mmdet, mmseg and mmaction2",
    "decay_type": "mmdet and mmseg",
    "num_layers": "mmdet, mmseg, mmpose and mmaction2",
}
#: The rate of layer decay, by the constructors' names for it, and what others and people call it.
_RATES = ("layer_decay_rate", "decay_rate")
_RATE_NICKNAMES = ("layer_decay", "lr_decay_rate", "lr_decay", "llrd", "layer_lr_decay")


def ignored(subject: Subject) -> list[str]:
    """The options that have no effect on what the constructor does, whatever their value.

    Where that was not measured, as for a saved plan, those that the constructor did not read.
    """
    reads = subject.plan.constructor.reads
    found = []
    for option in subject.paramwise_cfg:
        measured = subject.effects.changed.get((option,))
        if measured is None:
            has_effect = reads is None or option in reads
        else:
            removal = subject.effects.removed[option,]
            has_effect = measured != Effect() or (reads is None and removal != Effect())
        if not has_effect:
            found.append(option)
    return found


def removal_text(subject: Subject, option: str) -> str:
    """What leaving an option out changes, though its value has no effect; or nothing."""
    removal = subject.effects.removed.get((option,), Effect())
    number = removal.settings + removal.moved
    if not number:
        return ""
    return f"; leaving it out changes {plural(number, 'tensor')}, as paramwise_cfg is empty then"


def rate_option(constructor: Constructor) -> str:
    """What a layer-decay constructor calls its rate."""
    known = [option for option in _RATES if option in (constructor.reads or ())]
    by_name = "LearningRateDecayOptimizerConstructor" in (constructor.type, *constructor.bases)
    return known[0] if known else _RATES[by_name]


def same_meaning(option: str, reads: Collection[str]) -> str | None:
    """What the constructor calls an option of another one, or None."""
    return next((o for o in _RATES if o in reads), None) if option in _RATES else None


def near(name: str, options: Sequence[str]) -> str | None:
    """The option that may have been meant by a name."""
    rates = {*_RATES, *_RATE_NICKNAMES}
    if name in rates:
        same = [option for option in options if option in rates]
        if same:
            return same[0]
    return next(iter(difflib.get_close_matches(name, options, n=1, cutoff=0.75)), None)


def near_part(key: str, names: Iterable[str]) -> str | None:
    """The part of some parameter's name that a custom key may have been meant to be."""
    parts = key.count(".") + (not key.startswith("."))
    found = {
        ".".join(pieces[start : start + max(1, parts)])
        for pieces in (name.split(".") for name in names)
        for start in range(len(pieces))
    }
    bare = key.strip(".")
    close = difflib.get_close_matches(bare, sorted(found), n=1, cutoff=0.8)
    if not close:
        return None
    head = "." if key.startswith(".") else ""
    return head + close[0] + ("." if key.endswith(".") else "")

"""The options of `paramwise_cfg`, and what a misspelt option or name was meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Sequence

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
_NUMBER = re.compile(r"\d+")
#: What stands for the numbers in names that are compared.
_ANY_NUMBER = "#"
#: The rate of layer decay, by the constructors' names for it, and what others and people call it.
RATES = ("layer_decay_rate", "decay_rate")
_RATE_NICKNAMES = ("layer_decay", "lr_decay_rate", "lr_decay", "llrd", "layer_lr_decay")


def near(name: str, options: Sequence[str]) -> str | None:
    """Return the option that may have been meant by a name."""
    rates = {*RATES, *_RATE_NICKNAMES}
    if name in rates:
        same = [option for option in options if option in rates]
        if same:
            return same[0]
    similar = [option for option in options if is_misspelling(name, option)]
    return next(iter(difflib.get_close_matches(name, similar, n=1, cutoff=0.75)), None)


def is_misspelling(written: str, meant: str) -> bool:
    """Whether one name may be another one misspelt: `norm_decy_mult`, not `head_decay_mult`.

    Each word has to be similar, and numbers have to be equal. Underscores may be missing.
    """
    if _NUMBER.findall(written) != _NUMBER.findall(meant):
        return False
    words, right = written.split("_"), meant.split("_")
    if len(words) == len(right):
        return all(_likeness(a, b) >= 0.6 for a, b in zip(words, right, strict=True))
    cut_short = len(words) > 1 and words == right[: len(words)]
    return cut_short or "".join(words) == "".join(right)


def _likeness(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio() if a != b else 1.0


def near_part(key: str, names: Collection[str]) -> str | None:
    """Return the part of some parameter's name that a custom key may have been meant to be.

    It has as many parts as the key, each of which may be misspelt, and the key's numbers.
    """
    parts = key.strip(".").split(".")
    written = _without_numbers(parts)
    found = {
        window
        for pieces in {tuple(_without_numbers(name.split("."))) for name in names}
        for start in range(len(pieces) - len(parts) + 1)
        if (window := pieces[start : start + len(parts)]) != written
    }
    similar = [".".join(w) for w in found if all(map(is_misspelling, written, w))]
    close = difflib.get_close_matches(".".join(written), sorted(similar), n=1, cutoff=0.8)
    if not close:
        return None
    numbers = iter(_NUMBER.findall(key))
    bare = re.sub(_ANY_NUMBER, lambda _: next(numbers, ""), close[0])
    head, tail = "." * key.startswith("."), "." * key.endswith(".")
    ways = (head + bare + tail, head + bare, bare)
    return next((way for way in ways if any(way in name for name in names)), None)


def _without_numbers(parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(_NUMBER.sub(_ANY_NUMBER, part) for part in parts)

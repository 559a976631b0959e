"""What kind of parameter one is, and which custom keys would match just some of them."""

from __future__ import annotations

import heapq
import math
import re
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from lldtool.plan import NO_WEIGHT_DECAY, NORM, Parameter

#: Classes that are norms by their name: RMSNorm, LayerNorm2d, HorNetLayerNorm, GRN, FRN.
_NORM_CLASS = re.compile(r".*Norm(?![a-z]).*|G?RN|FRN|LN|BN|.*_norm", re.ASCII)
#: Classes whose `weight` is a matrix or kernel, of whatever shape.
_KERNEL_CLASS = re.compile(r".*(Linear|Conv)")
#: Tables, tokens and position embeddings, by the last part of the name.
_EMBEDDING = re.compile(
    r"""
    .*(pos|position|positional)_?(emb|embed|embeds|embedding|embeddings|enc|encoding)s?(_\w+)?
    | (\w+_)?(cls|class|dist|distillation|reg|register|mask|storage)_?(token|embedding)s?(_\w+)?
    | (\w+_)?rel(ative)?_(pos|position|attention)(_bias)?(_table|_h|_w)?
    | (\w+_)?rel(ative)?_pos(ition)?_(bias|embed\w*)
    | attention_bias(es)? | cpb_mlp | (\w+_)?pos
    """,
    re.VERBOSE,
)
#: Modules whose `weight` is a table with a row for each position or token.
_TABLE_CLASS = re.compile(r".*Embedding.*")

Member = TypeVar("Member")


def is_valid_setting(value: float | None) -> bool:
    """Whether an lr or weight decay is one that a training can have; None is none."""
    return value is None or (math.isfinite(value) and value >= 0)


def is_norm(p: Parameter) -> bool:
    """A parameter of a normalization layer: torch's, what inherits from them, or so called."""
    return NORM in p.traits or (
        _NORM_CLASS.fullmatch(p.module_type) is not None and len(_sizes(p)) <= 1
    )


def is_embedding(p: Parameter) -> bool:
    """A position embedding, a token, a table of relative positions, or declared by the model."""
    if NO_WEIGHT_DECAY in p.traits:
        return True
    *_, module, last = ["", *re.sub(r"(\.\d+)+$", "", p.name).split(".")]
    if _EMBEDDING.fullmatch(last):
        return True
    in_table = last == "weight" and _TABLE_CLASS.fullmatch(p.module_type)
    return bool(in_table and _EMBEDDING.fullmatch(module))


def is_embedding_name(name: str) -> bool:
    """Whether a token, a position embedding or a table would be called so."""
    return _EMBEDDING.fullmatch(name) is not None


def is_in_embedding(p: Parameter) -> bool:
    """Whether the parameter, or a module that it is in, is called so."""
    return any(map(is_embedding_name, p.name.split(".")))


def is_bias(p: Parameter) -> bool:
    """A bias, whatever comes before the word: `bias`, `q_bias`, `in_proj_bias`."""
    last = p.name.rpartition(".")[2]
    return last.endswith("bias") and len(_sizes(p)) <= 1


def is_vector(p: Parameter) -> bool:
    """At most one dimension."""
    return len(p.shape) <= 1


def kind_of(p: Parameter) -> str:
    """`norm`, `embedding`, `bias`, `vector`, `scale` or `weight`: the first that it is.

    A scale is a vector with dimensions of size 1 beside it, as a temperature for each head.
    """
    return next((kind for kind, holds in _KINDS.items() if holds(p)), "weight")


_KINDS: dict[str, Callable[[Parameter], bool]] = {
    "norm": is_norm,
    "embedding": is_embedding,
    "bias": is_bias,
    "vector": is_vector,
    "scale": lambda p: len(_sizes(p)) <= 1 and not _KERNEL_CLASS.match(p.module_type),
}


def _sizes(p: Parameter) -> list[int]:
    """The dimensions that are more than 1."""
    return [size for size in p.shape if size != 1]


def grouped_by(
    members: Iterable[Member], key: Callable[[Member], tuple[str, ...]]
) -> dict[tuple[str, ...], list[Member]]:
    """The members under what the key gives for them, in their order."""
    groups: dict[tuple[str, ...], list[Member]] = defaultdict(list)
    for member in members:
        groups[key(member)].append(member)
    return dict(groups)


def covering_keys(
    index: NameIndex,
    names: Collection[str],
    free: Collection[str] = (),
    most: int = 4,
    longer_than: int = 0,
) -> list[str] | None:
    """Return a few custom keys that match all of these names, or None if it takes too many.

    Each key consists of whole parts of a name, but for the number that its last part may end with:
    `.ln` for `.ln1` and `.ln2`. Keys that match these names only are preferred.

    Args:
        index: of all names that a key may match.
        names: the names to match.
        free: names that may be matched as well where it takes too many keys otherwise, but by each
            key no more of them than of the names.
        most: the highest number of keys.
        longer_than: the length that each key has to exceed.
    """
    wanted, also = _counted(names), _counted(free)
    long_enough = {f: n for f, n in wanted.items() if len(f) > longer_than}
    exact = {f: n for f, n in long_enough.items() if index.counts[f] == n}
    keys = _fewest(exact, names, index.without(names), most)
    if keys is None and free:
        loose = {
            f: n for f, n in long_enough.items() if also[f] <= n and index.counts[f] == n + also[f]
        }
        keys = _fewest(loose, names, index.without({*names, *free}), most)
    return keys


class NameIndex:
    """All names that a custom key may match, and how many of them each fragment is part of."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)

    @cached_property
    def counts(self) -> Counter[str]:
        """Fragment -> the number of names that have it."""
        return _counted(self._names)

    def without(self, names: Collection[str]) -> str:
        """Return the other names as one text, a line each."""
        left_out = set(names)
        return "\n".join(name for name in self._names if name not in left_out)


def _fewest(
    candidates: Mapping[str, int], names: Collection[str], others: str, most: int
) -> list[str] | None:
    """Choose keys greedily, the one that matches most of the remaining names first.

    Args:
        candidates: fragments, and how many of the names each is part of.
        names: the names to match.
        others: the text that no key may be part of.
        most: the highest number of keys.
    """
    left, counts, keys = list(names), dict(candidates), list[str]()
    whole = {fragment for name in names for fragment in _fragments(name)}

    def ranked(fragment: str) -> tuple[int, bool, int, str]:
        """Sort by the number of names; then whole parts first, then the shortest."""
        return -counts[fragment], fragment not in whole, len(fragment), fragment

    heap = [ranked(fragment) for fragment in counts]
    heapq.heapify(heap)
    while left:
        if not heap or len(keys) == most:
            return None
        best = heapq.heappop(heap)[-1]
        current = ranked(best)
        if heap and counts[best] and current > heap[0]:  # some of its names have a key by now
            heapq.heappush(heap, current)
        elif counts[best] and best not in others:  # as `.w` is in `.w2`
            keys.append(best)
            for fragment, number in _counted(name for name in left if best in name).items():
                if fragment in counts:
                    counts[fragment] -= number
            left = [name for name in left if best not in name]
    return keys


def _counted(names: Iterable[str]) -> Counter[str]:
    """Fragment -> the number of these names that have it."""
    return Counter(f for name in names for f in {*_fragments(name), *_cut_fragments(name)})


def _fragments(name: str) -> Iterator[str]:
    """`a.0.c` -> `.c`, `a.0.c`, `a.`, `a.0.`: ends of the name, and modules in it.

    None begins with a number, which says nothing by itself.
    """
    parts = name.split(".")
    for start in _starts(parts):
        head = "." if start else ""
        for end in range(start + 1, len(parts) + 1):
            tail = "" if end == len(parts) else "."
            yield head + ".".join(parts[start:end]) + tail


def _cut_fragments(name: str) -> Iterator[str]:
    """`a.b.c1.d` -> `.c`, `.b.c`, `a.b.c`: those that end with a number, without it."""
    parts = name.split(".")
    for end, part in enumerate(parts, 1):
        if part[-1:].isdigit() and part.rstrip(string.digits)[-1:].isalpha():
            for start in _starts(parts[:end]):
                fragment = ".".join(parts[start:end]).rstrip(string.digits)
                yield f".{fragment}" if start else fragment


def _starts(parts: Sequence[str]) -> list[int]:
    return [start for start, part in enumerate(parts) if not start or not part.isdigit()]

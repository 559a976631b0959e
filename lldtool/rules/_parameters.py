"""What kind of parameter one is, and which custom keys would match just some of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
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


def matches(patterns: Iterable[str], p: Parameter) -> str | None:
    """The first of the user's patterns that the parameter is like, or None.

    A pattern is a glob of the full name, or `type:` and a glob of the module's class.
    """
    for pattern in patterns:
        is_type = pattern.startswith("type:")
        text = p.module_type if is_type else p.name
        if fnmatchcase(text, pattern.removeprefix("type:") if is_type else pattern):
            return pattern
    return None


def grouped_by(
    members: Iterable[Member], key: Callable[[Member], tuple[str, ...]]
) -> dict[tuple[str, ...], list[Member]]:
    """The members under what the key gives for them, in their order."""
    groups: dict[tuple[str, ...], list[Member]] = defaultdict(list)
    for member in members:
        groups[key(member)].append(member)
    return dict(groups)


def covering_keys(
    names: Collection[str], others: Collection[str], most: int = 4, longer_than: int = 0
) -> list[str] | None:
    """A few custom keys that match all of the names and none of the others; None if there are none.

    Each begins where a part of a name does, with the dot before it, and ends with one: the few
    that match most.
    """
    left, keys = list(names), list[str]()
    while left:
        counted = {
            fragment: sum(fragment in name for name in left)
            for fragment in dict.fromkeys(_fragments(left))
            if len(fragment) > longer_than and not any(fragment in other for other in others)
        }
        if not counted or len(keys) == most:
            return None
        best = max(counted, key=lambda fragment: (counted[fragment], -len(fragment)))
        keys.append(best)
        left = [name for name in left if best not in name]
    return keys


def _fragments(names: Sequence[str]) -> Iterator[str]:
    """`a.b.c` -> `.c`, `.b.c`, `.b.`, `a.b.c`: ends of the names, and modules in them."""
    for name in names:
        parts = name.split(".")
        for start in range(len(parts)):
            head = "." if start else ""
            for end in range(start + 1, len(parts) + 1):
                tail = "" if end == len(parts) else "."
                yield head + ".".join(parts[start:end]) + tail

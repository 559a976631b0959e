"""Names of a model's parameters -> the names of the modules that are its backbones."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

#: Names that models give the module that extracts features.
_BACKBONE_NAME = re.compile(
    r"""
    (\w+_)?backbone(_?\d+d?|_[a-z])?
    | (image|img|visual|vision)_(encoder|tower|model)
    | visual
    """,
    re.VERBOSE,
)

#: The first number of a module in a name.
_NUMBERED = re.compile(r"\.?\b\d+(?:\.|$)")


def backbones_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the outermost backbone modules, in the model's order.

    They are recognised by name: `backbone`, `img_backbone`, `student.backbone`, `image_encoder`. Of
    a sequence of a backbone and its neck, it is the part with the most blocks. Where no name fits,
    it is the module that contains the longest sequence of blocks; "" is the model itself.

    Args:
        names: the full names of the parameters, in the model's order.
    """
    inside: dict[str, list[str]] = defaultdict(list)
    others = []
    for name in names:
        parts = name.split(".")[:-1]
        at = next((i for i, part in enumerate(parts) if _BACKBONE_NAME.fullmatch(part)), None)
        if at is None:
            others.append(name)
        else:
            module = ".".join(parts[: at + 1])
            inside[module].append(name.removeprefix(f"{module}."))
    # `ln_vision_backbone` is a norm.
    called = {m: own for m, own in inside.items() if any("." in name for name in own)}
    if not called:
        owner = _owner_of_blocks(others)
        return () if owner is None else (owner,)
    return tuple(_without_neck(module, own) for module, own in called.items())


def _without_neck(module: str, names: Sequence[str]) -> str:
    """Return the module; of a sequence of different parts, the one with the most blocks."""
    parts: dict[str, list[str]] = defaultdict(list)
    for name in names:
        part, _, rest = name.partition(".")
        parts[part].append(rest)
    are_alike = len(set(map(tuple, parts.values()))) < len(parts)
    if are_alike or not all(part.isdigit() for part in parts):
        return module
    lengths = {part: _longest_sequence(own)[1] for part, own in parts.items()}
    most = max(lengths, key=lambda part: lengths[part])
    return f"{module}.{most}" if lengths[most] > 1 else module


def _owner_of_blocks(names: Sequence[str]) -> str | None:
    """Return the module with the longest sequence of blocks and the stem; None without blocks."""
    longest, length = _longest_sequence(names)
    if length < 2:
        return None
    sequence = _NUMBERED.split(longest)[0]  # `stages` of `stages.2.blocks`
    parent = innermost = sequence.rpartition(".")[0]
    while parent:
        first = next(name for name in names if name.startswith(f"{parent}."))
        if not first.startswith(f"{sequence}."):
            return parent
        parent = parent.rpartition(".")[0]
    # The model itself, unless nothing in it comes before the blocks.
    return innermost if names[0].startswith(f"{sequence}.") else ""


def _longest_sequence(names: Iterable[str]) -> tuple[str, int]:
    """Return the longest sequence of blocks and their number.

    Blocks are modules that are named by numbers and have parameters of the same names.
    """
    blocks: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in names:
        parts = name.split(".")
        for i, part in enumerate(parts[:-1]):
            if part.isdigit():
                blocks[".".join(parts[:i]), part].append(".".join(parts[i + 1 :]))
    alike = Counter((sequence, tuple(own)) for (sequence, _), own in blocks.items())
    ((sequence, _), length) = max(alike.items(), key=lambda item: item[1], default=(("", ()), 0))
    return sequence, length

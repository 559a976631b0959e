"""The blocks of a backbone, by the numbers in the names of its parameters."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from lldtool.plan import Parameter
from lldtool.rules._parameters import is_in_embedding
from lldtool.rules.base import Subject

#: The first numbered module in a name: `backbone.layers`, `3`; `backbone.layer2`, `0`.
_BLOCK = re.compile(r"(.*?)\.(\d+)\.")
#: Norms that come last, wherever in a class they are defined.
_FINAL = re.compile(r"backbone\.(fc_norm|norm\d*|ln\d?|final\w*|post_norm|head\w*)\..*")


def backbone_parameters(subject: Subject) -> list[Parameter]:
    """The trained parameters of the backbone."""
    return [p for p in subject.parameters if p.name.startswith("backbone.")]


def position(name: str) -> tuple[str, int] | None:
    """The sequence and the number of the block that a parameter is in."""
    found = _BLOCK.match(name)
    return (found[1], int(found[2])) if found else None


def sequences(members: Sequence[Parameter]) -> dict[str, dict[int, list[Parameter]]]:
    """Sequence of at least two blocks -> number -> its parameters; nested ones as well.

    `backbone.stages` with 0 to 3, and `backbone.stages.2.blocks` with those in it.
    """
    found: dict[str, dict[int, list[Parameter]]] = defaultdict(lambda: defaultdict(list))
    for p in members:
        parts = p.name.split(".")
        for end, part in enumerate(parts[:-1]):
            if part.isdigit():
                found[".".join(parts[:end])][int(part)].append(p)
    return {name: dict(blocks) for name, blocks in found.items() if len(blocks) > 1}


def stem(members: Sequence[Parameter]) -> list[Parameter]:
    """What comes before the first block, and tokens and position embeddings outside of blocks."""
    first = next((i for i, p in enumerate(members) if position(p.name)), 0)
    before = [p for p in members[:first] if not _FINAL.fullmatch(p.name)]
    # A module's own parameters come before those of its children, wherever they are used.
    before = [p for p in before if p.name.count(".") > 1 or is_in_embedding(p)]
    outside = [p for p in members[first:] if position(p.name) is None and is_in_embedding(p)]
    return [*before, *outside]


def blocks_in_last_layer(members: Sequence[Parameter], last: int) -> list[Parameter]:
    """Blocks that sit in the last layer, where a sound depth function has none.

    A sequence whose last block alone is there may be meant so, and so may one that comes after
    all that is in other layers, as a neck does.
    """
    order = {id(p): i for i, p in enumerate(members)}
    deeper = [order[id(p)] for p in members if p.layer_id != last and position(p.name)]
    found: list[Parameter] = []
    top_level: dict[str, dict[int, list[Parameter]]] = defaultdict(lambda: defaultdict(list))
    for p in members:
        place = position(p.name)
        if place is not None:
            top_level[place[0]][place[1]].append(p)
    for blocks in top_level.values():
        there = {n: ps for n, ps in blocks.items() if all(p.layer_id == last for p in ps)}
        if not there or (len(there) == 1 and max(blocks) in there):
            continue
        starts = min(order[id(p)] for members in there.values() for p in members)
        is_neck = len(there) == len(blocks) and bool(deeper) and starts > max(deeper)
        if not is_neck:
            found += [p for members in there.values() for p in members]
    return found

"""The backbones of a model, their stem and their blocks, by the names of the parameters."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lldtool.lint.rules._parameters import is_in_embedding
from lldtool.plan import Parameter, Plan
from lldtool.plan.backbones import backbones_of

#: The first numbered module in a name: `layers`, `3`; `layer2`, `0`.
_BLOCK = re.compile(r"(?:(.*?)\.)?(\d+)\.")
#: Modules of the stem, wherever in a class they are defined, by a part of the name.
_STEM = re.compile(
    r"""
    (\w+_)?(patch|token|word|pixel)_?embed(s|der|ding|dings)?[01]? | embeddings?
    | (\w+_)?stem(_\w+)?
    | (\w+_)?pre_?(norm|ln|bn|layer_?norm|layrnorm)   # `pre_layrnorm` is what CLIP calls it
    | (norm|ln|bn|layer_?norm)_?(pre|embed\w*|stem|input|patch)
    | (embed\w*|stem|input|patch)_?(norm|ln|bn|layer_?norm)
    """,
    re.VERBOSE | re.IGNORECASE,
)
#: Sequences of which the first module is the stem, if nothing else is, and the others lie between
#: stages.
_DOWNSAMPLING = re.compile(r"downsample_layers|patch_embeds|patch_embeddings")
#: What comes after the blocks, or is no part of the pretrained backbone, wherever it is defined.
_NOT_STEM = re.compile(
    r"""
    (fc_?|post_?|final_?)?(norm|ln|layer_?norm)(\d+|_?post|_?final|_?f|_?out)? | final\w*
    | (\w+_)?(head|neck|fpn|decoder|adapter|prompt|lora|classifier|pooler|projector)s?(_\w+)?
    | (aux|fc)\w* | head\w* | (out|output)_?proj\w*
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True)
class Backbone:
    """One of the model's backbones: the name of its module, and parameters of it."""

    name: str
    parameters: tuple[Parameter, ...]

    def block(self, name: str) -> tuple[str, int] | None:
        """The sequence and the number of the block that a parameter is in."""
        return self._places[name] if name in self._places else self._place(name)

    @cached_property
    def _places(self) -> dict[str, tuple[str, int] | None]:
        """Name of a parameter -> its block; rules ask for it again and again."""
        return {p.name: self._place(p.name) for p in self.parameters}

    def _place(self, name: str) -> tuple[str, int] | None:
        found = _BLOCK.match(self._inside(name))
        if found is None:
            return None
        sequence, number = found[1] or "", found[2]
        if self._is_called_stem([*sequence.split("."), number]):
            return None
        return self._whole(sequence), int(number)

    @cached_property
    def in_blocks(self) -> list[Parameter]:
        """The parameters that are in blocks."""
        return [p for p in self.parameters if self.block(p.name) is not None]

    def sequences(self) -> dict[str, dict[int, list[Parameter]]]:
        """Sequence of at least two blocks -> number -> its parameters; nested ones as well.

        `backbone.stages` with 0 to 3, and `backbone.stages.2.blocks` with those in it.
        """
        found: dict[str, dict[int, list[Parameter]]] = defaultdict(lambda: defaultdict(list))
        for p in self.parameters:
            parts = self._inside(p.name).split(".")
            for end, part in enumerate(parts[:-1]):
                if part.isdigit():
                    found[self._whole(".".join(parts[:end]))][int(part)].append(p)
        return {name: dict(blocks) for name, blocks in found.items() if len(blocks) > 1}

    def stem(self) -> list[Parameter]:
        """What comes before the first block.

        That is what is defined there, final norms and necks aside; and tokens, position embeddings
        and modules that are called so wherever they are defined.
        """
        first = next((i for i, p in enumerate(self.parameters) if self.block(p.name)), 0)
        return [
            p
            for i, p in enumerate(self.parameters)
            if self.block(p.name) is None and self._is_stem(p, is_before_blocks=i < first)
        ]

    def _is_stem(self, p: Parameter, *, is_before_blocks: bool) -> bool:
        """Whether a parameter outside of blocks is of the stem."""
        own, *rest = self._beside_blocks(p)
        if self._is_called_stem([own, *rest][:-1]):
            return True
        # A module's own parameters come before those of its children, wherever they are used.
        in_module = is_before_blocks and bool(rest)
        return (in_module or is_in_embedding(p)) and not _NOT_STEM.fullmatch(own)

    def _is_called_stem(self, parts: Sequence[str]) -> bool:
        """Whether a module is of the stem, by the parts of its name."""
        for part, following in itertools.zip_longest(parts, parts[1:]):
            if following is not None and _DOWNSAMPLING.fullmatch(part):
                return following == "0" and not self._has_stem_module
            if _STEM.fullmatch(part):
                return True
        return False

    @cached_property
    def _has_stem_module(self) -> bool:
        """Whether there is one beside the sequences whose first module may be it."""
        parts = {part for p in self.parameters for part in self._parts(p)[:-1]}
        return any(_STEM.fullmatch(part) and not _DOWNSAMPLING.fullmatch(part) for part in parts)

    def _beside_blocks(self, p: Parameter) -> list[str]:
        """The parts of a name that come after what holds the first blocks, too."""
        parts = self._parts(p)
        for part in self._first_sequence:
            if len(parts) < 2 or parts[0] != part:
                break
            parts = parts[1:]
        return parts

    @cached_property
    def _first_sequence(self) -> list[str]:
        places = (self.block(p.name) for p in self.parameters)
        sequence = next((place[0] for place in places if place), self.name)
        return self._inside(sequence).split(".")

    def _parts(self, p: Parameter) -> list[str]:
        return self._inside(p.name).split(".")

    def _inside(self, name: str) -> str:
        return name.removeprefix(f"{self.name}.") if self.name else name

    def _whole(self, inside: str) -> str:
        return ".".join(part for part in (self.name, inside) if part)


def backbones(plan: Plan, parameters: Sequence[Parameter]) -> list[Backbone]:
    """The backbones of the model that have some of these parameters, with those."""
    members = {
        name: tuple(p for p in parameters if not name or p.name.startswith(f"{name}."))
        for name in backbone_names(plan)
    }
    return [Backbone(name, own) for name, own in members.items() if own]


def backbone_names(plan: Plan) -> tuple[str, ...]:
    """The names of the modules that are backbones, also for a plan that does not have them."""
    names = plan.model.backbones
    return backbones_of(p.name for p in plan.every_parameter) if names is None else names


def blocks_in_last_layer(backbone: Backbone, last: float) -> list[Parameter]:
    """Blocks that sit in the last layer, where a sound depth function has none.

    A sequence whose last block alone is there may be meant so, and so may one that comes after
    all that is in other layers, as a neck does.
    """
    members = backbone.in_blocks
    order = {id(p): i for i, p in enumerate(members)}
    deeper = [order[id(p)] for p in members if p.layer_id != last]
    found: list[Parameter] = []
    top_level: dict[str, dict[int, list[Parameter]]] = defaultdict(lambda: defaultdict(list))
    for p in members:
        place = backbone.block(p.name)
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

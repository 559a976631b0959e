"""Plan -> the role of each of its layers: stem, block of a number, head."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from lldtool.plan import LayerId, Plan

STEM, BLOCK, HEAD = "stem", "block", "head"

_NUMBER = re.compile(r"\d+")
#: The number of a block: `(3,)`, or those of its stage and its own, `(3, 1)`.
_Numbers = tuple[int, ...]


@dataclass(frozen=True)
class Roles:
    """The roles of layers, derived from names and layer ids.

    `labels` maps a layer id to `stem`, `block 3`, `block 3.1` (of stage 3) or `head`; it lacks
    layers with several blocks, or with none between others. `blocks` are the numbers of all blocks
    of the model, trained or not. `inner` are the parameters that are neither in the stem nor in the
    head, without untrained ones outside of numbered modules.
    """

    labels: dict[LayerId, str]
    blocks: frozenset[_Numbers]
    inner: frozenset[str]

    def alike(self, other: Roles) -> bool:
        """Whether blocks of the same number, or of the same name, have the same role."""
        same_blocks = bool(self.blocks) and self.blocks == other.blocks
        return same_blocks or not self.inner.isdisjoint(other.inner)


def roles_of(plan: Plan) -> Roles:
    """Return the roles of a plan's layers.

    The blocks are the largest sequence of numbered modules in several layers. The lowest layer is
    the stem if it comes before all of them, the highest the head if it comes after.
    """
    if not plan.has_layers:
        return Roles({}, frozenset(), _inner(plan, ()))
    modules = dict.fromkeys(_module(p.name) for p in plan.every_parameter)
    numbered = {module: _numbered_modules(module) for module in modules}
    layers_of: dict[str, set[LayerId]] = defaultdict(set)  # numbered module -> layers of all in it
    for p in plan.parameters:
        if p.layer_id is not None:
            for module in numbered[_module(p.name)]:
                layers_of[module].add(p.layer_id)
    sequence = _main_sequence(plan, numbered, layers_of)
    trained = {module: ids for module, ids in layers_of.items() if _mask(module) == sequence}
    in_blocks = set().union(*trained.values())
    labels = {}
    if in_blocks and (first := plan.layer_ids[0]) not in in_blocks:
        labels[first] = STEM
    if in_blocks and (last := plan.layer_ids[-1]) not in in_blocks:
        labels[last] = HEAD
    inner = _inner(plan, labels)
    numbers = {}
    if sum(map(len, trained.values())) == len(in_blocks) == len(trained):  # one layer, one block
        found = dict.fromkeys(module for own in numbered.values() for module in own)
        numbers = _numbers(module for module in found if _mask(module) == sequence)
        for module, ids in trained.items():
            number = ".".join(map(str, numbers[module]))
            labels |= dict.fromkeys(ids, f"{BLOCK} {number}")
    return Roles(labels, frozenset(numbers.values()), inner)


def _inner(plan: Plan, ends: Collection[LayerId]) -> frozenset[str]:
    trained = {p.name for p in plan.parameters if p.layer_id not in ends}
    untrained = (*plan.frozen, *plan.left_out)
    others = {p.name for p in untrained if any(_numbered_modules(_module(p.name)))}
    return frozenset(trained | others)


def _module(name: str) -> str:
    """`a.3.b.0.weight` -> `a.3.b.0`."""
    return name.rpartition(".")[0]


def _numbered_modules(module: str) -> list[str]:
    """`a.3.b.0.c` -> `a.3`, `a.3.b.0`."""
    parts = module.split(".")
    return [".".join(parts[: end + 1]) for end, part in enumerate(parts) if part.isdecimal()]


def _mask(module: str) -> str:
    """`backbone.stages.2.blocks.17` -> `backbone.stages.*.blocks.*`."""
    return _NUMBER.sub("*", module)


def _main_sequence(
    plan: Plan, numbered: Mapping[str, Sequence[str]], layers_of: Mapping[str, Set[LayerId]]
) -> str | None:
    """Return the mask of the blocks; None where no numbered modules are in several layers.

    A block is an outermost numbered module that is in one layer; a module around it is a stage.
    """
    spread: dict[str, set[LayerId]] = defaultdict(set)  # by mask of blocks
    numel: Counter[str] = Counter()
    numel_in: Counter[str] = Counter()
    for p in plan.parameters:
        numel_in[_module(p.name)] += p.numel
    for module, number in numel_in.items():
        block = next((one for one in numbered[module] if len(layers_of[one]) == 1), None)
        if block is not None:
            mask = _mask(block)
            spread[mask] |= layers_of[block]
            numel[mask] += number
    candidates = (mask for mask, layers in spread.items() if len(layers) > 1)
    return max(candidates, key=numel.__getitem__, default=None)


def _numbers(modules: Iterable[str]) -> dict[str, _Numbers]:
    """Return the numbers of each module, from 1, without those that all have in common."""
    of_each = {module: [int(n) for n in _NUMBER.findall(module)] for module in modules}
    columns = list(zip(*of_each.values(), strict=True))
    kept = [(i, min(column)) for i, column in enumerate(columns) if len(set(column)) > 1]
    return {
        module: tuple(numbers[i] - first + 1 for i, first in kept)
        for module, numbers in of_each.items()
    }

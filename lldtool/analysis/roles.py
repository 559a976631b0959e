"""Plan -> the role of each of its layers: stem, block of a number, head."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from lldtool.plan import LayerId, Plan

STEM, BLOCK, HEAD = "stem", "block", "head"

#: Which block a layer holds: `(3,)`, or the number of its stage and its own, `(3, 1)`.
_Numbers = tuple[int, ...]


@dataclass(frozen=True)
class Roles:
    """The roles that names and layer ids tell.

    `labels` maps a layer id to `stem`, `block 3`, `block 3.1` (of stage 3) or `head`; layers that
    hold several blocks, or none between others, are not in it. `blocks` are the numbers of all
    blocks of the model, trained or not. `inner` are the parameters that are neither in the stem
    nor in the head, without what is not trained outside of numbered modules.
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
    layers_in: dict[str, set[LayerId]] = defaultdict(set)  # module -> layers of its own parameters
    for p in plan.parameters:
        if p.layer_id is not None:
            layers_in[_module(p.name)].add(p.layer_id)
    modules = dict.fromkeys(_module(p.name) for p in plan.every_parameter)
    numbered = {module: _numbered_modules(module) for module in modules}
    layers_of: dict[str, set[LayerId]] = defaultdict(set)  # numbered module -> layers of all in it
    for module, ids in layers_in.items():
        for one in numbered[module]:
            layers_of[one] |= ids
    sequence = _main_sequence(plan, numbered, layers_of)
    trained = {module: ids for module, ids in layers_of.items() if _mask(module) == sequence}
    ends = _ends(plan, set().union(*trained.values()))
    numbers = {}
    if sum(map(len, trained.values())) == len(set().union(*trained.values())) == len(trained):
        of_all = dict.fromkeys(one for module in modules for one in numbered[module])
        numbers = _numbers(one for one in of_all if _mask(one) == sequence)
    blocks = {
        layer_id: f"{BLOCK} {'.'.join(map(str, numbers[module]))}"
        for module, ids in trained.items()
        for layer_id in ids
        if numbers
    }
    return Roles(ends | blocks, frozenset(numbers.values()), _inner(plan, ends))


def _ends(plan: Plan, in_blocks: Collection[LayerId]) -> dict[LayerId, str]:
    """The layers before and after those that hold blocks."""
    if not in_blocks:
        return {}
    first, last = plan.layer_ids[0], plan.layer_ids[-1]
    stem = {} if first in in_blocks else {first: STEM}
    return stem | ({} if last in in_blocks else {last: HEAD})


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


_NUMBER = re.compile(r"\d+")


def _main_sequence(
    plan: Plan, numbered: Mapping[str, Sequence[str]], layers_of: Mapping[str, Set[LayerId]]
) -> str | None:
    """The mask of the blocks; None where nothing numbered spreads over layers.

    A block is the outermost numbered module that lies in one layer: what it holds is part of it,
    and what holds it is a stage.
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
    """Module -> its numbers from 1, without those that are the same in all."""
    of_each = {module: [int(n) for n in _NUMBER.findall(module)] for module in modules}
    columns = list(zip(*of_each.values(), strict=True))
    kept = [(i, min(column)) for i, column in enumerate(columns) if len(set(column)) > 1]
    return {
        module: tuple(numbers[i] - first + 1 for i, first in kept)
        for module, numbers in of_each.items()
    }

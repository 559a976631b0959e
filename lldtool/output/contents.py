"""What is in a layer, named so that a person recognises it: `layers.0`, `cls_token, pos_embed`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from lldtool.plan import Plan
from lldtool.text import printable

#: More names than this are written as patterns, `layers.*.ln1`.
_MOST_NAMES = 6


def layer_contents(plan: Plan, whole: Plan) -> list[list[str]]:
    """For each layer of the plan, the largest modules that are wholly in it.

    `backbone.` is left away; neighbours are folded, `layers.0–2`, and many names to patterns.

    Args:
        plan: whose layers to name.
        whole: the plan that this is the whole or a part of; it tells where layers end.
    """
    modules = largest_modules(_names(plan), _names(whole))
    return [folded(names) for names in modules]


def _names(plan: Plan) -> list[list[str]]:
    return [layer.names for layer in plan.layers_and_frozen]


def largest_modules(
    groups: Iterable[Iterable[str]], whole: Iterable[Iterable[str]]
) -> list[list[str]]:
    """For each group of parameters, the largest modules that no other group has a part of.

    Args:
        groups: names of parameters.
        whole: the groups of all parameters that there are.
    """
    owner: dict[str, int] = {}  # module -> the only group that has a part of it, or -1
    for index, names in enumerate(whole):
        for module in dict.fromkeys(map(_module, names)):
            while module and owner.get(module) not in (index, -1):
                owner[module] = index if module not in owner else -1
                module = _module(module)
    largest: dict[str, str] = {}  # module -> the largest one around it that has one owner
    found: list[list[str]] = []
    for names in groups:
        modules = []
        for name in names:
            module = _module(name)
            if module not in largest:
                largest[module] = _largest(module, owner)
            modules.append(largest[module] or name)
        found.append(list(dict.fromkeys(modules)))
    return found


def _module(name: str) -> str:
    """Return what a name is in: `a.b.c` -> `a.b`."""
    return name.rpartition(".")[0]


def _largest(module: str, owner: Mapping[str, int]) -> str:
    largest = ""
    while module and owner[module] >= 0:
        largest, module = module, _module(module)
    return largest


def folded(modules: Iterable[str]) -> list[str]:
    """Return names of modules as a person reads them: ranges, and patterns where there are many."""
    short = [m.removeprefix("backbone.") for m in modules]
    names = _fold_ranges(short)
    if len(names) > _MOST_NAMES:
        names = _cut(_counted(_by_mask(short)), _MOST_NAMES)
    return [printable(name) for name in names]


def patterns(names: Collection[str], everything: Collection[str], most: int) -> list[str]:
    """Return names of parameters as patterns: `layers.*.ln1.weight ×12`, `*.ln1.weight ×24`.

    Numbers are left out of them first, then modules in between, as long as what is left is true of
    these names only.

    Args:
        names: the parameters.
        everything: the names of all parameters that there are.
        most: more patterns than this are cut.
    """
    short = [name.removeprefix("backbone.") for name in names]
    others = {name.removeprefix("backbone.") for name in everything}.difference(short)
    found = _by_mask(short)
    stem = f"{common_module(short)}.".removeprefix(".")
    for parts in (3, 2, 1):
        if len(found) <= most:
            break
        ends = [_ending(name, stem, parts) for name in short]
        if {_ending(name, stem, parts) for name in others}.isdisjoint(ends):
            found = _by_mask(ends, stem)
    ordered = dict(sorted(found.items(), key=lambda item: -len(item[1])))
    return [printable(name) for name in _cut(_counted(ordered), most)]


def _ending(name: str, stem: str, parts: int) -> str:
    """`layers.3.attn.qkv.weight` -> `layers.*.qkv.weight`: the stem, and so many last parts."""
    if not name.startswith(stem):
        return name
    last = name.removeprefix(stem).split(".")
    numbered = [NUMBER.sub("*", part) for part in last[-parts:]]
    return f"{stem}*.{'.'.join(numbered)}" if len(last) > parts else name


def common_module(names: Iterable[str]) -> str:
    """Return the innermost module that all the names are in."""
    parts = [name.split(".")[:-1] for name in names]
    common = []
    for at_depth in zip(*parts, strict=False):
        if len(set(at_depth)) > 1:
            break
        common.append(at_depth[0])
    return ".".join(common)


#: A part of a name that is a number.
NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")


def _by_mask(names: Iterable[str], stem: str = "") -> dict[str, list[str]]:
    """Return names that differ in numbers after a common stem only together: `layers.*.ln1`."""
    masked: dict[str, list[str]] = defaultdict(list)
    for name in names:
        masked[stem + NUMBER.sub("*", name.removeprefix(stem))].append(name)
    return masked


def _counted(masked: Mapping[str, Sequence[str]]) -> list[str]:
    """`layers.*.ln1 ×12`, or the only name that there is."""
    return [f"{n} ×{len(same)}" if len(same) > 1 else same[0] for n, same in masked.items()]


def _cut(names: list[str], most: int) -> list[str]:
    return names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]


def _fold_ranges(names: list[str]) -> list[str]:
    """`layers.0`, `layers.1`, `layers.2` -> `layers.0–2`, where they are neighbours."""
    folded: list[tuple[str, int, int] | str] = []
    for name in names:
        found = re.fullmatch(r"(.*?)(\d+)", name)
        last = folded[-1] if folded else None
        if found is None:
            folded.append(name)
        elif isinstance(last, tuple) and last[0] == found[1] and last[2] + 1 == int(found[2]):
            folded[-1] = (last[0], last[1], int(found[2]))
        else:
            folded.append((found[1], int(found[2]), int(found[2])))
    return [f if isinstance(f, str) else _range(*f) for f in folded]


def _range(stem: str, first: int, last: int) -> str:
    return f"{stem}{first}" if first == last else f"{stem}{first}–{last}"

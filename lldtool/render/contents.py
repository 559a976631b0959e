"""What is in a layer, named so that a person recognises it: `layers.0`, `cls_token, pos_embed`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate

from lldtool.plan import Plan
from lldtool.render.text import printable

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
    return [[p.name for p in layer.parameters] for layer in plan.layers]


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
        for module in dict.fromkeys(name.rpartition(".")[0] for name in names):
            for outer in _modules(module):
                if owner.setdefault(outer, index) != index:
                    owner[outer] = -1
    largest = {module: next((m for m in _modules(module) if owner[m] >= 0), "") for module in owner}
    return [
        list(dict.fromkeys(largest[name.rpartition(".")[0]] or name for name in names))
        for names in groups
    ]


def _modules(name: str) -> Iterable[str]:
    """`a.b.c` -> `a`, `a.b`, `a.b.c`."""
    return accumulate(name.split("."), "{}.{}".format)


def folded(modules: Iterable[str]) -> list[str]:
    """Names of modules as a person reads them: ranges, and patterns where there are many."""
    short = [m.removeprefix("backbone.") for m in modules]
    names = _fold_ranges(short)
    if len(names) > _MOST_NAMES:
        names = _cut(masked(short), _MOST_NAMES)
    return [printable(name) for name in names]


def patterns(names: Iterable[str], most: int) -> list[str]:
    """Names of parameters as at most so many patterns: `layers.*.ln1.weight ×12`.

    Numbers are left out of them first, then leading modules: `*.ln1.weight ×24`.
    """
    short = [name.removeprefix("backbone.") for name in names]
    found = masked(short)
    for parts in (3, 2, 1):
        if len(found) <= most:
            break
        ends = [re.sub(rf"^.*\.(?=(?:[^.]*\.){{{parts - 1}}}[^.]*$)", "*.", n) for n in short]
        found = masked(ends)
    return [printable(name) for name in _cut(found, most)]


def masked(names: Iterable[str]) -> list[str]:
    """Names that differ in numbers only as one, with their count: `layers.*.ln1 ×12`."""
    counts: dict[str, list[str]] = defaultdict(list)
    for name in names:
        counts[re.sub(r"(?<![^.])\d+(?![^.])", "*", name)].append(name)
    return [f"{n} ×{len(same)}" if len(same) > 1 else same[0] for n, same in counts.items()]


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

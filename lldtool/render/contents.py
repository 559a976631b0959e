"""What is in a layer, named so that a person recognises it: `layers.0`, `cls_token, pos_embed`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from lldtool.plan import Layer, Plan
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
    layer_of = {p.name: index for index, layer in enumerate(whole.layers) for p in layer.parameters}
    layers_under: dict[str, set[int]] = defaultdict(set)
    for name, index in layer_of.items():
        for module in _modules(name):
            layers_under[module].add(index)
    return [_names(layer, layers_under) for layer in plan.layers]


def _modules(name: str) -> Iterable[str]:
    """`a.b.c` -> `a`, `a.b`, `a.b.c`."""
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _names(layer: Layer, layers_under: dict[str, set[int]]) -> list[str]:
    names = (
        next((m for m in _modules(p.name) if len(layers_under[m]) == 1), p.name)
        for p in layer.parameters
    )
    modules = list(dict.fromkeys(names))
    short = [m.removeprefix("backbone.") for m in modules]
    folded = _fold_ranges(short)
    if len(folded) > _MOST_NAMES:
        patterns = Counter(re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name) for name in short)
        folded = [f"{n} ×{c}" if c > 1 else n for n, c in patterns.items()]
    if len(folded) > _MOST_NAMES:
        folded[_MOST_NAMES - 1 :] = [f"{len(folded) - _MOST_NAMES + 1} more"]
    return [printable(name) for name in folded]


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

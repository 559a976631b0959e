"""Which tensors of a module start from a checkpoint, and what the file calls the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from lldtool.plan import Loaded, Parameter, Plan, UntrainedParameter

Tensor = Parameter | UntrainedParameter


def from_scratch(p: Tensor) -> bool:
    """Whether a parameter starts from its initialisation, though a checkpoint was loaded."""
    return p.start in ("missing", "mismatched")


def is_inside(name: str, module: str) -> bool:
    """Whether a parameter or module is in a module, "" for the model itself."""
    return not module or name == module or name.startswith(f"{module}.")


def inside(plan: Plan, module: str) -> list[Tensor]:
    """Return the parameters of a module, each once."""
    return list({p.name: p for p in plan.every_parameter if is_inside(p.name, module)}.values())


def meant_for(plan: Plan, module: str) -> Loaded | None:
    """Return the last checkpoint that was loaded into a module, or into one that it is in."""
    found = [one for one in plan.loaded or () if is_inside(module, one.module)]
    return found[-1] if found else None


def entry_of(loaded: Loaded) -> tuple[str, ...]:
    """Return the keys that lead to the config's entry with a checkpoint."""
    if loaded.by == "load_from":
        return ("load_from",)
    return ("model", *filter(None, loaded.module.split(".")), "init_cfg")


def prefixes(loaded: Loaded, names: Sequence[str]) -> Iterator[str]:
    """Yield what the file's left-over keys have before these names, the most frequent first.

    Args:
        loaded: the checkpoint.
        names: of parameters, as they are called in their module.
    """
    wanted = set(names)
    found: Counter[str] = Counter()
    for key in loaded.unexpected:
        start = 0
        while start >= 0:
            if key[start:] in wanted:
                found[key[:start]] += 1
                break
            start = key.find(".", start) + 1 or -1
    for prefix, number in found.most_common():
        if 2 * number > len(wanted):
            yield prefix

"""Plan × Plan -> the entries of the configs that differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lldtool.analysis.schedule_diff import ScheduleDiff
from lldtool.plan import Optimizer, OptimWrapper, Plan


class ConfigChange(NamedTuple):
    """An entry of the config that differs, by its dotted key; None on the side that lacks it.

    `acts` tells whether training differs by it beyond what parameters and their settings show: an
    entry of `paramwise_cfg` works through those alone.
    """

    key: str
    a: Any
    b: Any
    acts: bool


def equal(a: object, b: object, rtol: float) -> bool:
    """Whether two values of a plan are the same; NaN is the same as NaN."""
    if a == b:
        return True
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return (a != a and b != b) or (rtol > 0 and math.isclose(a, b, rel_tol=rtol))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y, rtol) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key], rtol) for key in a)
    return False


#: Entries that do nothing but give parameters their settings, and those of an optimizer.
_THROUGH_PARAMETERS = {"optim_wrapper.constructor", "optim_wrapper.paramwise_cfg", "auto_scale_lr"}
_BASE_SETTINGS = {"lr", "weight_decay"}


def config_changes(
    a: Plan, b: Plan, rtol: float, schedule: ScheduleDiff | None, *, starts: bool = True
) -> Iterator[ConfigChange]:
    """Yield the entries that differ, those of the schedules last.

    Args:
        a: the one side.
        b: the other.
        rtol: the relative tolerance of numbers.
        schedule: what differs in the schedules.
        starts: with the checkpoints that training starts from.
    """
    entries_a, entries_b = _entries(a, b), _entries(b, a)
    if starts and a.loaded is not None and b.loaded is not None:
        entries_a |= _checkpoints(a)
        entries_b |= _checkpoints(b)
    in_a, in_b = dict(_flat(entries_a)), dict(_flat(entries_b))
    paths = list({**in_a, **in_b})
    parts = list(dict.fromkeys(path[:2] for path in paths))
    for path in sorted(paths, key=lambda path: parts.index(path[:2])):
        x, y = in_a.get(path), in_b.get(path)
        if not equal(x, y, rtol):
            part = ".".join(path[:2])
            is_base = part == "optim_wrapper.optimizer" and path[-1] in _BASE_SETTINGS
            acts = not is_base and part not in _THROUGH_PARAMETERS
            yield ConfigChange(".".join(path), x, y, acts)
    for fact in schedule.facts if schedule is not None else ():
        # `ScheduleDiff.identical` tells whether training differs by it.
        yield ConfigChange(".".join(fact.path), fact.a, fact.b, acts=False)


def _entries(plan: Plan, other: Plan) -> dict[str, Any]:
    """Return what a plan records of its config, as far as the other could record it too."""
    optimizer, wrapper, constructor = plan.optimizer, plan.optim_wrapper, plan.constructor
    same_versions = plan.versions == other.versions
    return {
        "model": {"type": plan.model.type, "backbone": {"type": plan.model.backbone}},
        "optim_wrapper": {
            "type": wrapper.type,
            "optimizer": {
                "type": optimizer.type,
                "lr": optimizer.lr,
                "weight_decay": optimizer.weight_decay,
                **_comparable(optimizer, other.optimizer, same_versions),
            },
            "constructor": constructor.type,
            "paramwise_cfg": constructor.paramwise_cfg,
            **_comparable(wrapper, other.optim_wrapper, same_versions),
        },
        "auto_scale_lr": plan.auto_scale_lr,
    }


def _checkpoints(plan: Plan) -> dict[str, Any]:
    """Return the checkpoints that training starts from, by the entry that names them."""
    entries: dict[str, Any] = {}
    for loaded in plan.loaded or ():
        if loaded.by == "load_from":
            entries["load_from"] = loaded.checkpoint
        else:
            where = entries.setdefault("init_cfg", {})
            where[loaded.module or "model"] = {
                "checkpoint": loaded.checkpoint, "prefix": loaded.prefix
            }  # fmt: skip
    return entries


def _comparable(
    own: Optimizer | OptimWrapper, other: Optimizer | OptimWrapper, same_versions: bool
) -> dict[str, Any]:
    """Return the options to compare with those of the other side.

    None where an older lldtool recorded none; of two versions of one class those that both know;
    of two classes also those that only one of them knows, and uses.
    """
    if own.options is None or other.options is None:
        return {}
    same_class = own.type == other.type
    return {
        name: value
        for name, value in own.options.items()
        if name in other.options or (same_versions if same_class else value)
    }


def _flat(
    content: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path -> value of nested dicts; an empty dict only where it is a custom key."""
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, (*path, key))
        elif value != {} or path[-1:] == ("custom_keys",):
            yield (*path, key), value

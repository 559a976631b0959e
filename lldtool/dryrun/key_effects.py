"""The effects of entries of `paramwise_cfg`: the constructor is run without them or with others."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from lldtool.analysis.keys import (
    Effect,
    Effects,
    Key,
    Path,
    difference,
    is_unexplained,
    keys_of,
    may_be_redundant,
)
from lldtool.config.edit import key_in
from lldtool.dryrun.training import Training
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter, Plan

#: A number that an option is changed to; the second where it has the first.
_OTHER_NUMBERS = (0.37, 0.53)


def all_removed(training: Training, plan: Plan) -> Effects:
    """Return the effect of leaving out each entry of `paramwise_cfg`."""
    paths = [key.path for key in keys_of(plan)]
    return Effects({path: _effect(plan, _trial(training, path, _remove)) for path in paths})


def doubtful_effects(training: Training, plan: Plan) -> Effects:
    """Return the effects of the entries of `paramwise_cfg` that may do nothing.

    Those are custom keys that match nothing, that may be redundant, or that make decay what an
    option would not; and options that the constructor was not seen to read, or that decide nothing
    as far as its rules are known.
    """
    removed: dict[Path, Effect] = {}
    changed: dict[Path, Effect] = {}
    undecayed: dict[Path, frozenset[str]] = {}
    reads = plan.constructor.reads or ()
    is_explained = not any(is_unexplained(p.reason) for p in plan.parameters)
    for key in keys_of(plan):
        if key.is_custom and _is_doubtful(plan, key):
            without = _trial(training, key.path, _remove)
            removed[key.path] = _effect(plan, without)
            undecayed[key.path] = _undecayed(plan, without)
        elif not key.is_custom and (key.name not in reads or not (is_explained or key.decided)):
            removed[key.path] = _effect(plan, _trial(training, key.path, _remove))
            changed[key.path] = _effect(plan, _trial(training, key.path, _change))
    if "custom_keys" in plan.constructor.paramwise_cfg and "custom_keys" not in reads:
        path = ("custom_keys",)
        removed[path] = _effect(plan, _trial(training, path, _remove))
        changed[path] = _effect(plan, _trial(training, path, _change))
    return Effects(removed, changed, undecayed)


def _is_doubtful(plan: Plan, key: Key) -> bool:
    undone = any(
        p.reason.weight_decay.key == key.name and 0.0 in p.reason.weight_decay.would_give
        for p in plan.trained
    )
    return undone or not key.matched or (key.decided != 0 and may_be_redundant(plan, key.name))


def _undecayed(plan: Plan, after: tuple[Parameter, ...] | LldtoolError) -> frozenset[str]:
    """The tensors with weight decay that have none then."""
    if isinstance(after, LldtoolError):
        return frozenset()
    now = {p.name for p in after if p.weight_decay == 0}
    return frozenset(p.name for p in plan.parameters if p.weight_decay and p.name in now)


def _effect(plan: Plan, after: tuple[Parameter, ...] | LldtoolError) -> Effect:
    if isinstance(after, LldtoolError):
        return Effect(error=after.message)
    return difference(plan.parameters, after)


def _trial(
    training: Training, path: Path, alter: Callable[[Any, Any], None]
) -> tuple[Parameter, ...] | LldtoolError:
    """What the constructor gives the parameters with an entry altered, or what it raises."""
    wrapper = copy.deepcopy(training.config.optim_wrapper)
    inside = wrapper["paramwise_cfg"]
    for name in path[:-1]:
        inside = inside[key_in(inside, name)]
    alter(inside, key_in(inside, path[-1]))
    try:
        return training.parameters(wrapper)
    except LldtoolError as error:
        return error


def _remove(options: Any, key: Any) -> None:
    del options[key]


def _change(options: Any, key: Any) -> None:
    options[key] = other_value(options[key])


def other_value(value: Any) -> Any:
    """A value of the same kind that is not this one; in a dict or a list, of every entry."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int) and value not in (0, 1):
        return value + 1
    if isinstance(value, (int, float)) or value is None:
        return _OTHER_NUMBERS[value == _OTHER_NUMBERS[0]]
    if isinstance(value, str):
        return f"{value}_"
    if isinstance(value, dict):
        return type(value)({key: other_value(entry) for key, entry in value.items()})
    if isinstance(value, (list, tuple)):
        return type(value)(map(other_value, value))
    return value

"""A constructor that raised -> the entry of `optim_wrapper` that makes it, by running it again.

Nothing is guessed from the words of an exception alone: an entry is to blame where the constructor
runs, or at least gets further, once the entry is written otherwise or left out.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lldtool.analysis.option_names import KNOWN_OPTIONS, near
from lldtool.config.edit import DELETE, PARAMWISE_CFG, Edit, key_in
from lldtool.dryrun.registries import describe, type_name
from lldtool.errors import Culprit, text_of
from lldtool.text import quoted

#: Runs the constructor with another `optim_wrapper`; what it raised then, or None.
Run = Callable[[Any], Exception | None]
#: A dict of the config -> the class that takes what is in it, and the names that this takes.
_Homes = dict[tuple[str, ...], tuple[str, list[str]]]
#: How many entries in a row are corrected, and how many are left out, one by one.
_MOST_STEPS, _MOST_RUNS = 10, 100
_WRAPPER = ("optim_wrapper",)
_OPTIMIZER = ("optim_wrapper", "optimizer")
_CUSTOM_KEYS = (*PARAMWISE_CFG, "custom_keys")
#: Settings that a constructor may need: a value to try in the place of a wrong one.
_NEEDED = {"lr": 1e-3, "weight_decay": 0.0}
#: An option that no constructor knows.
_UNUSED = "lldtool_unused"
_NAMING = ("type", "constructor")
#: What an optimizer's class is given by code, not by the config.
_PASSED_ON = ("params", "defaults", "args", "kwargs")
_YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class _Suspect:
    """An entry that may be wrong, what is wrong with it, and edits that would fix that."""

    entry: tuple[str, ...]
    problem: str
    edits: Sequence[Edit]


def culprit_of(
    error: BaseException, wrapper: Any, reads: Collection[str], run: Run, suffix: str
) -> Culprit | None:
    """The entry that makes a constructor raise this; None where there is no single one.

    Args:
        error: what it raised.
        wrapper: the config's `optim_wrapper`.
        reads: the options of `paramwise_cfg` that it had looked for until then.
        run: runs it again.
        suffix: of the config's file.
    """
    current, now, found = wrapper, error, list[_Suspect]()
    for _ in range(_MOST_STEPS):
        suspect, after = _best(now, current, reads, run, suffix)
        if suspect is None:
            break
        found.append(suspect)
        if after is None:
            return _culprit(found[0], [edit for one in found for edit in one.edits])
        current, now = _edited(current, suspect.edits), after
    left_out = _left_out(wrapper, run)
    if left_out is not None:
        value = _value(wrapper, left_out)
        return Culprit(left_out, f"{'.'.join(left_out)} is {quoted(value)}")
    return _culprit(found[0], ()) if found else None


def _best(
    error: BaseException, wrapper: Any, reads: Collection[str], run: Run, suffix: str
) -> tuple[_Suspect | None, Exception | None]:
    """The suspect without which the constructor runs, or else gets further; what it raises then."""
    further: tuple[_Suspect | None, Exception | None] = None, None
    for suspect in _suspects(error, wrapper, reads, suffix):
        after = run(_edited(wrapper, suspect.edits))
        if after is None:
            return suspect, None
        if further[0] is None and describe(after) != describe(error):
            further = suspect, after
    return further


def _culprit(suspect: _Suspect, edits: Sequence[Edit]) -> Culprit:
    last = {edit.path: edit.value for edit in edits}
    removed = tuple(path for path, value in last.items() if value is DELETE)
    written = tuple((path, value) for path, value in last.items() if value is not DELETE)
    return Culprit(suspect.entry, suspect.problem, removed, written)


def _suspects(
    error: BaseException, wrapper: Any, reads: Collection[str], suffix: str
) -> Iterator[_Suspect]:
    yield from _numbers_as_text(wrapper, suffix)
    yield from _keys_that_are_no_text(wrapper)
    yield from _unknown_arguments(error, wrapper, reads)
    yield from _options_by_other_names(wrapper, reads)


def _numbers_as_text(wrapper: Any, suffix: str) -> Iterator[_Suspect]:
    """`lr='1e-3'`, `betas=(0.9, '0.98')`: each on its own, then all of them."""
    found = [
        (path, value, number)
        for path, value in _leaves(wrapper, _WRAPPER)
        if path[-1] not in _NAMING and (number := _as_number(value)) is not None
    ]
    edits = [Edit(path, number) for path, _, number in found]
    for (path, value, _), edit in zip(found, edits, strict=True):
        problem = f"{'.'.join(path)} is {value!r}, {_what_text(value, suffix)}"
        yield _Suspect(path, problem, [edit])
    if len(found) > 1:
        values = ", ".join(f"{'.'.join(path)}={value!r}" for path, value, _ in found)
        yield _Suspect(found[0][0], f"{values} are numbers as text", edits)


def _what_text(value: object, suffix: str) -> str:
    if suffix in _YAML and not any(sign in str(value) for sign in ".'\""):
        return "which YAML takes for text (write it with a dot and without quotes)"
    return "a number in quotes"


def _as_number(value: object) -> object:
    """The number that a text is, or a sequence with numbers for texts; None for anything else."""
    if isinstance(value, (list, tuple)):
        numbers = [_as_number(item) for item in value]
        is_meant = any(number is not None for number in numbers)
        kept = (item if n is None else n for item, n in zip(value, numbers, strict=True))
        return type(value)(kept) if is_meant else None
    if not isinstance(value, str) or not re.search(r"\d", value):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(value) if re.fullmatch(r"\s*[+-]?\d+\s*", value) else number


def _keys_that_are_no_text(wrapper: Any) -> Iterator[_Suspect]:
    """`custom_keys={0: …}`: constructors look for a key in names."""
    keys = _value(wrapper, _CUSTOM_KEYS)
    wrong = [key for key in keys if not isinstance(key, str)] if isinstance(keys, dict) else []
    if wrong:
        entries = [(*_CUSTOM_KEYS, str(key)) for key in wrong]
        problem = f"custom key {wrong[0]!r} is not a string"
        yield _Suspect(entries[0], problem, [Edit(entry, DELETE) for entry in entries])


def _unknown_arguments(
    error: BaseException, wrapper: Any, reads: Collection[str]
) -> Iterator[_Suspect]:
    """An argument that a class does not take."""
    named = re.search(r"unexpected keyword argument '(\w+)'", text_of(error))
    if named is None:
        return
    key, homes = named[1], _homes(wrapper, reads)
    for home in homes:
        inside = _value(wrapper, home)
        if isinstance(inside, dict) and key in inside:
            yield from _corrections(key, inside, home, homes)


def _corrections(key: str, inside: Any, home: tuple[str, ...], homes: _Homes) -> Iterator[_Suspect]:
    """An argument in the wrong place or of a wrong name: moved, renamed, deleted."""
    entry, place = (*home, key), ".".join(home)
    kind, known = homes[home]
    delete, value = Edit(entry, DELETE), inside[key]
    if key == "_delete_":
        problem = f"_delete_ in {place} has nothing inherited to replace and stays in the config"
        yield _Suspect(entry, problem, [delete])
        return
    for other, (_, theirs) in homes.items():
        if other != home and key in theirs:
            problem = f"{key} belongs in {'.'.join(other)}, not in {place}"
            yield _Suspect(entry, problem, [delete, Edit((*other, key), value)])
    meant = near(key, [name for name in known if name not in inside])
    hint = f" (did you mean {meant!r}?)" if meant is not None else ""
    problem = f"{kind} has no argument {key!r}{hint}"
    if meant is not None:
        yield _Suspect(entry, problem, [delete, Edit((*home, meant), value)])
    yield _Suspect(entry, problem, [delete])


def _options_by_other_names(wrapper: Any, reads: Collection[str]) -> Iterator[_Suspect]:
    """`layer_decay_rate`, where the constructor looks for `decay_rate`."""
    options = _value(wrapper, PARAMWISE_CFG)
    if not isinstance(options, dict):
        return
    constructor = type_name(wrapper.get("constructor", ""))
    for option, value in options.items():
        meant = near(option, [name for name in reads if name not in options])
        if option not in reads and meant is not None:
            entry = (*PARAMWISE_CFG, option)
            edits = [Edit(entry, DELETE), Edit((*PARAMWISE_CFG, meant), value)]
            yield _Suspect(entry, f"{constructor} reads {meant!r}, not {option!r}", edits)


def _homes(wrapper: Any, reads: Collection[str]) -> _Homes:
    """The dicts that arguments are written in."""
    from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS

    optimizer = wrapper.get("optimizer", None)
    kind = dict.get(optimizer, "type") if isinstance(optimizer, dict) else None
    wrapping = dict.get(wrapper, "type") or "OptimWrapper"
    options = list(dict.fromkeys([*reads, *KNOWN_OPTIONS]))
    return {
        _OPTIMIZER: (type_name(kind), _arguments(OPTIMIZERS, kind)),
        _WRAPPER: (
            type_name(wrapping),
            [*_arguments(OPTIM_WRAPPERS, wrapping), "constructor", "paramwise_cfg"],
        ),
        PARAMWISE_CFG: (type_name(wrapper.get("constructor", "")), options),
    }


def _arguments(registry: Any, kind: Any) -> list[str]:
    """The names of the arguments of a class and its bases."""
    with registry.switch_scope_and_registry(None) as scoped:
        found = scoped.get(kind) if isinstance(kind, str) else kind
    if not inspect.isclass(found):
        return []
    with contextlib.suppress(ValueError):  # a class without a signature
        several = [inspect.signature(cls).parameters for cls in found.__mro__[:-1]]
        return [name for one in several for name in one if name not in _PASSED_ON]
    return []


def _left_out(wrapper: Any, run: Run) -> tuple[str, ...] | None:
    """The value without which the constructor runs; a dict only as the way to what is in it."""
    runs = 0

    def search(path: tuple[str, ...]) -> tuple[str, ...] | None:
        nonlocal runs
        for key, value in _value(wrapper, path).items():
            entry = (*path, str(key))
            if entry == _OPTIMIZER and isinstance(value, dict):
                if (found := search(entry)) is not None:
                    return found
                continue
            if key in _NAMING or entry == _OPTIMIZER or runs >= _MOST_RUNS:
                continue
            runs += 1
            edits = [Edit(entry, _NEEDED.get(key, DELETE) if path == _OPTIMIZER else DELETE)]
            if path == PARAMWISE_CFG:  # an empty one is not looked at
                edits.append(Edit((*PARAMWISE_CFG, _UNUSED), None))
            if run(_edited(wrapper, edits)) is None:
                return search(entry) if isinstance(value, dict) else entry
        return None

    return search(_WRAPPER)


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not isinstance(value, dict):
        yield path, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, (*path, str(key)))


def _value(wrapper: Any, path: Sequence[str]) -> Any:
    for key in path[1:]:
        inside = isinstance(wrapper, dict)
        wrapper = wrapper.get(key_in(wrapper, key), None) if inside else None
    return wrapper


def _edited(wrapper: Any, edits: Sequence[Edit]) -> Any:
    parts = {_WRAPPER[0]: copy.deepcopy(wrapper)}
    for edit in edits:
        edit.apply_to(parts)
    return parts[_WRAPPER[0]]

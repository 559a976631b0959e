"""Which entries of param groups the code of a training mentions, beside the settings."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from lldtool.dryrun.registries import class_named
from lldtool.plan import Parameter

#: Entry of the config -> the registry of what it names. They may change param groups.
_REGISTRIES = {
    "param_scheduler": "PARAM_SCHEDULERS",
    "default_hooks": "HOOKS",
    "custom_hooks": "HOOKS",
    "train_cfg": "LOOPS",
    "runner_type": "RUNNERS",
}


def mentioned(
    config: Any,
    wrappers: Mapping[str, Any],
    parameters: Iterable[Parameter],
    base_lr: float | None,
) -> tuple[str, ...]:
    """The entries of the parameters' groups that code mentions which may use them.

    That is the code of an optimizer, and that of schedulers, hooks, wrappers and loops that are not
    mmengine's own, with what else is in their modules. `lr_scale` is among the entries where a
    constructor attached it without applying it.

    Args:
        config: an `mmengine.Config`.
        wrappers: name -> optimizer wrapper, as the constructor built them.
        parameters: those of their groups.
        base_lr: `optim_wrapper.optimizer.lr`.
    """
    entries = {key for p in parameters for key in p.extras}
    if base_lr and any(not _is_applied(p, base_lr) for p in parameters):
        entries.add("lr_scale")
    if not entries:
        return ()
    functions = [
        function
        for wrapper in wrappers.values()
        for cls in type(wrapper.optimizer).__mro__
        for function in vars(cls).values()
    ]
    classes = {*_named(config), *map(type, wrappers.values())}
    for module in {cls.__module__ for cls in classes if not cls.__module__.startswith("mmengine.")}:
        functions += _functions_of(module)
    plain = (inspect.unwrap(f) for f in functions if inspect.isfunction(f))
    return tuple(sorted(entries & {text for f in plain for text in _texts(f.__code__)}))


def _is_applied(p: Parameter, base_lr: float) -> bool:
    """Whether a parameter's lr is what its lr_scale makes of the base lr."""
    return p.lr is None or p.lr_scale is None or math.isclose(p.lr, base_lr * p.lr_scale)


def _named(config: Any) -> Iterator[type]:
    """The classes that the config names in the entries that may change param groups."""
    for entry, registry in _REGISTRIES.items():
        for kind in types_in(config.get(entry, None)):
            cls = class_named(registry, kind)
            if cls is not None:
                yield cls


def types_in(content: Any) -> Iterator[Any]:
    """Every `type` in dicts and lists; a string is one itself."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        if "type" in content:
            yield content["type"]
        for key in content:
            if isinstance(content[key], (dict, list, tuple)):
                yield from types_in(content[key])
    elif isinstance(content, (list, tuple)):
        for item in content:
            yield from types_in(item)


def _functions_of(module: str) -> list[Any]:
    """The functions of a module, and those of its classes."""
    members = [
        member
        for member in vars(sys.modules.get(module, type)).values()
        if getattr(member, "__module__", None) == module
    ]
    inside = [f for cls in members if inspect.isclass(cls) for f in vars(cls).values()]
    return [f for f in (*members, *inside) if isinstance(f, FunctionType)]


def _texts(code: CodeType) -> Iterator[str]:
    """The strings in a function's code, and in those within."""
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _texts(constant)

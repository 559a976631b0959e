"""Options of OpenMMLab 0.x at the top level of a config, which mmengine ignores."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from lldtool.config.files import read
from lldtool.config.locations import Sources
from lldtool.config.request import Request


def legacy_options(config: Any, request: Request) -> tuple[str, ...]:
    """Return the options of OpenMMLab 0.x that a config sets and that nothing in it uses.

    A config may have a variable of the same name: `optimizer = dict(…)`, and then
    `optim_wrapper = dict(optimizer=optimizer)`.

    Args:
        config: an `mmengine.Config`.
        request: of this config.
    """
    found = [name for name, is_one in _OPTIONS.items() if is_one(config.get(name, None))]
    used = _names_used(request) if found else set[str]()
    return tuple(name for name in found if name not in used)


def _names_used(request: Request) -> set[str]:
    """Return the names that the config or what it inherits uses, also as `_base_.name`."""
    used: set[str] = set()
    for path in Sources(request.path).files:
        file = read(path)
        for node in ast.walk(ast.Module(file.statements if file is not None else [], [])):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and "_base_." in str(node.value):
                used.add(str(node.value).strip("{ }").removeprefix("_base_.").partition(".")[0])
    return used


def _is_dict(*keys: str) -> Callable[[Any], bool]:
    """Return whether a value is a dict with one of these keys."""
    return lambda value: isinstance(value, dict) and not value.keys().isdisjoint(keys)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


#: Name -> whether a value is one that the option had. Source: the configs of mmcls 0.25 and
#: mmdet 2.28, and https://mmengine.readthedocs.io/en/latest/migration/runner.html.
_OPTIONS: dict[str, Callable[[Any], bool]] = {
    "optimizer": _is_dict("type"),
    "optimizer_config": lambda value: isinstance(value, dict),
    "lr_config": lambda value: isinstance(value, dict),
    "momentum_config": lambda value: isinstance(value, dict),
    "runner": _is_dict("type", "max_epochs", "max_iters"),
    "total_epochs": _is_number,
    "total_iters": _is_number,
    "fp16": lambda value: isinstance(value, dict),
    "data": _is_dict("samples_per_gpu", "workers_per_gpu", "train", "val", "test"),
    "evaluation": lambda value: isinstance(value, dict),
    "checkpoint_config": lambda value: isinstance(value, dict),
    "log_config": lambda value: isinstance(value, dict),
    "workflow": lambda value: isinstance(value, list) and value != [("train", 1)],
    "resume_from": lambda value: isinstance(value, str),
}

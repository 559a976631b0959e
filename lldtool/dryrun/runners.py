"""The runner that a config names: how it builds the optimizer, and what else is not followed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from lldtool.dryrun.registries import class_named, type_name
from lldtool.errors import LldtoolError

#: Builds the optimizer wrapper of a model, as a runner does.
Build = Callable[[Any, Any], Any]
#: Methods of a runner by which it may give the optimizer other settings.
_OF_OPTIMIZER = (
    "build_model", "wrap_model", "scale_lr", "build_param_scheduler", "_init_model_weights",
    "train", "resume", "load_or_resume",
)  # fmt: skip


def build_of(config: Any) -> Build:
    """How the config's runner builds the optimizer; mmengine's own way where it overrides nothing.

    Raises:
        LldtoolError: there is no such runner.
    """
    from mmengine.optim import build_optim_wrapper

    kind = _runner(config)
    if kind is None or not _overrides(kind, "build_optim_wrapper"):
        build: Build = build_optim_wrapper
        return build
    return functools.partial(_built_by, kind, config)


def unfollowed(config: Any) -> Iterator[str]:
    """What a training does to param groups before its first step that a dry run does not, as notes.

    That is code of runners and strategies that are not mmengine's own.
    """
    kind = _runner(config)
    changed = [name for name in _OF_OPTIMIZER if kind is not None and _overrides(kind, name)]
    if kind is not None and changed:
        yield f"{kind.__name__} overrides {', '.join(changed)}, which is not followed"
    strategy = config.get("strategy", None)
    named = type_name(strategy.get("type", "")) if isinstance(strategy, dict) else ""
    if named and not is_mmengines(class_named("STRATEGIES", strategy.get("type"))):
        yield f"the strategy {named} is not followed"


def _built_by(kind: Any, config: Any, model: Any, optim_wrapper: Any) -> Any:
    """What a runner's own `build_optim_wrapper` makes, called on a runner that has only a model.

    Raises:
        LldtoolError: it needs more of the runner.
    """
    runner: Any = kind.__new__(kind)
    runner.model, runner.cfg = model, config
    try:
        return runner.build_optim_wrapper(optim_wrapper)
    except AttributeError as error:
        if getattr(error, "obj", None) is not runner:
            raise
        raise LldtoolError(
            f"{kind.__name__}.build_optim_wrapper needs {error.name!r} of a runner that is set up, "
            "so the optimizer that it builds is not known"
        ) from error


def _runner(config: Any) -> type | None:
    """The class of `runner_type`, None for `Runner`.

    Raises:
        LldtoolError: there is no such runner.
    """
    named = config.get("runner_type", None)
    if named is None or named == "Runner":
        return None
    kind = class_named("RUNNERS", named)
    if kind is None:
        raise LldtoolError(f"unknown runner_type {type_name(named)!r}")
    return kind


def _overrides(kind: type, method: str) -> bool:
    """Whether a class, or a base of it that is not mmengine's, defines this method."""
    return any(method in vars(cls) for cls in kind.__mro__ if not is_mmengines(cls))


def is_mmengines(kind: type | None) -> bool:
    """Whether a class is mmengine's own; None is."""
    return kind is None or kind.__module__.partition(".")[0] in ("mmengine", "builtins")

"""Call the hooks of a training that set lrs as the train loop does, on a runner without data.

A hook gets the optimizer, the schedulers, the lengths and the counters of the training. A hook that
asks for anything else can't be called.
"""

from __future__ import annotations

import dis
import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import CodeType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from lldtool.dryrun.auto_scaling import part
from lldtool.dryrun.registries import class_named, describe, type_name
from lldtool.dryrun.runners import is_mmengines
from lldtool.dryrun.train_loop import TrainLoop
from lldtool.errors import LldtoolError, translated

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training

#: Methods of a hook that run before the first step of a training, and from then on.
_BEFORE = ("before_run", "after_load_checkpoint", "before_train")
_DURING = ("before_train_epoch", "before_train_iter", "after_train_iter", "after_train_epoch")
#: Names of attributes that hold lrs, and of those that change them.
_OF_LRS = frozenset({"param_groups", "param_schedulers"})
_CHANGING = frozenset({"update", "step", "add_param_group", "build_param_scheduler"})


def unfollowed_hooks(config: Any) -> Iterator[str]:
    """Yield a note for each hook that may change param groups before the first step.

    A plan does not call these hooks.
    """
    for _, kind in _hooks_of_users(config):
        names = [name for name in _BEFORE if _changes_lrs(kind, [name])]
        if names:
            yield f"{kind.__name__}.{names[0]} changes param groups, which is not followed"


def lr_hooks(config: Any) -> list[Any]:
    """Return the hooks to call in their order, including mmengine's own `ParamSchedulerHook`.

    Empty if no other hook of the config may change an lr. A hook that replaces
    `ParamSchedulerHook` is always called.

    Raises:
        LldtoolError: one of them can't be built.
    """
    stepping = part(config, "default_hooks").get("param_scheduler", {"type": "ParamSchedulerHook"})
    found = [
        configured
        for configured, kind in _hooks_of_users(config)
        if configured is stepping or _changes_lrs(kind, (*_BEFORE, *_DURING))
    ]
    if not found:
        return []
    if stepping is not None and stepping not in found:
        found.insert(0, stepping)
    return sorted(map(_built, found), key=_priority)


def hooked_steps(
    hooks: Sequence[Any], runner: SimpleNamespace, loop: TrainLoop, steps: Iterable[int]
) -> Iterator[int]:
    """Call the hooks before and after each of the steps of a training by iterations.

    Args:
        hooks: as `lr_hooks` gives them.
        runner: as `runner_without_data` makes it.
        loop: of the training.
        steps: the numbers of the steps, which are passed on.

    Raises:
        LldtoolError: a hook raises, or needs something that only a real training has.
    """

    def call(method: str, *arguments: Any) -> None:
        for hook in hooks:
            with translated(partial(_hook_error, f"{type(hook).__name__}.{method}")):
                getattr(hook, method)(runner, *arguments)

    # A training by iterations is one epoch to mmengine.
    length = loop.steps if loop.epochs is None else loop.epoch_length or 1
    call("before_run")
    call("before_train")
    for number in steps:
        runner.epoch, batch = divmod(number, length)
        runner.iter = number
        if batch == 0:
            call("before_train_epoch")
        call("before_train_iter", batch, None)
        yield number
        call("after_train_iter", batch, None, None)
        runner.iter = number + 1
        if batch + 1 == length:
            call("after_train_epoch")


def runner_without_data(
    training: Training,
    hooks: Sequence[Any],
    wrapper: Any,
    schedulers: Sequence[Any],
    loop: TrainLoop,
) -> SimpleNamespace:
    """Return a substitute for a runner that is about to take the first step."""
    runner = _Runner(
        optim_wrapper=wrapper,
        param_schedulers=list(schedulers) or None,
        model=training.model,
        cfg=training.config,
        epoch=0,
        iter=0,
        max_iters=loop.steps,
        max_epochs=loop.epochs or 1,
        train_loop=SimpleNamespace(max_iters=loop.steps, max_epochs=loop.epochs or 1),
        logger=logging.getLogger(__name__),
        hooks=hooks,
    )
    if loop.epoch_length is not None:
        runner.train_dataloader = runner.train_loop.dataloader = _Data(loop.epoch_length)
    return runner


class _Runner(SimpleNamespace):
    """A runner without data; as a class of its own, it shows which attribute a hook asked for."""


class _Data:
    """A data loader with a length but no data."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length


def _hook_error(name: str, error: BaseException) -> LldtoolError:
    """Return the error for an exception of a hook on a runner without data."""
    if isinstance(error, AttributeError) and isinstance(error.obj, (_Runner, _Data)):
        reason = f"needs {error.name!r} of a runner in training"
    else:
        reason = f"raises {describe(error)} on a runner without data"
    return LldtoolError(f"{name} may change the lr and {reason}, so the curve is not known")


def _hooks_of_users(config: Any) -> Iterator[tuple[Any, type]]:
    """Yield the config's hooks that are neither mmengine's nor lldtool's, with their classes."""
    custom = config.get("custom_hooks", None) or ()
    for configured in (*part(config, "default_hooks").values(), *custom):
        if isinstance(configured, Mapping):
            kind = class_named("HOOKS", configured.get("type", None))
            if kind and not (is_mmengines(kind) or kind.__module__.startswith("lldtool.")):
                yield configured, kind


def _changes_lrs(kind: type, methods: Iterable[str]) -> bool:
    """Whether one of these methods of a hook seems to change lrs, judging by its code."""
    codes = list(_codes(kind, methods, set()))
    names = {name for code in codes for name in code.co_names}
    if _OF_LRS.isdisjoint(names):
        return "build_param_scheduler" in names
    return not _CHANGING.isdisjoint(names) or any(
        instruction.opname == "STORE_SUBSCR"
        for code in codes
        for instruction in dis.get_instructions(code)
    )


def _codes(kind: type, names: Iterable[str], seen: set[CodeType]) -> Iterator[CodeType]:
    """Yield the code of a hook's methods, and of functions of its class or module they name."""
    pending: list[Any] = [getattr(kind, name, None) for name in names]
    while pending:
        function = inspect.unwrap(pending.pop()) if callable(pending[-1]) else pending.pop()
        code = getattr(function, "__code__", None)
        if code is None or code in seen or function.__module__.startswith("mmengine."):
            continue
        seen.add(code)
        for one in _with_inner(code):
            yield one
            for name in one.co_names:
                pending += getattr(kind, name, None), function.__globals__.get(name)


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)


def _built(configured: Any) -> Any:
    from mmengine.registry import HOOKS

    content = dict(configured) if isinstance(configured, dict) else {"type": configured}
    priority = content.pop("priority", None)
    try:
        hook = HOOKS.build(content)
    except Exception as error:
        name = type_name(content.get("type", ""))
        raise LldtoolError(f"building the hook {name}: {describe(error)}") from error
    if priority is not None:
        hook.priority = priority
    return hook


def _priority(hook: Any) -> int:
    from mmengine.runner import get_priority

    return int(get_priority(getattr(hook, "priority", "NORMAL")))

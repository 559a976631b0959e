"""The config's param schedulers, built and stepped as mmengine's Runner does."""

from __future__ import annotations

import contextlib
import copy
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lldtool.dryrun.config_loading import delete_hint
from lldtool.dryrun.param_groups import plain
from lldtool.dryrun.registries import class_named, defaults_of, describe, type_name, unknown_type
from lldtool.dryrun.train_loop import TrainLoop, needs_epoch_length
from lldtool.errors import LldtoolError, translated

#: Options that a resolved scheduler leaves out, as they change no setting.
_NOT_RESOLVED = ("type", "optimizer", "verbose", "last_step", "_scope_")
#: Options that can be a list with a value for each param group.
_VALUES = ("eta_max", "eta_min", "min_value")


class SchedulerError(LldtoolError):
    """The error that training would crash with when a scheduler is built or stepped."""


def schedulers_of_each(configured: Any, wrappers: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the schedulers of each optimizer; several have their own, or all have the same.

    Source: mmengine 0.10 `Runner.build_param_scheduler`.
    """
    if configured is None:
        return {name: [] for name in wrappers}
    by_name = isinstance(configured, dict) and "type" not in configured and "" not in wrappers
    found = {}
    for name in wrappers:
        if by_name and name not in configured:
            raise SchedulerError(f"param_scheduler has no entry for the optimizer {name!r}")
        own = configured[name] if by_name else configured
        found[name] = list(own) if isinstance(own, (list, tuple)) else [own]
    for one in (one for own in found.values() for one in own):
        if not isinstance(one, dict):
            raise SchedulerError(
                f"param_scheduler has a {type(one).__name__} where a dict is expected"
            )
        if "type" not in one:
            raise SchedulerError("param_scheduler has a dict without a type")
    return found


def schedulers_in(configured: Any) -> Iterator[Any]:
    """Yield the schedulers of all optimizers."""
    if isinstance(configured, dict) and "type" in configured:
        yield configured
    elif isinstance(configured, dict):
        for own in configured.values():
            yield from schedulers_in(own)
    elif isinstance(configured, (list, tuple)):
        yield from (one for one in configured if isinstance(one, dict) and "type" in one)


def resolved(configured: Any, loop: TrainLoop, optimizer: str) -> dict[str, Any]:
    """Return a scheduler's options with the defaults of its class, as numbers and strings.

    Args:
        configured: the scheduler in the config.
        loop: gives the default `end`.
        optimizer: the key of its optimizer if there are several, else "".
    """
    content = {key: configured[key] for key in configured}
    cls = _class_of(configured)
    known: dict[str, Any] = defaults_of(cls) if cls is not None else {}
    options = {"param_name": _setting(cls), **known, "convert_to_iter_based": False, **content}
    if "end" not in content:
        options["end"] = loop.default_end(by_epoch=options.get("by_epoch", True))
    options = {key: options[key] for key in options if key not in _NOT_RESOLVED}
    named = {"type": type_name(dict.get(configured, "type"))}
    found: dict[str, Any] = plain(named | options | ({"optimizer": optimizer} if optimizer else {}))
    return found


def _class_of(configured: Any) -> type | None:
    with contextlib.suppress(ImportError):  # training reports it
        # Turns the lazy object of a pure-Python config into the class.
        return class_named("PARAM_SCHEDULERS", configured.get("type"))
    return None


def _setting(cls: type | None) -> str:
    """Return the setting that a scheduler without `param_name` changes."""
    is_momentums = any(
        base.__name__ == "MomentumSchedulerMixin" for base in getattr(cls, "__mro__", ())
    )
    return "momentum" if is_momentums else "lr"


def settings_changed(configured: Sequence[Any]) -> list[str]:
    """Return the entries of param groups that schedulers change; the lr always comes first."""
    named = [one.get("param_name", None) or _setting(_class_of(one)) for one in configured]
    return list(dict.fromkeys(["lr", *named]))


def reads_only_its_setting(configured: Any) -> bool:
    """Whether a scheduler only reads the setting of a param group that it changes.

    mmengine's own do, unless they have a list with a value for each group.
    """
    cls = _class_of(configured)
    values = (configured.get(key, None) for key in _VALUES)
    lists = any(isinstance(value, (list, tuple)) for value in values)
    return getattr(cls, "__module__", "").startswith("mmengine.") and not lists


@contextlib.contextmanager
def schedulers_on(
    wrapper: Any, configured: Sequence[Any], loop: TrainLoop, indices: Sequence[int]
) -> Iterator[list[Any]]:
    """Build schedulers on an optimizer that, for the time being, has copies of these groups only.

    Raises:
        LldtoolError: training would fail at a scheduler.
    """
    optimizer = wrapper.optimizer
    groups = optimizer.param_groups
    # Plain dicts: mmengine's own check every access for classes to build, half of the time.
    optimizer.param_groups = [dict(groups[i]) for i in indices]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about an optimizer that takes no steps
            yield build_schedulers(wrapper, configured, loop)
    finally:
        optimizer.param_groups = groups


def after_step(schedulers: Sequence[Any], loop: TrainLoop, number: int) -> None:
    """Step the schedulers as mmengine's `ParamSchedulerHook` does after a step.

    Raises:
        LldtoolError: a scheduler raises.
    """
    if not loop.is_stepped:
        return
    is_iteration = loop.unit == "iteration"
    ends_epoch = not is_iteration or (
        loop.epochs is not None and (number + 1) % (loop.epoch_length or 1) == 0
    )
    with translated(_scheduler_error):
        for by_epoch, is_due in ((False, is_iteration), (True, ends_epoch)):
            for scheduler in schedulers if is_due else ():
                if scheduler.by_epoch == by_epoch:
                    scheduler.step()


def build_schedulers(wrapper: Any, configured: Sequence[Any], loop: TrainLoop) -> list[Any]:
    """Build the schedulers as `Runner.build_param_scheduler` of mmengine 0.10 does.

    Raises:
        LldtoolError: training would fail at one.
    """
    with translated(_scheduler_error):
        return _built(wrapper, configured, loop)


def _built(wrapper: Any, configured: Sequence[Any], loop: TrainLoop) -> list[Any]:
    from mmengine.registry import PARAM_SCHEDULERS

    defaults = {"optimizer": wrapper, "epoch_length": loop.epoch_length}
    built = []
    for one in configured:
        content = copy.deepcopy(one)
        content.setdefault("end", loop.default_end(by_epoch=content.get("by_epoch", True)))
        built.append(PARAM_SCHEDULERS.build(content, default_args=defaults))
        if loop.unit == "epoch" and not built[-1].by_epoch:  # decided by a class of the user's
            raise needs_epoch_length(one)
    return built


def _scheduler_error(error: BaseException) -> LldtoolError:
    """Return the error for an exception that a scheduler raised, with the scheduler's class."""
    if unknown := unknown_type(error, ""):
        return SchedulerError(unknown.message, hint=unknown.hint)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    own = [f.f_locals.get("self") for f in frames if f.f_code.co_name in ("__init__", "step")]
    kind, _, said = describe(error).partition(": ")
    of = "".join(f" in {type(scheduler).__name__}" for scheduler in own[:1])
    text = f"param_scheduler: training would crash with {kind}{of}: {said}".removesuffix(": ")
    return SchedulerError(text, hint=delete_hint(error))

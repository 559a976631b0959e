"""Step schedulers that were resumed to the end of the training."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lldtool.dryrun import Progress
from lldtool.dryrun.lr_hooks import lr_hooks
from lldtool.dryrun.optimizers import Built
from lldtool.dryrun.param_schedulers import after_step
from lldtool.dryrun.runners import is_mmengines
from lldtool.dryrun.stepping import Stepped, Track, require_steppable, tracked
from lldtool.dryrun.train_loop import TrainLoop
from lldtool.errors import LldtoolError

#: Attributes of mmengine's schedulers that are lists with a value for each param group.
_OF_EACH_GROUP = ("base_values", "_last_value", "min_values")
#: Entries of a param group that no scheduler reads.
_NAMES = {"params", "param_name", "param_names", "group_name", "layer_id"}


def stepped_to_end(
    config: Any,
    built: Built,
    schedulers: Mapping[str, list[Any]],
    loop: TrainLoop,
    progress: Progress,
) -> Stepped:
    """Step the schedulers to the end of the training.

    Args:
        config: of the training.
        built: its optimizers, resumed.
        schedulers: of each of them, resumed.
        loop: the rest of the training.
        progress: shows how many of the steps are done.

    Raises:
        LldtoolError: that can't be done.
    """
    hooks = [type(h).__name__ for h in lr_hooks(config) if not is_mmengines(type(h))]
    if hooks:
        raise LldtoolError(f"{hooks[0]} may change lrs, so they are not known after resuming")
    names: list[str] = []
    tracks: list[tuple[Track, ...]] = []
    for name, wrapper in built.wrappers.items():
        groups = wrapper.optimizer.param_groups
        if not all(isinstance(one.param_name, str) for one in schedulers[name]):
            raise LldtoolError("a scheduler in the checkpoint has a param_name that is no name")
        settings = list(dict.fromkeys(["lr", *(one.param_name for one in schedulers[name])]))
        chosen = _distinct(groups, schedulers[name])
        indices = sorted(set(chosen))
        require_steppable(len(indices) * len(settings), loop)
        with _only(wrapper, schedulers[name], indices):
            steps = _steps(schedulers[name], loop, progress)
            made = tracked(wrapper.optimizer.param_groups, settings, steps)
        tracks += [made[indices.index(i)] for i in chosen]
        names += [name] * len(groups)
    return Stepped(loop, tuple(names), tuple(tracks))


def _steps(schedulers: Sequence[Any], loop: TrainLoop, progress: Progress) -> Iterator[int]:
    with contextlib.closing(progress(range(loop.steps), loop.steps)) as numbers:
        for number in numbers:
            yield number
            after_step(schedulers, loop, number)


def _distinct(groups: Sequence[Mapping[str, Any]], schedulers: Sequence[Any]) -> list[int]:
    """Return for each param group the first one that the schedulers treat the same.

    mmengine's own read a group and their own lists; of others, each group counts as its own.
    """
    lists = [values for one in schedulers for _, values in _lists(one)]
    are_known = all(type(one).__module__.startswith("mmengine.") for one in schedulers)
    if not are_known or any(len(own) - len(groups) not in (0, 1) for own in lists):
        return list(range(len(groups)))
    first: dict[str, int] = {}
    keys = (
        repr([{k: v for k, v in group.items() if k not in _NAMES}, [own[i] for own in lists]])
        for i, group in enumerate(groups)
    )
    return [first.setdefault(key, i) for i, key in enumerate(keys)]


def _lists(scheduler: Any) -> Iterator[tuple[str, list[Any]]]:
    for name in _OF_EACH_GROUP:
        values = vars(scheduler).get(name)
        if isinstance(values, list):
            yield name, values


@contextlib.contextmanager
def _only(wrapper: Any, schedulers: Sequence[Any], indices: Sequence[int]) -> Iterator[None]:
    """Let an optimizer and its schedulers have copies of these of its param groups only."""
    optimizer, groups = wrapper.optimizer, wrapper.optimizer.param_groups
    base, states = copy.copy(wrapper.base_param_settings), [dict(vars(s)) for s in schedulers]
    if list(indices) != list(range(len(groups))):
        for scheduler in schedulers:
            for name, values in _lists(scheduler):
                chosen = [values[i] for i in indices] + values[len(groups) :]
                setattr(scheduler, name, chosen)
    optimizer.param_groups = [dict(groups[i]) for i in indices]
    try:
        yield
    finally:
        optimizer.param_groups, wrapper.base_param_settings = groups, base
        for scheduler, state in zip(schedulers, states, strict=True):
            vars(scheduler).update(state)

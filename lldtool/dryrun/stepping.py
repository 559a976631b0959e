"""Step the real param schedulers over a whole training, on the distinct param groups only."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from lldtool.dryrun import Progress
from lldtool.dryrun.auto_scaling import auto_scale
from lldtool.dryrun.isolation import silenced
from lldtool.dryrun.lr_hooks import hooked_steps, lr_hooks, runner_without_data
from lldtool.dryrun.optimizers import build_optimizers
from lldtool.dryrun.param_schedulers import (
    after_step,
    reads_only_its_setting,
    schedulers_of_each,
    schedulers_on,
    settings_changed,
)
from lldtool.dryrun.process_copy import CopyFailedError
from lldtool.dryrun.runners import build_of, is_mmengines
from lldtool.dryrun.train_loop import TrainLoop, needs_epoch_length, train_loop
from lldtool.dryrun.uninitialised import ValuesNeeded
from lldtool.errors import LldtoolError
from lldtool.text import plural

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training

#: More lrs than this take over a minute; an epoch length given in samples leads to more.
_MOST_LRS = 50_000_000


def unseen(steps: Iterable[int], total: int) -> Generator[int, None, None]:
    """Return the steps, and show nothing."""
    yield from steps


def stepped(
    training: Training,
    progress: Progress = unseen,
    *,
    all_groups: bool = False,
    only_main: bool = False,
) -> Stepped:
    """Step the schedulers of a training.

    Args:
        training: the training to step.
        progress: shows how many steps are done.
        all_groups: step every param group, not only those that differ in their settings.
        only_main: step only the param group with the highest lr of each optimizer.

    Raises:
        LldtoolError: the length of the training or of an epoch is needed and not known, or a
            scheduler raises.
    """

    def step() -> tuple[Stepped, str | None]:
        """Return the values, and what read an uninitialised value."""
        with training.uninitialised.watching():
            made = _stepped(training, progress, all_groups=all_groups, only_main=only_main)
        return made, training.uninitialised.first

    try:
        made, read_value = training.run_isolated(step, silent=False)
    except CopyFailedError as error:
        raise LldtoolError("the constructor ended the process") from error
    if read_value is not None:
        raise ValuesNeeded(read_value)
    return made


@dataclass(frozen=True)
class Track:
    """The values of a setting of a param group, one for each step, and that after the last."""

    setting: str
    values: array[float]
    end: float

    @cached_property
    def shape(self) -> tuple[str, bytes]:
        """A key that is equal for equal values."""
        return self.setting, self.values.tobytes()


@dataclass(frozen=True)
class Stepped:
    """The settings of a training's param groups in each step.

    `tracks` has the settings of each param group, by `Parameter.group`, the lr first. `optimizers`
    has the name of the optimizer of each.
    """

    loop: TrainLoop
    optimizers: tuple[str, ...]
    tracks: tuple[tuple[Track, ...], ...]


def _stepped(
    training: Training, progress: Progress, *, all_groups: bool, only_main: bool
) -> Stepped:
    config, request = training.config, training.request
    with silenced():
        built = build_optimizers(training.model, config.optim_wrapper, build_of(config))
    schedulers = schedulers_of_each(config.get("param_scheduler", None), built.wrappers)
    loop = train_loop(config, request)
    configured = [one for own in schedulers.values() for one in own]
    loop = loop.for_stepping(configured)
    hooks = _hooks(config, loop, built.wrappers)
    if only_main and not hooks:
        loop = loop.shortened(configured)
    ratio, _ = auto_scale(config, request)
    are_all = all_groups or bool(hooks)
    stepper = _Stepper(training, loop, hooks, progress, are_all, only_main)
    names: list[str] = []
    tracks: list[tuple[Track, ...]] = []
    for name, wrapper in built.wrappers.items():
        groups = wrapper.optimizer.param_groups
        for group in groups:
            if "lr" in group:
                group["lr"] *= ratio
        tracks += stepper.tracks(name, wrapper, schedulers[name])
        names += [name] * len(groups)
    return Stepped(loop, tuple(names), tuple(tracks))


def _hooks(config: Any, loop: TrainLoop, wrappers: Mapping[str, Any]) -> list[Any]:
    """Return the hooks that set lrs.

    Raises:
        LldtoolError: they can't be called for this training.
    """
    hooks = lr_hooks(config)
    if not hooks:
        return []
    name = next(type(hook).__name__ for hook in hooks if not is_mmengines(type(hook)))
    if len(wrappers) > 1:
        text = f"{name} may change lrs of several optimizers, so the curve is not known"
        raise LldtoolError(text)
    if loop.unit == "epoch":
        raise needs_epoch_length(name)
    return hooks


@dataclass
class _Stepper:
    """Steps the schedulers of one optimizer after the other, and collects the settings.

    Args:
        training: the training to step.
        loop: its train loop.
        hooks: the hooks that set lrs.
        progress: shows how many steps are done.
        all_groups: whether to step every param group.
        only_main: whether to step only the one with the highest lr.
    """

    training: Training
    loop: TrainLoop
    hooks: Sequence[Any]
    progress: Progress
    all_groups: bool
    only_main: bool

    def tracks(self, name: str, wrapper: Any, configured: Sequence[Any]) -> list[tuple[Track, ...]]:
        """Return the tracks of each param group of an optimizer.

        Raises:
            LldtoolError: there are too many steps, or training would fail at a scheduler.
        """
        settings = settings_changed(configured)
        groups = wrapper.optimizer.param_groups
        chosen = _distinct(groups, configured, settings, all_groups=self.all_groups)
        if self.only_main and groups:
            main = max(range(len(groups)), key=lambda i: groups[i].get("lr") or 0.0)
            chosen = chosen if self.all_groups else [chosen[main]] * len(groups)
        indices = sorted(set(chosen))
        require_steppable(len(indices) * len(settings), self.loop)
        with (
            schedulers_on(wrapper, configured, self.loop, indices) as schedulers,
            closing(self._steps(wrapper, schedulers)) as steps,
        ):
            made = dict(
                zip(indices, tracked(wrapper.optimizer.param_groups, settings, steps), strict=True)
            )
        if self.only_main:
            return [made[chosen[i]] if i == main else () for i in range(len(groups))]
        return [made[i] for i in chosen]

    def _steps(self, wrapper: Any, schedulers: Sequence[Any]) -> Generator[int, None, None]:
        """Yield the steps of the training; between two of them, schedulers and hooks are called."""
        steps = self.loop.steps
        with closing(self.progress(range(steps), steps)) as numbers:
            if self.hooks:
                runner = runner_without_data(
                    self.training, self.hooks, wrapper, schedulers, self.loop
                )
                yield from hooked_steps(self.hooks, runner, self.loop, numbers)
                return
            for number in numbers:
                yield number
                after_step(schedulers, self.loop, number)


def tracked(
    groups: Sequence[Mapping[str, Any]], settings: Sequence[str], steps: Iterable[int]
) -> list[tuple[Track, ...]]:
    """Return the tracks of each param group.

    Args:
        groups: of an optimizer, which the steps change.
        settings: entries of the groups.
        steps: of the training.
    """
    made = [[(setting, array("d")) for setting in settings] for _ in groups]
    rows = [
        (group, setting, values)
        for group, own in zip(groups, made, strict=True)
        for setting, values in own
    ]
    for _ in chain(steps, ["after the last step"]):
        for group, setting, values in rows:
            values.append(float(group.get(setting) or 0.0))
    return [tuple(Track(setting, v[:-1], v[-1]) for setting, v in own) for own in made]


def _distinct(
    groups: Sequence[Mapping[str, Any]],
    configured: Sequence[Any],
    settings: Sequence[str],
    *,
    all_groups: bool,
) -> list[int]:
    """Return, for each param group, the index of the first group that has the same curves.

    mmengine's own schedulers only read the setting of a group that they change, so groups with
    equal settings have equal curves. If a scheduler is not mmengine's, or has a list of values for
    the groups, each group is stepped.
    """
    if all_groups or not all(map(reads_only_its_setting, configured)):
        return list(range(len(groups)))
    first: dict[Any, int] = {}
    read = [key for setting in settings for key in (setting, f"initial_{setting}")]
    read += ["betas"] * ("momentum" in settings)
    values = (tuple(repr(group.get(key)) for key in read) for group in groups)
    return [first.setdefault(value, i) for i, value in enumerate(values)]


def require_steppable(distinct: int, loop: TrainLoop) -> None:
    """Refuse to step for minutes.

    Raises:
        LldtoolError: there are too many steps.
    """
    if distinct * loop.steps > _MOST_LRS:
        what = f"{plural(loop.steps, 'step')} of {plural(distinct, 'distinct lr')}"
        raise LldtoolError(f"{what} are too many", hint="is the epoch length in samples?")

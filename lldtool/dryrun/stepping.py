"""Step the real param schedulers over a whole training, on the distinct param groups only."""

from __future__ import annotations

import math
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from lldtool.analysis.lr_curves import Length, LrCurve, LrCurves, SchedulerSpan
from lldtool.dryrun import Progress
from lldtool.dryrun.auto_scaling import auto_scale
from lldtool.dryrun.isolation import silenced
from lldtool.dryrun.lr_hooks import hooked_steps, lr_hooks, runner_without_data, unfollowed_hooks
from lldtool.dryrun.optimizers import build_optimizers
from lldtool.dryrun.param_schedulers import (
    TARGETS,
    after_step,
    reads_only_its_setting,
    schedulers_in,
    schedulers_of_each,
    schedulers_on,
)
from lldtool.dryrun.process_copy import CopyFailedError
from lldtool.dryrun.registries import type_name
from lldtool.dryrun.runners import build_of, is_mmengines
from lldtool.dryrun.train_loop import TrainLoop, assumed_length, needs_epoch_length, train_loop
from lldtool.dryrun.training import Training
from lldtool.dryrun.uninitialised import ValuesNeeded
from lldtool.errors import LldtoolError
from lldtool.plan import Plan
from lldtool.text import layer_name, plural

#: More lrs than this take more than a minute; an epoch length in samples comes to more.
_MOST_LRS = 50_000_000
#: A training with more steps takes seconds to step.
_MOST_STEPS = 50_000


def unseen(steps: Iterable[int], total: int) -> Generator[int, None, None]:
    """Return the steps, and show nothing."""
    yield from steps


def schedule_of(
    training: Training,
    plan: Plan,
    length: Length,
    progress: Progress = unseen,
    all_groups: bool = False,
) -> LrCurves:
    """Return the lr of every layer in every step of a training.

    Args:
        training: whose schedulers are stepped.
        plan: of this training.
        length: what the user says of the training's length.
        progress: shows how many of the steps are done.
        all_groups: step every param group, not only those that differ in their settings.

    Raises:
        LldtoolError: the length of the training or of an epoch is needed and not known, or a
            scheduler raises.
    """

    def step() -> tuple[LrCurves, str | None]:
        """The schedule, and what read a value that is not initialised."""
        with training.uninitialised.watching():
            schedule = _stepped(training, plan, length, progress, all_groups)
        return schedule, training.uninitialised.first

    try:
        made, read_value = training.run_isolated(step, silent=False)
    except CopyFailedError as error:
        raise LldtoolError("the constructor ended the process") from error
    if read_value is not None:
        raise ValuesNeeded(read_value)
    return made


def rises_again(training: Training, plan: Plan) -> bool:
    """Return whether some lr rises after it has fallen; False for a training too long to step.

    Where the config does not say how long the training is, a length is assumed.

    Args:
        training: whose schedulers are stepped.
        plan: of this training.

    Raises:
        LldtoolError: training would fail at a scheduler.
    """
    config, request = training.config, training.request
    configured = list(schedulers_in(config.get("param_scheduler", None)))
    length = assumed_length(config, request, configured)
    if train_loop(config, request, length, configured).steps > _MOST_STEPS:
        return False
    return bool(schedule_of(training, plan, length).rising_again)


def _stepped(
    training: Training, plan: Plan, length: Length, progress: Progress, all_groups: bool
) -> LrCurves:
    config, request = training.config, training.request
    with silenced():
        built = build_optimizers(training.model, config.optim_wrapper, build_of(config))
    schedulers = schedulers_of_each(config.get("param_scheduler", None), built.wrappers)
    loop = train_loop(config, request, length, [s for own in schedulers.values() for s in own])
    hooks = _hooks(config, loop, built.wrappers)
    ratio, _ = auto_scale(config, request)
    stepper = _Stepper(training, loop, hooks, progress, all_groups or bool(hooks))
    tracks: list[_Track] = []
    for name, wrapper in built.wrappers.items():
        for group in wrapper.optimizer.param_groups:
            if "lr" in group:
                group["lr"] *= ratio
        tracks += stepper.tracks(name, wrapper, schedulers[name])
    notes = stepper.notes
    if others := len(plan.parameters) - len(plan.trained) + len(plan.frozen):
        verb = "is" if others == 1 else "are"
        notes[f"{plural(others, 'tensor')} {verb} not trained, and not shown"] = None
    if hooks:
        names = (type(hook).__name__ for hook in hooks if not is_mmengines(type(hook)))
        notes[f"{', '.join(names)} set lrs, called on a runner without data"] = None
    elif not any(schedulers.values()):
        notes["no param_scheduler: every lr stays as it is"] = None
    curves = tuple(_curves(plan, tracks))
    _require_finite(curves, loop)
    followed = set(unfollowed_hooks(config))  # by a schedule
    return LrCurves(
        plan=replace(plan, notes=tuple(n for n in plan.notes if n not in followed)),
        unit=loop.unit,
        steps=loop.steps,
        epochs=loop.epochs,
        epoch_length=loop.epoch_length,
        curves=curves,
        spans=tuple(stepper.spans),
        notes=(*notes, *loop.notes),
    )


def _hooks(config: Any, loop: TrainLoop, wrappers: Mapping[str, Any]) -> list[Any]:
    """The hooks that set lrs, if there are any.

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


@dataclass(frozen=True)
class _Track:
    """The lr of a param group in each step, and the name of its optimizer."""

    optimizer: str
    lrs: array[float]

    @cached_property
    def curve(self) -> tuple[str, bytes]:
        """What is the same where the curve is."""
        return self.optimizer, self.lrs.tobytes()


@dataclass
class _Stepper:
    """Steps the schedulers of one optimizer after the other, and collects what to say of them.

    Args:
        training: whose schedulers.
        loop: its train loop.
        hooks: those that set lrs.
        progress: what the steps are passed through.
        all_groups: step every param group.
    """

    training: Training
    loop: TrainLoop
    hooks: Sequence[Any]
    progress: Progress
    all_groups: bool
    spans: list[SchedulerSpan] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)

    def tracks(self, name: str, wrapper: Any, configured: Sequence[Any]) -> list[_Track]:
        """The track of each of an optimizer's param groups.

        Raises:
            LldtoolError: there are too many steps, or training would fail at a scheduler.
        """
        chosen = _distinct(wrapper.optimizer.param_groups, configured, all_groups=self.all_groups)
        indices = sorted(set(chosen))
        _require_steppable(len(indices), self.loop)
        columns = [array("d") for _ in indices]
        with (
            schedulers_on(wrapper, configured, self.loop, indices) as schedulers,
            closing(self._steps(wrapper, schedulers)) as steps,
        ):
            for _ in steps:
                for column, group in zip(columns, wrapper.optimizer.param_groups, strict=True):
                    column.append(float(group.get("lr", 0.0)))
            built = list(zip(configured, schedulers, strict=True))
        self.spans += _spans(name, built)
        self.notes |= dict.fromkeys(_notes(built, self.loop))
        tracks = {i: _Track(name, column) for i, column in zip(indices, columns, strict=True)}
        return [tracks[i] for i in chosen]

    def _steps(self, wrapper: Any, schedulers: Sequence[Any]) -> Generator[int, None, None]:
        """The steps of the training; between two of them all is called that sets lrs."""
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


def _distinct(
    groups: Sequence[Mapping[str, Any]], configured: Sequence[Any], *, all_groups: bool
) -> list[int]:
    """For each param group the first one that its schedulers treat the same.

    mmengine's own schedulers read nothing of a group but the setting that they change, so groups
    with one lr have one curve. Where a scheduler is another's, or has a list of values for the
    groups, each group has its own.
    """
    if all_groups or not all(map(reads_only_its_setting, configured)):
        return list(range(len(groups)))
    first: dict[Any, int] = {}
    lrs = ((repr(group.get("lr")), repr(group.get("initial_lr"))) for group in groups)
    return [first.setdefault(lr, i) for i, lr in enumerate(lrs)]


def _require_steppable(distinct: int, loop: TrainLoop) -> None:
    if distinct * loop.steps > _MOST_LRS:
        what = f"{plural(loop.steps, 'step')} of {plural(distinct, 'distinct lr')}"
        raise LldtoolError(f"{what} are too many", hint="is the epoch length one of samples?")


def _require_finite(curves: Sequence[LrCurve], loop: TrainLoop) -> None:
    """An lr that is no number any more is the end of a training.

    Raises:
        LldtoolError: a curve has one.
    """
    for curve in curves:
        if all(map(math.isfinite, curve.lrs)):
            continue
        step = next(i for i, lr in enumerate(curve.lrs) if not math.isfinite(lr))
        layer = curve.layer_id
        where = curve.parameters[0] if layer is None else f"layer {layer_name(layer)}"
        raise LldtoolError(f"the lr of {where} is {curve.lrs[step]} in {loop.unit} {step}")


def _spans(optimizer: str, built: Sequence[tuple[Any, Any]]) -> Iterator[SchedulerSpan]:
    for configured, scheduler in built:
        if getattr(scheduler, "param_name", "lr") != "lr":
            continue
        name = type_name(dict.get(configured, "type"))
        option = next((key for key in TARGETS if _is_positive(configured.get(key, None))), None)
        target = None if option is None else float(configured[option])
        bounds = getattr(scheduler, "begin", 0), getattr(scheduler, "end", math.inf)
        yield SchedulerSpan(name, *bounds, scheduler.by_epoch, option, target, optimizer)


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0


def _notes(built: Sequence[tuple[Any, Any]], loop: TrainLoop) -> Iterator[str]:
    """What a reader could not see from the numbers."""
    for configured, scheduler in built:
        name = type_name(dict.get(configured, "type"))
        changed = getattr(scheduler, "param_name", "lr")
        if changed not in ("lr", "momentum"):
            yield f"{name} changes {changed} as well, which is not shown"
        elif getattr(scheduler, "need_val_args", False):
            yield f"{name} waits for a metric to get worse; shown is a training where it does not"
        elif scheduler.by_epoch and loop.epochs is None:
            yield f"{name} goes by epochs, which a training by iterations has none of: no step"
        elif getattr(scheduler, "begin", 0) >= ((scheduler.by_epoch and loop.epochs) or loop.steps):
            yield f"{name} begins after the end of the training: it does nothing"


def _curves(plan: Plan, tracks: Sequence[_Track]) -> Iterator[LrCurve]:
    for layer in plan.layers:
        by_track: dict[tuple[str, bytes], list[Any]] = {}
        for parameter in layer.trained:
            by_track.setdefault(tracks[parameter.group].curve, []).append(parameter)
        for members in by_track.values():
            if layer.lr is not None:
                names, track = tuple(p.name for p in members), tracks[members[0].group]
                yield LrCurve(layer.layer_id, names, layer.lr, track.lrs, track.optimizer)

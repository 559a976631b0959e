"""Step the real param schedulers over a whole training, on the distinct param groups only."""

from __future__ import annotations

import math
import warnings
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from lldtool.analysis.lr_curves import Course, Length, Schedule, Stage
from lldtool.dryrun import Progress, constructor
from lldtool.dryrun.environment import silenced
from lldtool.dryrun.isolation import CopyFailedError
from lldtool.dryrun.lr_hooks import HookedTraining, lr_hooks, unfollowed_hooks
from lldtool.dryrun.param_schedulers import (
    TARGETS,
    after_step,
    build_schedulers,
    reads_only_its_setting,
    scheduler_error,
    schedulers_of_each,
)
from lldtool.dryrun.registries import type_name
from lldtool.dryrun.runners import build_of, is_mmengines
from lldtool.dryrun.scaling import auto_scale
from lldtool.dryrun.train_loop import TrainLoop, needs_epoch_length, train_loop
from lldtool.dryrun.training import Training
from lldtool.dryrun.values import ValuesNeeded
from lldtool.errors import LldtoolError, translated
from lldtool.plan import Plan
from lldtool.text import layer_name, plural

#: More lrs than this take more than a minute; an epoch length in samples comes to more.
_MOST_LRS = 50_000_000


def unseen(steps: Iterable[int], total: int) -> Generator[int, None, None]:
    """Return the steps, and show nothing."""
    yield from steps


def schedule_of(
    training: Training,
    plan: Plan,
    length: Length,
    progress: Progress = unseen,
    all_groups: bool = False,
) -> Schedule:
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
    step = partial(_stepped, training, plan, length, progress, all_groups)
    try:
        made, read_value = training.apart(step, silent=False)
    except CopyFailedError as error:
        raise LldtoolError("the constructor ended the process") from error
    if read_value is not None:
        raise ValuesNeeded(read_value)
    return made


def _stepped(
    training: Training, plan: Plan, length: Length, progress: Progress, all_groups: bool
) -> tuple[Schedule, str | None]:
    """The schedule, and what read a value that is not initialised."""
    with training.uninitialised.watching():
        made = _stepped_schedule(training, plan, length, progress, all_groups)
    return made, training.uninitialised.first


def _stepped_schedule(
    training: Training, plan: Plan, length: Length, progress: Progress, all_groups: bool
) -> Schedule:
    config, request = training.config, training.request
    with silenced():
        build = build_of(config)
        built = constructor.build_optimizers(training.model, config.optim_wrapper, build)
    schedulers = schedulers_of_each(config.get("param_scheduler", None), built.wrappers)
    loop = train_loop(config, request, length, [s for own in schedulers.values() for s in own])
    hooks = _hooks(config, loop, built.wrappers)
    ratio, _ = auto_scale(config, request)
    stepped = []
    for name, wrapper in built.wrappers.items():
        for group in wrapper.optimizer.param_groups:
            if "lr" in group:
                group["lr"] *= ratio
        hooked = partial(HookedTraining, hooks, wrapper, loop, config, training.model)
        stepping = hooked if hooks else partial(_Stepping, loop)
        every = all_groups or bool(hooks)
        stepped.append(_tracks(name, wrapper, schedulers[name], stepping, loop, progress, every))
    notes = dict.fromkeys(note for one in stepped for note in one.notes)
    if others := len(plan.parameters) - len(plan.trained) + len(plan.frozen):
        verb = "is" if others == 1 else "are"
        notes[f"{plural(others, 'tensor')} {verb} not trained, and not shown"] = None
    if hooks:
        own = (type(hook).__name__ for hook in hooks if not is_mmengines(type(hook)))
        notes[f"{', '.join(own)} set lrs, called on a runner without data"] = None
    elif not any(schedulers.values()):
        notes["no param_scheduler: every lr stays as it is"] = None
    courses = tuple(_courses(plan, [track for one in stepped for track in one.tracks]))
    _require_finite(courses, loop)
    followed = set(unfollowed_hooks(config))  # by a schedule
    return Schedule(
        plan=replace(plan, notes=tuple(n for n in plan.notes if n not in followed)),
        unit=loop.unit,
        steps=loop.steps,
        epochs=loop.epochs,
        epoch_length=loop.epoch_length,
        courses=courses,
        stages=tuple(stage for one in stepped for stage in one.stages),
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
class _Stepping:
    """A training in which nothing but schedulers sets lrs."""

    loop: TrainLoop
    schedulers: Sequence[Any]

    def before_step(self, number: int) -> None:
        """Nothing happens."""

    def after_step(self, number: int) -> None:
        """The schedulers step that do so now; raises what they raise."""
        with translated(scheduler_error):
            after_step(self.schedulers, self.loop, number)


def _require_finite(courses: Sequence[Course], loop: TrainLoop) -> None:
    """An lr that is no number any more is the end of a training.

    Raises:
        LldtoolError: a course has one.
    """
    for course in courses:
        if all(map(math.isfinite, course.lrs)):
            continue
        step = next(i for i, lr in enumerate(course.lrs) if not math.isfinite(lr))
        layer = course.layer_id
        where = course.parameters[0] if layer is None else f"layer {layer_name(layer)}"
        raise LldtoolError(f"the lr of {where} is {course.lrs[step]} in {loop.unit} {step}")


@dataclass(frozen=True)
class _Track:
    """The lr of a param group in each step, and the name of its optimizer."""

    optimizer: str
    lrs: array[float]

    @cached_property
    def course(self) -> tuple[str, bytes]:
        """What is the same where the course is."""
        return self.optimizer, self.lrs.tobytes()


@dataclass(frozen=True)
class _Stepped:
    """The tracks of an optimizer's param groups, and its schedulers."""

    tracks: list[_Track]
    stages: list[Stage]
    notes: list[str]


def _tracks(
    name: str,
    wrapper: Any,
    configured: Sequence[Any],
    stepping: Callable[[Sequence[Any]], HookedTraining | _Stepping],
    loop: TrainLoop,
    progress: Progress,
    all_groups: bool,
) -> _Stepped:
    """Step the schedulers of one optimizer.

    mmengine's own schedulers read nothing of a group but the setting that they change, so groups
    with one lr have one course. Where a scheduler is another's, or has a list of values for the
    groups, all groups are stepped.
    """
    optimizer = wrapper.optimizer
    groups = optimizer.param_groups
    first: dict[Any, int] = {}
    chosen = list(range(len(groups)))
    if not all_groups and all(map(reads_only_its_setting, configured)):
        chosen = [first.setdefault(_lr_of(group), i) for i, group in enumerate(groups)]
    stepped = sorted(set(chosen))
    if len(stepped) * loop.steps > _MOST_LRS:
        what = f"{plural(loop.steps, 'step')} of {plural(len(stepped), 'distinct lr')}"
        raise LldtoolError(f"{what} are too many", hint="is the epoch length one of samples?")
    # Plain dicts: mmengine's own look for classes to build in every access, half of the time.
    optimizer.param_groups = [dict(groups[i]) for i in stepped]
    try:
        with translated(scheduler_error):
            schedulers = build_schedulers(wrapper, configured, loop)
        training = stepping(schedulers)
        columns = [array("d") for _ in stepped]
        with warnings.catch_warnings(), closing(progress(range(loop.steps), loop.steps)) as steps:
            warnings.simplefilter("ignore")  # that the optimizer takes no steps
            for number in steps:
                training.before_step(number)
                for column, group in zip(columns, optimizer.param_groups, strict=True):
                    column.append(float(group.get("lr", 0.0)))
                training.after_step(number)
    finally:
        optimizer.param_groups = groups
    tracks = {i: _Track(name, column) for i, column in zip(stepped, columns, strict=True)}
    built = list(zip(configured, schedulers, strict=True))
    stages, notes = list(_stages(name, built)), list(_notes(built, loop))
    return _Stepped([tracks[i] for i in chosen], stages, notes)


def _lr_of(group: Mapping[str, Any]) -> tuple[str, str]:
    return repr(group.get("lr")), repr(group.get("initial_lr"))


def _stages(optimizer: str, built: Sequence[tuple[Any, Any]]) -> Iterator[Stage]:
    for configured, scheduler in built:
        if getattr(scheduler, "param_name", "lr") != "lr":
            continue
        name = type_name(dict.get(configured, "type"))
        option = next((key for key in TARGETS if _is_positive(configured.get(key, None))), None)
        target = None if option is None else float(configured[option])
        bounds = getattr(scheduler, "begin", 0), getattr(scheduler, "end", math.inf)
        yield Stage(name, *bounds, scheduler.by_epoch, option, target, optimizer)


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


def _courses(plan: Plan, tracks: Sequence[_Track]) -> Iterator[Course]:
    for layer in plan.layers:
        by_track: dict[tuple[str, bytes], list[Any]] = {}
        for parameter in layer.trained:
            by_track.setdefault(tracks[parameter.group].course, []).append(parameter)
        for members in by_track.values():
            if layer.lr is not None:
                names, track = tuple(p.name for p in members), tracks[members[0].group]
                yield Course(layer.layer_id, names, layer.lr, track.lrs, track.optimizer)

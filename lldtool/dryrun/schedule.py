"""Step the real param schedulers over a whole training, on the distinct param groups only."""

from __future__ import annotations

import copy
import math
import warnings
from array import array
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from lldtool.dryrun import constructor
from lldtool.dryrun.config import describe
from lldtool.dryrun.registries import type_name, unknown_type
from lldtool.dryrun.scaling import auto_scale, part, train_batch_size
from lldtool.dryrun.session import run
from lldtool.dryrun.training import Training, start_of_training, told
from lldtool.errors import LldtoolError
from lldtool.plan import Plan
from lldtool.request import Request
from lldtool.schedule import Course, Length, Schedule, Stage
from lldtool.text import plural, quoted

#: Given the steps and how many there are, the same steps again; shows how far they are.
Progress = Callable[[Iterable[int], int], Generator[int, None, None]]
#: Options of schedulers that are an lr in absolute numbers, for every param group.
_TARGETS = ("eta_max", "eta_min")
#: More lrs than this take more than a minute; an epoch length in samples comes to more.
_MOST_LRS = 50_000_000
#: As much as mmengine takes for the end of all trainings.
_MOST_STEPS = 1_000_000_000
#: Samplers of which each GPU gets its part of the data set, rounded up.
_SAMPLERS = ("DefaultSampler", "RepeatAugSampler")
#: What steps the schedulers as `_after_step` does.
_LOOPS, _HOOKS = ("EpochBasedTrainLoop", "IterBasedTrainLoop"), ("ParamSchedulerHook",)


def dry_run_schedule(
    request: Request,
    length: Length,
    *,
    progress: Progress | None = None,
    all_groups: bool = False,
) -> Schedule:
    """The lr of every layer in every step of the training.

    Args:
        request: the config.
        length: what the user says of the training's length.
        progress: what the steps are passed through.
        all_groups: step every param group, not only those that differ in their settings.

    Raises:
        LldtoolError: there is no plan, the length of the training or of an epoch is not known and
            needed, or a scheduler raises.
    """
    return run(partial(_schedule, length, progress or _unseen, all_groups), request)


def _unseen(steps: Iterable[int], total: int) -> Generator[int, None, None]:
    yield from steps


def _schedule(length: Length, progress: Progress, all_groups: bool, request: Request) -> Schedule:
    with start_of_training(request) as training:
        return schedule_of(training, training.plan(explained=False), length, progress, all_groups)


def schedule_of(
    training: Training,
    plan: Plan,
    length: Length,
    progress: Progress = _unseen,
    all_groups: bool = False,
) -> Schedule:
    """The schedule of a training whose plan is known; arguments and errors as above."""
    config, request = training.config, training.request
    built = constructor.build_optimizers(training.model, config.optim_wrapper)
    schedulers = _of_each(config.get("param_scheduler", None), built.wrappers)
    loop = _loop(config, request, length, [s for own in schedulers.values() for s in own])
    ratio, _ = auto_scale(config, request)
    stepped = []
    for name, wrapper in built.wrappers.items():
        for group in wrapper.optimizer.param_groups:
            if "lr" in group:
                group["lr"] *= ratio
        stepped.append(_tracks(name, wrapper, schedulers[name], loop, progress, all_groups))
    notes = dict.fromkeys(note for one in stepped for note in one.notes)
    if not any(schedulers.values()):
        notes["no param_scheduler: every lr stays as it is"] = None
    courses = tuple(_courses(plan, [track for one in stepped for track in one.tracks]))
    _require_finite(courses, loop)
    return Schedule(
        plan=plan,
        unit=loop.unit,
        steps=loop.steps,
        epochs=loop.epochs,
        epoch_length=loop.epoch_length,
        courses=courses,
        stages=tuple(stage for one in stepped for stage in one.stages),
        notes=(*notes, *loop.notes),
    )


def _scheduler_error(error: BaseException) -> LldtoolError:
    text = f"param_scheduler: training would crash with {describe(error)}"
    return unknown_type(error, "") or LldtoolError(text)


def _of_each(configured: Any, wrappers: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The schedulers of each optimizer; of several, each has its own or all have the same.

    Source: mmengine 0.10 `Runner.build_param_scheduler`.
    """
    if configured is None:
        return {name: [] for name in wrappers}
    by_name = isinstance(configured, dict) and "type" not in configured and "" not in wrappers
    found = {}
    for name in wrappers:
        if by_name and name not in configured:
            raise LldtoolError(f"param_scheduler has nothing for the optimizer {name!r}")
        own = configured[name] if by_name else configured
        found[name] = list(own) if isinstance(own, (list, tuple)) else [own]
    for one in (one for own in found.values() for one in own):
        if not isinstance(one, dict):
            raise LldtoolError(f"param_scheduler has a {type(one).__name__} where a dict belongs")
        if "type" not in one:
            raise LldtoolError("param_scheduler has a dict without a type")
    return found


def _require_finite(courses: Sequence[Course], loop: _Loop) -> None:
    """An lr that is no number any more is the end of a training.

    Raises:
        LldtoolError: a course has one.
    """
    for course in courses:
        if all(map(math.isfinite, course.lrs)):
            continue
        step = next(i for i, lr in enumerate(course.lrs) if not math.isfinite(lr))
        where = f"layer {course.layer_id}" if course.layer_id is not None else course.parameters[0]
        raise LldtoolError(f"the lr of {where} is {course.lrs[step]} in {loop.unit} {step}")


@dataclass(frozen=True)
class _Loop:
    """The train loop: `steps` of a `unit`; by epochs, or by iterations with `epochs` None.

    Where `is_stepped` is false nothing steps the schedulers.
    """

    unit: str
    steps: int
    epochs: int | None
    epoch_length: int | None
    is_stepped: bool
    notes: tuple[str, ...]

    def default_end(self, *, by_epoch: bool) -> int | None:
        """The end of a scheduler that names none; a loop by iterations is one epoch to mmengine."""
        if by_epoch:
            return 1 if self.epochs is None else self.epochs
        return self.steps if self.unit == "iteration" else None


def _loop(config: Any, request: Request, length: Length, schedulers: Sequence[Any]) -> _Loop:
    """What is to be stepped; errors where it is not known and needed."""
    train = part(config, "train_cfg")
    epoch_length, notes = _epoch_length(config, request, length)
    hooks = part(config, "default_hooks")
    is_stepped = hooks.get("param_scheduler", True) is not None
    if not is_stepped and schedulers:
        notes += ("default_hooks has no param_scheduler: nothing steps the schedulers",)
    others = [*_others(train, _LOOPS), *_others(part(hooks, "param_scheduler"), _HOOKS)]
    notes += tuple(f"{kind} may step the schedulers otherwise than shown" for kind in others)
    if ("type" in train) == ("by_epoch" in train):
        notes += ("train_cfg needs one of type and by_epoch: training would stop at its start",)
    needing = next((s for s in schedulers if s.get("convert_to_iter_based", False)), None)
    if not train.get("by_epoch", "max_iters" not in train):
        if epoch_length is None and (needing or length.epochs is not None):
            raise _needs_epoch_length(needing)
        steps = (length.epochs or 0) * (epoch_length or 0) or _number(train, "max_iters", request)
        return _Loop("iteration", steps, None, epoch_length, is_stepped, notes)
    epochs = length.epochs or _number(train, "max_epochs", request)
    if epoch_length is not None:
        steps = epochs * epoch_length
        return _Loop("iteration", steps, epochs, epoch_length, is_stepped, notes)
    needing = needing or next((s for s in schedulers if not s.get("by_epoch", True)), None)
    if needing:
        raise _needs_epoch_length(needing)
    return _Loop("epoch", epochs, epochs, None, is_stepped, notes)


def _others(configured: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """The type that is configured, where it is none of those."""
    kind = configured.get("type", None)
    return [type_name(kind)] if kind and type_name(kind) not in known else []


def _number(train: Mapping[str, Any], key: str, request: Request) -> int:
    value = train.get(key, None)
    if value is None:
        raise LldtoolError(
            f"train_cfg does not say {key}", config=request.name,
            hint="--epochs N says how long the training is" if key == "max_epochs" else None,
        )  # fmt: skip
    return _whole(value, f"train_cfg.{key}", request)


def _whole(value: Any, what: str, request: Request) -> int:
    """A positive whole number of the config.

    Raises:
        LldtoolError: it is none.
    """
    is_number = isinstance(value, (int, float)) and 1 <= value <= _MOST_STEPS
    if not is_number or value != int(value):
        message = f"{what} is {quoted(value)}, and no whole number from 1 to 1e9"
        raise LldtoolError(message, config=request.name)
    return int(value)


def _epoch_length(
    config: Any, request: Request, length: Length
) -> tuple[int | None, tuple[str, ...]]:
    """Iterations an epoch, as a data loader of mmengine has them; None where that is not known.

    And notes on what it may be instead. A sampler pads the last batch of each GPU. Source: mmengine
    0.10 `Runner.build_dataloader`.
    """
    loader = part(config, "train_dataloader")
    configured = loader.get("num_batch_per_epoch", None)
    if length.epoch_length is not None or (configured is None and length.dataset_size is None):
        return length.epoch_length, ()
    if configured is not None:
        return _whole(configured, "train_dataloader.num_batch_per_epoch", request), ()
    batch = train_batch_size(config)
    if batch is None:
        raise LldtoolError(
            "--dataset-size needs train_dataloader.batch_size", config=request.name,
            hint="--epoch-length N says how many iterations an epoch has",
        )  # fmt: skip
    samples = -(-(length.dataset_size or 0) // (request.world_size or 1))
    whole = samples // batch if loader.get("drop_last", False) else -(-samples // batch)
    if whole < 1:
        raise LldtoolError("--dataset-size is less than one batch", config=request.name)
    samplers = [part(loader, key) for key in ("sampler", "batch_sampler")]
    others = [kind for sampler in samplers for kind in _others(sampler, _SAMPLERS)]
    of_this = plural(whole, "iteration")
    return whole, tuple(
        f"{kind} may make epochs of another length than {of_this}" for kind in others
    )


def _needs_epoch_length(scheduler: Any) -> LldtoolError:
    what = "--epochs, in a training by iterations,"
    if scheduler is not None:
        what = f"{type_name(dict.get(scheduler, 'type'))}, which goes by iterations,"
    hint = "--epoch-length N says it, or --dataset-size N"
    return LldtoolError(f"{what} needs the length of an epoch", hint=hint)


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
    loop: _Loop,
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
    if not all_groups and all(map(_sees_the_setting_only, configured)):
        chosen = [first.setdefault(_lr_of(group), i) for i, group in enumerate(groups)]
    stepped = sorted(set(chosen))
    if len(stepped) * loop.steps > _MOST_LRS:
        what = f"{plural(loop.steps, 'step')} of {plural(len(stepped), 'distinct lr')}"
        raise LldtoolError(f"{what} are too many", hint="is the epoch length one of samples?")
    # Plain dicts: mmengine's own look for classes to build in every access, half of the time.
    optimizer.param_groups = [dict(groups[i]) for i in stepped]
    try:
        with told(_scheduler_error):
            schedulers = _build(wrapper, configured, loop)
        columns = [array("d") for _ in stepped]
        with warnings.catch_warnings(), closing(progress(range(loop.steps), loop.steps)) as steps:
            warnings.simplefilter("ignore")  # that the optimizer takes no steps
            for number in steps:
                for column, group in zip(columns, optimizer.param_groups, strict=True):
                    column.append(float(group.get("lr", 0.0)))
                with told(_scheduler_error):
                    _after_step(schedulers, loop, number)
    finally:
        optimizer.param_groups = groups
    tracks = {i: _Track(name, column) for i, column in zip(stepped, columns, strict=True)}
    built = list(zip(configured, schedulers, strict=True))
    stages, notes = list(_stages(name, built)), list(_notes(built, loop))
    return _Stepped([tracks[i] for i in chosen], stages, notes)


def _lr_of(group: Mapping[str, Any]) -> tuple[str, str]:
    return repr(group.get("lr")), repr(group.get("initial_lr"))


def _sees_the_setting_only(configured: Any) -> bool:
    from mmengine.registry import PARAM_SCHEDULERS

    kind = configured.get("type")  # a pure-Python config's name becomes the class here
    cls = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
    values = (configured.get(key, None) for key in (*_TARGETS, "min_value"))
    lists = any(isinstance(value, (list, tuple)) for value in values)
    return getattr(cls, "__module__", "").startswith("mmengine.") and not lists


def _build(wrapper: Any, configured: Sequence[Any], loop: _Loop) -> list[Any]:
    """The schedulers as `Runner.build_param_scheduler` of mmengine 0.10 builds them."""
    from mmengine.registry import PARAM_SCHEDULERS

    defaults = {"optimizer": wrapper, "epoch_length": loop.epoch_length}
    built = []
    for one in configured:
        content = copy.deepcopy(one)
        content.setdefault("end", loop.default_end(by_epoch=content.get("by_epoch", True)))
        built.append(PARAM_SCHEDULERS.build(content, default_args=defaults))
        if loop.unit == "epoch" and not built[-1].by_epoch:  # by a class of the user's own
            raise _needs_epoch_length(one)
    return built


def _after_step(schedulers: Sequence[Any], loop: _Loop, number: int) -> None:
    """What mmengine's `ParamSchedulerHook` does after a step."""
    if not loop.is_stepped:
        return
    is_iteration = loop.unit == "iteration"
    ends_epoch = not is_iteration or (
        loop.epochs is not None and (number + 1) % (loop.epoch_length or 1) == 0
    )
    if is_iteration:
        for scheduler in schedulers:
            if not scheduler.by_epoch:
                scheduler.step()
    if ends_epoch:
        for scheduler in schedulers:
            if scheduler.by_epoch:
                scheduler.step()


def _stages(optimizer: str, built: Sequence[tuple[Any, Any]]) -> Iterator[Stage]:
    for configured, scheduler in built:
        if getattr(scheduler, "param_name", "lr") != "lr":
            continue
        name = type_name(dict.get(configured, "type"))
        option = next((key for key in _TARGETS if _is_positive(configured.get(key, None))), None)
        target = None if option is None else float(configured[option])
        bounds = getattr(scheduler, "begin", 0), getattr(scheduler, "end", math.inf)
        yield Stage(name, *bounds, scheduler.by_epoch, option, target, optimizer)


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0


def _notes(built: Sequence[tuple[Any, Any]], loop: _Loop) -> Iterator[str]:
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
        for parameter in layer.parameters:
            by_track.setdefault(tracks[parameter.group].course, []).append(parameter)
        for members in by_track.values():
            if layer.lr is not None:
                names, track = tuple(p.name for p in members), tracks[members[0].group]
                yield Course(layer.layer_id, names, layer.lr, track.lrs, track.optimizer)

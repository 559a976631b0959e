"""Step the real param schedulers over a whole training, on the distinct param groups only."""

from __future__ import annotations

import copy
import warnings
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from lldtool.dryrun import constructor
from lldtool.dryrun.config import describe
from lldtool.dryrun.registries import type_name, unknown_type
from lldtool.dryrun.scaling import auto_scale
from lldtool.dryrun.session import run
from lldtool.dryrun.training import Training, start_of_training
from lldtool.errors import LldtoolError
from lldtool.plan import Plan
from lldtool.request import Request
from lldtool.schedule import Course, Length, Schedule, Stage

#: Given the steps and how many there are, the same steps again; shows how far they are.
Progress = Callable[[Iterable[int], int], Generator[int, None, None]]
#: Options of schedulers that are an lr in absolute numbers, for every param group.
_TARGETS = ("eta_max", "eta_min")
#: Samplers of which each GPU gets its part of the data set, rounded up.
_SAMPLERS = ("DefaultSampler", "RepeatAugSampler")


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
    tracks: list[array[float]] = []
    stages: dict[Stage, None] = {}
    notes: dict[str, None] = {}
    for name, wrapper in built.wrappers.items():
        for group in wrapper.optimizer.param_groups:
            if "lr" in group:
                group["lr"] *= ratio
        try:
            stepped = _tracks(wrapper, schedulers[name], loop, progress, all_groups)
        except LldtoolError:
            raise
        except Exception as error:
            unknown = unknown_type(error, request.name)
            text = f"param_scheduler: training would crash with {describe(error)}"
            raise unknown or LldtoolError(text, config=request.name) from error
        tracks += stepped.lrs
        stages |= dict.fromkeys(stepped.stages)
        notes |= dict.fromkeys(stepped.notes)
    if not any(schedulers.values()):
        notes["no param_scheduler: every lr stays as it is"] = None
    return Schedule(
        plan=plan,
        unit=loop.unit,
        steps=loop.steps,
        epochs=loop.epochs,
        epoch_length=loop.epoch_length,
        courses=tuple(_courses(plan, tracks)),
        stages=tuple(stages),
        notes=(*notes, *loop.notes),
    )


def _of_each(configured: Any, wrappers: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The schedulers of each optimizer; of several, each has its own or all have the same.

    Source: mmengine 0.10 `Runner.build_param_scheduler`.
    """
    by_name = isinstance(configured, dict) and "type" not in configured and "" not in wrappers
    found = {}
    for name in wrappers:
        if by_name and name not in configured:
            raise LldtoolError(f"param_scheduler has nothing for the optimizer {name!r}")
        own = configured[name] if by_name else configured
        found[name] = list(own) if isinstance(own, (list, tuple)) else [own] if own else []
    for one in (one for own in found.values() for one in own):
        if not isinstance(one, dict):
            raise LldtoolError(f"param_scheduler has a {type(one).__name__} where a dict belongs")
    return found


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
    train = config.get("train_cfg", None)
    train = train if isinstance(train, dict) else {}
    epoch_length, notes = length.epoch_length, tuple[str, ...]()
    if epoch_length is None and length.dataset_size is not None:
        epoch_length, notes = _epoch_length(config, request, length.dataset_size)
    hooks = config.get("default_hooks", None)
    is_stepped = not isinstance(hooks, dict) or hooks.get("param_scheduler", True) is not None
    if not is_stepped and schedulers:
        notes += ("default_hooks has no param_scheduler: nothing steps the schedulers",)
    needing = next((s for s in schedulers if s.get("convert_to_iter_based", False)), None)
    if train.get("by_epoch", "max_iters" not in train) is False:
        steps = _number(train, "max_iters", request)
        if length.epochs is not None and epoch_length is not None:
            steps = length.epochs * epoch_length
        if epoch_length is None and (needing or length.epochs is not None):
            raise _needs_epoch_length(needing, request)
        return _Loop("iteration", steps, None, epoch_length, is_stepped, notes)
    epochs = length.epochs or _number(train, "max_epochs", request)
    if epoch_length is not None:
        steps = epochs * epoch_length
        return _Loop("iteration", steps, epochs, epoch_length, is_stepped, notes)
    needing = needing or next((s for s in schedulers if not s.get("by_epoch", True)), None)
    if needing:
        raise _needs_epoch_length(needing, request)
    return _Loop("epoch", epochs, epochs, None, is_stepped, notes)


def _number(train: Mapping[str, Any], key: str, request: Request) -> int:
    value = train.get(key, None)
    if value is None:
        raise LldtoolError(
            f"train_cfg does not say {key}", config=request.name,
            hint="--epochs N says how long the training is" if key == "max_epochs" else None,
        )  # fmt: skip
    if not isinstance(value, (int, float)) or value != int(value) or value < 1:
        raise LldtoolError(f"train_cfg.{key} is {value!r}, not a number", config=request.name)
    return int(value)


def _epoch_length(config: Any, request: Request, dataset_size: int) -> tuple[int, tuple[str, ...]]:
    """Iterations an epoch, as a data loader of mmengine has them: samplers pad the last one."""
    loader = config.get("train_dataloader", None)
    loader = loader if isinstance(loader, dict) else {}
    batch = loader.get("batch_size", None)
    if not isinstance(batch, int):
        raise LldtoolError(
            "--dataset-size needs train_dataloader.batch_size", config=request.name,
            hint="--epoch-length N says how many iterations an epoch has",
        )  # fmt: skip
    samples = -(-dataset_size // (request.world_size or 1))
    whole = samples // batch if loader.get("drop_last", False) else -(-samples // batch)
    if whole < 1:
        raise LldtoolError("--dataset-size is less than one batch", config=request.name)
    parts = [loader.get("sampler", None), loader.get("batch_sampler", None)]
    kinds = [type_name(dict.get(part, "type")) for part in parts if isinstance(part, dict)]
    others = [kind for kind in kinds if kind not in _SAMPLERS]
    notes = [f"{kind} may make epochs of another length than {whole} iterations" for kind in others]
    return whole, tuple(notes)


def _needs_epoch_length(scheduler: Any, request: Request) -> LldtoolError:
    what = "--epochs, in a training by iterations,"
    if scheduler is not None:
        what = f"{type_name(dict.get(scheduler, 'type'))}, which goes by iterations,"
    return LldtoolError(
        f"{what} needs the length of an epoch", config=request.name,
        hint="--epoch-length N says it, or --dataset-size N",
    )  # fmt: skip


@dataclass(frozen=True)
class _Stepped:
    """The lr of each param group of an optimizer in each step, and by which schedulers."""

    lrs: list[array[float]]
    stages: list[Stage]
    notes: list[str]


def _tracks(
    wrapper: Any, configured: Sequence[Any], loop: _Loop, progress: Progress, all_groups: bool
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
    # Plain dicts: mmengine's own look for classes to build in every access, half of the time.
    optimizer.param_groups = [dict(groups[i]) for i in stepped]
    try:
        schedulers = _build(wrapper, configured, loop)
        columns = [array("d") for _ in stepped]
        with warnings.catch_warnings(), closing(progress(range(loop.steps), loop.steps)) as steps:
            warnings.simplefilter("ignore")  # that the optimizer takes no steps
            for number in steps:
                for column, group in zip(columns, optimizer.param_groups, strict=True):
                    column.append(float(group.get("lr", 0.0)))
                _after_step(schedulers, loop, number)
    finally:
        optimizer.param_groups = groups
    place = dict(zip(stepped, columns, strict=True))
    built = list(zip(configured, schedulers, strict=True))
    return _Stepped([place[i] for i in chosen], list(_stages(built)), list(_notes(built, loop)))


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


def _stages(built: Sequence[tuple[Any, Any]]) -> Iterator[Stage]:
    for configured, scheduler in built:
        if scheduler.param_name != "lr":
            continue
        name = type_name(dict.get(configured, "type"))
        option = next((key for key in _TARGETS if _is_positive(configured.get(key, None))), None)
        target = None if option is None else float(configured[option])
        yield Stage(name, scheduler.begin, scheduler.end, scheduler.by_epoch, option, target)


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and value > 0


def _notes(built: Sequence[tuple[Any, Any]], loop: _Loop) -> Iterator[str]:
    """What a reader could not see from the numbers."""
    for configured, scheduler in built:
        name = type_name(dict.get(configured, "type"))
        if scheduler.param_name not in ("lr", "momentum"):
            yield f"{name} changes {scheduler.param_name} as well, which is not shown"
        elif getattr(scheduler, "need_val_args", False):
            yield f"{name} waits for a metric to get worse; shown is a training where it does not"
        elif scheduler.by_epoch and loop.epochs is None:
            yield f"{name} goes by epochs, which a training by iterations has none of: no step"


def _courses(plan: Plan, tracks: Sequence[array[float]]) -> Iterator[Course]:
    for layer in plan.layers:
        by_track: dict[bytes, list[Any]] = {}
        for parameter in layer.parameters:
            by_track.setdefault(tracks[parameter.group].tobytes(), []).append(parameter)
        for members in by_track.values():
            if layer.lr is not None:
                names, track = tuple(p.name for p in members), tracks[members[0].group]
                yield Course(layer.layer_id, names, layer.lr, track)

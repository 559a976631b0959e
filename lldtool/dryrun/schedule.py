"""Step the real param schedulers over a whole training, on the distinct param groups only."""

from __future__ import annotations

import copy
import warnings
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from lldtool.dryrun import constructor
from lldtool.dryrun.scaling import auto_scale
from lldtool.dryrun.session import run
from lldtool.dryrun.training import Training, start_of_training
from lldtool.errors import LldtoolError
from lldtool.plan import Plan
from lldtool.request import Request
from lldtool.schedule import Course, Floor, Schedule


@dataclass(frozen=True)
class Length:
    """How long the training is, where the user says it.

    `epoch_length` is in iterations; `dataset_size` in samples, which the config's batch size and
    the request's world size turn into iterations. `epochs` overrides the config's `max_epochs`.
    """

    epoch_length: int | None = None
    dataset_size: int | None = None
    epochs: int | None = None


def dry_run_schedule(request: Request, length: Length, *, all_groups: bool = False) -> Schedule:
    """The lr of every layer in every step of the training.

    Args:
        request: the config.
        length: what the user says of the training's length.
        all_groups: step every param group, not only those that differ in their settings.

    Raises:
        LldtoolError: there is no plan, the length of the training or of an epoch is not known and
            needed, or a scheduler raises.
    """
    return run(partial(_schedule, length, all_groups), request)


def _schedule(length: Length, all_groups: bool, request: Request) -> Schedule:
    with start_of_training(request) as training:
        return _stepped(training, length, all_groups)


@dataclass(frozen=True)
class _Loop:
    """The train loop: `steps` of a `unit`; by epochs, or one loop over iterations."""

    unit: str
    steps: int
    epochs: int | None
    epoch_length: int | None

    @property
    def max_iters(self) -> int | None:
        """The number of iterations, where it is known."""
        return self.steps if self.unit == "iteration" else None


def _stepped(training: Training, length: Length, all_groups: bool) -> Schedule:
    plan = training.plan(explained=False)
    config, name = training.config, training.request.name
    configured = config.get("param_scheduler", None)
    built = constructor.build_optimizers(training.model, config.optim_wrapper)
    ratio, _ = auto_scale(config, training.request)
    loop = _loop(config, training.request, length, _flat(configured, built.optimizers))
    tracks: dict[int, array[float]] = {}
    floors: list[Floor] = []
    for key, optimizer in built.optimizers.items():
        for group in optimizer.param_groups:
            if "lr" in group:
                group["lr"] *= ratio
        own = _of_optimizer(configured, key, built.optimizers)
        before = len(tracks)
        try:
            stepped = _tracks(optimizer, own, loop, all_groups)
        except LldtoolError:
            raise
        except Exception as error:
            text = f"param_scheduler raises {type(error).__name__}: {error}"
            raise LldtoolError(text, config=name) from error
        tracks |= {before + i: track for i, track in stepped.items()}
        floors += _floors(own)
    return Schedule(
        plan=plan,
        unit=loop.unit,
        steps=loop.steps,
        epochs=loop.epochs,
        epoch_length=loop.epoch_length,
        courses=tuple(_courses(plan, tracks)),
        floors=tuple(floors),
        notes=() if configured else ("no param_scheduler: every lr stays as it is",),
    )


def _of_optimizer(configured: Any, key: str, optimizers: Mapping[str, Any]) -> list[Any]:
    """The schedulers of one optimizer; of several, each has its own or all have the same."""
    if not configured:
        return []
    by_name = isinstance(configured, dict) and "type" not in configured
    if by_name and set(configured) != set(optimizers):
        raise LldtoolError("param_scheduler has other names than optim_wrapper has optimizers")
    own = configured[key] if by_name else configured
    return list(own) if isinstance(own, (list, tuple)) else [own]


def _flat(configured: Any, optimizers: Mapping[str, Any]) -> list[Any]:
    return [one for key in optimizers for one in _of_optimizer(configured, key, optimizers)]


def _loop(config: Any, request: Request, length: Length, schedulers: Sequence[Any]) -> _Loop:
    """What is to be stepped; errors where it is not known and needed."""
    train = config.get("train_cfg", None) or {}
    epoch_length = length.epoch_length
    if epoch_length is None and length.dataset_size is not None:
        epoch_length = _epoch_length(config, request, length.dataset_size)
    by_iterations = length.epochs is None and "max_iters" in train
    if by_iterations:
        if epoch_length is None and any(s.get("convert_to_iter_based", False) for s in schedulers):
            raise _needs_epoch_length("convert_to_iter_based", request)
        return _Loop("iteration", int(train["max_iters"]), None, epoch_length)
    epochs = length.epochs or train.get("max_epochs", None)
    if epochs is None:
        raise LldtoolError(
            "train_cfg says neither max_epochs nor max_iters", config=request.name,
            hint="--epochs N says it",
        )  # fmt: skip
    if epoch_length is not None:
        return _Loop("iteration", int(epochs) * epoch_length, int(epochs), epoch_length)
    for scheduler in schedulers:
        if not scheduler.get("by_epoch", True) or scheduler.get("convert_to_iter_based", False):
            raise _needs_epoch_length(f"{scheduler['type']}, which goes by iterations,", request)
    return _Loop("epoch", int(epochs), int(epochs), None)


def _epoch_length(config: Any, request: Request, dataset_size: int) -> int:
    """Iterations an epoch, as a data loader of mmengine has them: the sampler pads the last one."""
    loader = config.get("train_dataloader", None) or {}
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
    return int(whole)


def _needs_epoch_length(what: str, request: Request) -> LldtoolError:
    return LldtoolError(
        f"{what} needs the length of an epoch", config=request.name,
        hint="--epoch-length N says it, or --dataset-size N",
    )  # fmt: skip


def _tracks(
    optimizer: Any, configured: Sequence[Any], loop: _Loop, all_groups: bool
) -> dict[int, array[float]]:
    """Index of a param group -> its lr in each step.

    mmengine's own schedulers read nothing of a group but the setting that they change, so groups
    with one lr have one course. Where a scheduler is another's, or has a list of values for the
    groups, all groups are stepped.
    """
    groups = optimizer.param_groups
    chosen = {i: i for i in range(len(groups))}
    if not all_groups and all(map(_sees_the_setting_only, configured)):
        first: dict[Any, int] = {}
        chosen = {i: first.setdefault(_lr_of(group), i) for i, group in enumerate(groups)}
    stepped = sorted(set(chosen.values()))
    optimizer.param_groups = [groups[i] for i in stepped]
    try:
        schedulers = _build(optimizer, configured, loop)
        columns = [array("d") for _ in stepped]
        for now in _steps(schedulers, loop):
            for column, group in zip(columns, optimizer.param_groups, strict=True):
                column.append(float(group["lr"]))
            now()
    finally:
        optimizer.param_groups = groups
    place = dict(zip(stepped, columns, strict=True))
    return {i: place[source] for i, source in chosen.items()}


def _lr_of(group: Mapping[str, Any]) -> tuple[str, str]:
    return repr(group.get("lr")), repr(group.get("initial_lr"))


def _sees_the_setting_only(configured: Any) -> bool:
    from mmengine.registry import PARAM_SCHEDULERS

    kind = configured.get("type")
    cls = PARAM_SCHEDULERS.get(kind) if isinstance(kind, str) else kind
    lists = any(isinstance(configured[key], (list, tuple)) for key in configured if "eta" in key)
    return getattr(cls, "__module__", "").startswith("mmengine.") and not lists


def _build(optimizer: Any, configured: Sequence[Any], loop: _Loop) -> list[Any]:
    """The schedulers as `Runner.build_param_scheduler` of mmengine 0.10 builds them."""
    from mmengine.registry import PARAM_SCHEDULERS

    built = []
    for one in configured:
        if not isinstance(one, dict):
            raise LldtoolError("param_scheduler is neither a dict nor a list of dicts")
        content = copy.deepcopy(one)
        end = loop.epochs if content.get("by_epoch", True) else loop.max_iters
        if end is None:  # a loop by iterations counts as one epoch for mmengine
            end = 1
        content.setdefault("end", end)
        defaults = {"optimizer": optimizer, "epoch_length": loop.epoch_length}
        built.append(PARAM_SCHEDULERS.build(content, default_args=defaults))
    return built


def _steps(schedulers: Sequence[Any], loop: _Loop) -> Iterator[Any]:
    """For each step what `ParamSchedulerHook` does after it."""
    each = [s for s in schedulers if not s.by_epoch]
    after_epoch = [s for s in schedulers if s.by_epoch]
    if loop.unit == "epoch":
        each, after_epoch = after_epoch, []
    epoch_length = loop.epoch_length if loop.epochs is not None else None

    def now(number: int) -> None:
        for scheduler in each:
            scheduler.step()
        if epoch_length is not None and (number + 1) % epoch_length == 0:
            for scheduler in after_epoch:
                scheduler.step()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimizer takes no steps
        for number in range(loop.steps):
            yield partial(now, number)


def _floors(configured: Sequence[Any]) -> Iterator[Floor]:
    for one in configured:
        lowest = one.get("eta_min", None) if one.get("param_name", "lr") == "lr" else None
        if isinstance(lowest, (int, float)) and lowest > 0:
            yield Floor(str(one.get("type")), float(lowest))


def _courses(plan: Plan, tracks: Mapping[int, array[float]]) -> Iterator[Course]:
    for layer in plan.layers:
        by_track: dict[bytes, list[Any]] = {}
        for parameter in layer.parameters:
            by_track.setdefault(tracks[parameter.group].tobytes(), []).append(parameter)
        for members in by_track.values():
            name = members[0].top_level_module if layer.layer_id is None else str(layer.layer_id)
            if layer.lr is not None:
                yield Course(
                    name,
                    layer.layer_id,
                    tuple(p.name for p in members),
                    layer.lr,
                    tracks[members[0].group],
                )

"""How many iterations an epoch has, and how that is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lldtool.config.request import ON_COMMAND_LINE, Request
from lldtool.dryrun.auto_scaling import part, train_batch_size
from lldtool.dryrun.dataset_sizes import DatasetSize, dataset_size
from lldtool.dryrun.registries import type_name
from lldtool.errors import LldtoolError
from lldtool.text import plural, quoted

#: As much as mmengine takes for the end of all trainings.
_MOST_STEPS = 1_000_000_000
#: Samplers of which each GPU gets its part of the data set, rounded up.
_SAMPLERS = ("ClassAwareSampler", "DefaultSampler", "RepeatAugSampler", "SequentialSampler")
#: One that goes on for ever, and is as long as the data set to mmengine, on each GPU.
_ENDLESS = "InfiniteSampler"
#: Makes as many batches as the data loader would, and drops the last one if it is told to itself.
_BATCH_SAMPLERS = ("AspectRatioBatchSampler",)


@dataclass(frozen=True)
class EpochLength:
    """Iterations of an epoch; None where that is not known.

    `source` says where the number is from. `notes` are on what it may be instead.
    """

    iterations: int | None
    source: str | None = None
    notes: tuple[str, ...] = ()


def epoch_length_of(config: Any, request: Request) -> EpochLength:
    """Return the iterations of an epoch, as a data loader of mmengine has them.

    The first of these that is there says it: the command line, the config, the settings, the
    annotation file of the data set, and what is known of public ones.

    Raises:
        LldtoolError: what the user or the config says can't be.
    """
    loader, length = part(config, "train_dataloader"), request.length
    if length.epoch_length is not None:
        return EpochLength(length.epoch_length, length.epoch_length_from)
    configured = loader.get("num_batch_per_epoch", None)
    if configured is not None:
        name = "train_dataloader.num_batch_per_epoch"
        return EpochLength(whole_number(configured, name, request), name)
    batch, gpus = train_batch_size(config), world_size(config, request)
    if length.dataset_size is not None and length.dataset_size_from == ON_COMMAND_LINE:
        if batch is None:
            raise LldtoolError(
                f"{ON_COMMAND_LINE} needs train_dataloader.batch_size", config=request.name,
                hint="--epoch-length N says how many iterations an epoch has",
            )  # fmt: skip
        size = DatasetSize(length.dataset_size, ON_COMMAND_LINE)
        made = _length(loader, size, batch, gpus or 1)
        if made.iterations is None:
            raise LldtoolError(f"{ON_COMMAND_LINE} is less than one batch", config=request.name)
        return made
    if batch is None or gpus is None:
        return EpochLength(None)
    known = _known_size(config, request)
    return EpochLength(None) if known is None else _length(loader, known, batch, gpus)


def _known_size(config: Any, request: Request) -> DatasetSize | None:
    """Return the number of samples of the settings, or else of the data set itself.

    What other samplers than those known make of the latter would be a guess.
    """
    length = request.length
    if length.dataset_size is not None:
        return DatasetSize(length.dataset_size, length.dataset_size_from)
    is_known = not _other_samplers(part(config, "train_dataloader"))
    return dataset_size(config, request) if is_known else None


def _length(loader: Any, size: DatasetSize, batch: int, gpus: int) -> EpochLength:
    """Return the batches of an epoch on each GPU; None where there is not one.

    Source: mmengine 0.10 `DefaultSampler`, and `Runner.build_dataloader`, which gives a batch
    sampler nothing but the batch size.
    """
    others = _other_samplers(loader)
    samples = size.samples if _ENDLESS in others else -(-size.samples // gpus)
    drops_last = (part(loader, "batch_sampler") or loader).get("drop_last", False)
    whole = samples // batch if drops_last else -(-samples // batch)
    if whole < 1:
        return EpochLength(None)
    return EpochLength(whole, size.source, tuple(_note(kind, whole) for kind in others))


def _other_samplers(loader: Any) -> list[str]:
    """Return the samplers whose epochs are not known to be as long as those of mmengine's."""
    others = other_types(part(loader, "sampler"), _SAMPLERS)
    return others + other_types(part(loader, "batch_sampler"), _BATCH_SAMPLERS)


def _note(sampler: str, iterations: int) -> str:
    """Return what a sampler that is not known may change."""
    of_this = plural(iterations, "iteration")
    if sampler == _ENDLESS:
        return f"{sampler} ends no epoch: mmengine takes {of_this} for one"
    return f"{sampler} may make epochs of another length than {of_this}"


def world_size(config: Any, request: Request) -> int | None:
    """Return the number of GPUs: the user's, or those that `base_batch_size` is made for."""
    if request.world_size is not None:
        return request.world_size
    base, batch = part(config, "auto_scale_lr").get("base_batch_size"), train_batch_size(config)
    if not isinstance(base, int) or not batch or base < batch or base % batch:
        return None
    return base // batch


def other_types(configured: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """Return the type that is configured, where it is none of those known."""
    kind = configured.get("type", None)
    return [type_name(kind)] if kind and type_name(kind) not in known else []


def whole_number(value: Any, what: str, request: Request) -> int:
    """Return a positive whole number of the config.

    Raises:
        LldtoolError: it is none.
    """
    is_number = isinstance(value, (int, float)) and 1 <= value <= _MOST_STEPS
    if not is_number or value != int(value):
        message = f"{what} is {quoted(value)}, and no whole number from 1 to 1e9"
        raise LldtoolError(message, config=request.name)
    return int(value)

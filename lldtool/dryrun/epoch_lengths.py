"""The number of iterations in an epoch, and where it is from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lldtool.config.request import ON_COMMAND_LINE, Request
from lldtool.dryrun.auto_scaling import part, train_batch_size
from lldtool.dryrun.dataset_sizes import DatasetSize, dataset_size
from lldtool.dryrun.registries import type_name
from lldtool.errors import LldtoolError
from lldtool.plan.schedule import NO_END
from lldtool.text import plural, quoted

#: Samplers that give each GPU its part of the data set, rounded up.
_SAMPLERS = ("ClassAwareSampler", "DefaultSampler", "RepeatAugSampler", "SequentialSampler")
#: A sampler that never ends; to mmengine, it is as long as the data set on each GPU.
_ENDLESS = "InfiniteSampler"
#: Batch samplers that make as many batches as the data loader would, with their own `drop_last`.
_BATCH_SAMPLERS = ("AspectRatioBatchSampler",)


@dataclass(frozen=True)
class EpochLength:
    """The iterations of an epoch, None if unknown.

    `source` says where the number is from. `notes` say why it may be a different one.
    """

    iterations: int | None
    source: str | None = None
    notes: tuple[str, ...] = ()


def epoch_length_of(config: Any, request: Request) -> EpochLength:
    """Return the iterations of an epoch, as mmengine's data loader would have them.

    They come from the first of these that has them: the command line, the config, the settings, the
    annotation file of the data set, the known sizes of public data sets.

    Raises:
        LldtoolError: the number that the user or the config gives is not possible.
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
                hint="use --epoch-length N for the iterations of an epoch",
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
    """Return the number of samples in the settings, or else in the data set itself.

    The latter only with known samplers; with others the number would be a guess.
    """
    length = request.length
    if length.dataset_size is not None:
        return DatasetSize(length.dataset_size, length.dataset_size_from)
    is_known = not _other_samplers(part(config, "train_dataloader"))
    return dataset_size(config, request) if is_known else None


def _length(loader: Any, size: DatasetSize, batch: int, gpus: int) -> EpochLength:
    """Return the batches of an epoch on each GPU, None if there is not even one.

    Source: mmengine 0.10 `DefaultSampler`, and `Runner.build_dataloader`, which only passes
    the batch size to a batch sampler.
    """
    others = _other_samplers(loader)
    samples = size.samples if _ENDLESS in others else -(-size.samples // gpus)
    drops_last = (part(loader, "batch_sampler") or loader).get("drop_last", False)
    whole = samples // batch if drops_last else -(-samples // batch)
    if whole < 1:
        return EpochLength(None)
    return EpochLength(whole, size.source, tuple(_note(kind, whole) for kind in others))


def _other_samplers(loader: Any) -> list[str]:
    """Return the samplers whose epochs may not be as long as those of mmengine's samplers."""
    others = other_types(part(loader, "sampler"), _SAMPLERS)
    return others + other_types(part(loader, "batch_sampler"), _BATCH_SAMPLERS)


def _note(sampler: str, iterations: int) -> str:
    """Return the note on a sampler that is not known."""
    of_this = plural(iterations, "iteration")
    if sampler == _ENDLESS:
        return f"{sampler} never ends an epoch: mmengine counts {of_this} as one"
    return f"{sampler} may make epochs of a different length than {of_this}"


def world_size(config: Any, request: Request) -> int | None:
    """Return the number of GPUs: the user's, or the number that `base_batch_size` implies."""
    if request.world_size is not None:
        return request.world_size
    base, batch = part(config, "auto_scale_lr").get("base_batch_size"), train_batch_size(config)
    if not isinstance(base, int) or not batch or base < batch or base % batch:
        return None
    return base // batch


def other_types(configured: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """Return the configured type in a list, which is empty if the type is known."""
    kind = configured.get("type", None)
    return [type_name(kind)] if kind and type_name(kind) not in known else []


def whole_number(value: Any, what: str, request: Request) -> int:
    """Return a positive whole number from the config.

    Raises:
        LldtoolError: the value is not a positive whole number, or too large.
    """
    is_number = isinstance(value, (int, float)) and 1 <= value <= NO_END
    if not is_number or value != int(value):
        message = f"{what} is {quoted(value)}, not a whole number from 1 to 1e9"
        raise LldtoolError(message, config=request.name)
    return int(value)

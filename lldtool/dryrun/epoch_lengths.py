"""How many iterations an epoch has, and how that is known."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lldtool.config.request import Request
from lldtool.dryrun.auto_scaling import part, train_batch_size
from lldtool.dryrun.dataset_sizes import dataset_size
from lldtool.dryrun.registries import type_name
from lldtool.errors import LldtoolError
from lldtool.text import plural, quoted

#: As much as mmengine takes for the end of all trainings.
_MOST_STEPS = 1_000_000_000
#: Samplers of which each GPU gets its part of the data set, rounded up.
_SAMPLERS = ("DefaultSampler", "RepeatAugSampler", "AspectRatioBatchSampler", "BatchSampler")


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

    A sampler pads the last batch of each GPU. Source: mmengine 0.10 `Runner.build_dataloader`.

    Raises:
        LldtoolError: what the user or the config says can't be.
    """
    loader, length = part(config, "train_dataloader"), request.length
    if length.epoch_length is not None:
        return EpochLength(length.epoch_length, "--epoch-length")
    configured = loader.get("num_batch_per_epoch", None)
    if configured is not None:
        name = "train_dataloader.num_batch_per_epoch"
        return EpochLength(whole_number(configured, name, request), name)
    batch, gpus = train_batch_size(config), world_size(config, request)
    size, source = length.dataset_size, length.dataset_size_from
    if size is None:
        found = dataset_size(loader.get("dataset", None))
        if found is None or batch is None or gpus is None:
            return EpochLength(None)
        size, source = found
    if batch is None:
        raise LldtoolError(
            f"{source} needs train_dataloader.batch_size", config=request.name,
            hint="--epoch-length N says how many iterations an epoch has",
        )  # fmt: skip
    samples = -(-size // (gpus or 1))
    whole = samples // batch if loader.get("drop_last", False) else -(-samples // batch)
    if whole < 1:
        raise LldtoolError(f"{source} is less than one batch", config=request.name)
    samplers = [part(loader, key) for key in ("sampler", "batch_sampler")]
    others = [kind for sampler in samplers for kind in other_types(sampler, _SAMPLERS)]
    of_this = plural(whole, "iteration")
    notes = tuple(f"{kind} may make epochs of another length than {of_this}" for kind in others)
    return EpochLength(whole, source, notes)


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

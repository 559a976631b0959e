"""A config's train loop: how many steps it has, and of which unit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lldtool.analysis.lr_curves import Length
from lldtool.config.request import Request
from lldtool.dryrun.auto_scaling import part, train_batch_size
from lldtool.dryrun.registries import class_named, type_name
from lldtool.errors import LldtoolError
from lldtool.text import plural, quoted

#: As much as mmengine takes for the end of all trainings.
_MOST_STEPS = 1_000_000_000
#: Epochs of a training whose length the config does not say.
_EPOCHS = 100
#: Samplers of which each GPU gets its part of the data set, rounded up.
_SAMPLERS = ("DefaultSampler", "RepeatAugSampler")
#: What steps the schedulers as `after_step` does.
_LOOPS = ("EpochBasedTrainLoop", "IterBasedTrainLoop")


@dataclass(frozen=True)
class TrainLoop:
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


def train_loop(
    config: Any, request: Request, length: Length, schedulers: Sequence[Any]
) -> TrainLoop:
    """What is to be stepped; errors where it is not known and needed."""
    train = part(config, "train_cfg")
    epoch_length, notes = _epoch_length(config, request, length)
    hooks = part(config, "default_hooks")
    is_stepped = hooks.get("param_scheduler", True) is not None
    if not is_stepped and schedulers:
        notes += ("default_hooks has no param_scheduler: nothing steps the schedulers",)
    others = _others(train, _LOOPS)
    hook = part(hooks, "param_scheduler").get("type", None)
    if hook and class_named("HOOKS", hook) is None:  # others are called
        others.append(type_name(hook))
    notes += tuple(f"{kind} may step the schedulers otherwise than shown" for kind in others)
    if ("type" in train) == ("by_epoch" in train):
        notes += ("train_cfg needs one of type and by_epoch: training would stop at its start",)
    needing = next((s for s in schedulers if s.get("convert_to_iter_based", False)), None)
    if not train.get("by_epoch", "max_iters" not in train):
        if epoch_length is None and (needing or length.epochs is not None):
            raise needs_epoch_length(needing)
        steps = (length.epochs or 0) * (epoch_length or 0) or _number(train, "max_iters", request)
        return TrainLoop("iteration", steps, None, epoch_length, is_stepped, notes)
    epochs = length.epochs or _number(train, "max_epochs", request)
    if epoch_length is not None:
        steps = epochs * epoch_length
        return TrainLoop("iteration", steps, epochs, epoch_length, is_stepped, notes)
    needing = needing or next((s for s in schedulers if not s.get("by_epoch", True)), None)
    if needing:
        raise needs_epoch_length(needing)
    return TrainLoop("epoch", epochs, epochs, None, is_stepped, notes)


def assumed_length(config: Any, request: Request, schedulers: Sequence[Any]) -> Length:
    """Return lengths with which there is a train loop; empty where the config says all of it.

    Where it does not, each scheduler has the time to begin.
    """
    begins = [one.get("begin", 0) for one in schedulers if not one.get("by_epoch", True)]
    longest = max((b for b in begins if isinstance(b, (int, float))), default=0)
    epoch_length = int(longest) + 2
    for length in (Length(), Length(epoch_length)):
        try:
            train_loop(config, request, length, schedulers)
        except LldtoolError:
            continue
        return length
    return Length(epoch_length, None, _EPOCHS)


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


def needs_epoch_length(scheduler: Any) -> LldtoolError:
    """The error for a scheduler or the name of a hook, None for `--epochs`."""
    what = "--epochs, in a training by iterations,"
    if scheduler is not None:
        name = scheduler if isinstance(scheduler, str) else type_name(dict.get(scheduler, "type"))
        what = f"{name}, which goes by iterations,"
    hint = "--epoch-length N says it, or --dataset-size N"
    return LldtoolError(f"{what} needs the length of an epoch", hint=hint)

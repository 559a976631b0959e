"""A config's train loop: how many steps it has, and of which unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lldtool.config.request import Request
from lldtool.dryrun.auto_scaling import part
from lldtool.dryrun.epoch_lengths import EpochLength, epoch_length_of, other_types, whole_number
from lldtool.dryrun.registries import class_named, type_name
from lldtool.errors import LldtoolError
from lldtool.plan.schedule import NO_END, Unit

#: Epochs of a training whose length the config does not say.
_EPOCHS = 100
#: Iterations of an epoch where they are not known: enough to tell a curve, and quick to step.
_ASSUMED = 100
#: A training of unknown length takes this many times as long as its warm-up, up to so many
#: iterations as are quick to step.
_SHARE, _MOST_ITERATIONS = 10, 50_000
#: What steps the schedulers as `after_step` does.
_LOOPS = ("EpochBasedTrainLoop", "IterBasedTrainLoop")


@dataclass(frozen=True)
class TrainLoop:
    """The train loop: `steps` of a `unit`; by epochs, or by iterations with `epochs` None.

    The unit is the epoch where the epoch length is not known. Where `is_stepped` is false nothing
    steps the schedulers. `is_assumed` tells that the epoch length is none of this training, but
    serves to step schedulers that are converted to iterations; `is_mmengines`, that no class of
    another package steps them.
    """

    unit: Unit
    steps: int
    epochs: int | None
    epoch: EpochLength
    is_stepped: bool
    notes: tuple[str, ...]
    is_assumed: bool = False
    is_mmengines: bool = True

    @property
    def epoch_length(self) -> int | None:
        """Iterations of an epoch, where that is known or assumed."""
        return self.epoch.iterations

    def default_end(self, *, by_epoch: bool) -> int | None:
        """The end of a scheduler that names none; a loop by iterations is one epoch to mmengine."""
        if by_epoch:
            return 1 if self.epochs is None else self.epochs
        return self.steps if self.unit == "iteration" else None

    def assuming(self, epoch_length: int) -> TrainLoop:
        """Return the loop with epochs of this length, which is not that of the training."""
        return replace(
            self,
            unit="iteration",
            steps=self.steps * epoch_length if self.unit == "epoch" else self.steps,
            epoch=EpochLength(epoch_length),
            is_assumed=True,
        )

    def for_stepping(self, schedulers: Sequence[Any]) -> TrainLoop:
        """Return the loop in which these schedulers can be stepped.

        Where the epoch length is not known, those that are converted to iterations are stepped in
        epochs of an assumed length.

        Raises:
            LldtoolError: a scheduler needs the epoch length.
        """
        if self.epoch_length is not None:
            return self
        converted = next((s for s in schedulers if s.get("convert_to_iter_based", False)), None)
        if self.unit == "iteration":
            if converted:
                raise needs_epoch_length(converted)
            return self
        by_iteration = next((s for s in schedulers if not s.get("by_epoch", True)), None)
        if by_iteration:
            raise needs_epoch_length(by_iteration)
        return self.assuming(_ASSUMED) if converted else self

    def shortened(self, schedulers: Sequence[Any]) -> TrainLoop:
        """Return the loop with shorter epochs, where all schedulers go by epochs.

        Their curves are nearly the same then, and quicker to step.
        """
        by_epoch = all(one.get("by_epoch", True) for one in schedulers)
        if self.epochs is None or (self.epoch_length or 0) <= _ASSUMED or not by_epoch:
            return self
        return replace(self, unit="epoch", steps=self.epochs).assuming(_ASSUMED)


def train_loop(config: Any, request: Request) -> TrainLoop:
    """Return the config's train loop, as the user has it run.

    Raises:
        LldtoolError: the length of the training is not known.
    """
    train, length = part(config, "train_cfg"), request.length
    epoch = epoch_length_of(config, request)
    notes = epoch.notes
    hooks = part(config, "default_hooks")
    is_stepped = hooks.get("param_scheduler", True) is not None
    if not is_stepped and config.get("param_scheduler", None):
        notes += ("default_hooks has no param_scheduler: nothing steps the schedulers",)
    others = other_types(train, _LOOPS)
    hook = part(hooks, "param_scheduler").get("type", None)
    if hook and class_named("HOOKS", hook) is None:  # others are called
        others.append(type_name(hook))
    is_mmengines = not others
    notes += tuple(f"{kind} may step the schedulers otherwise than shown" for kind in others)
    if ("type" in train) == ("by_epoch" in train):
        notes += ("train_cfg needs one of type and by_epoch: training would stop at its start",)
    if not train.get("by_epoch", "max_iters" not in train):
        if epoch.iterations is None and length.epochs is not None:
            raise needs_epoch_length(None)
        steps = (length.epochs or 0) * (epoch.iterations or 0)
        steps = steps or _number(train, "max_iters", request)
        return TrainLoop(
            "iteration", steps, None, epoch, is_stepped, notes, is_mmengines=is_mmengines
        )
    epochs = length.epochs or _number(train, "max_epochs", request)
    unit: Unit = "epoch" if epoch.iterations is None else "iteration"
    steps = epochs * (epoch.iterations or 1)
    return TrainLoop(unit, steps, epochs, epoch, is_stepped, notes, is_mmengines=is_mmengines)


def assumed_loop(config: Any, request: Request, schedulers: Sequence[Any]) -> TrainLoop:
    """Return a train loop in which the schedulers can be stepped, whatever the config leaves open.

    Each scheduler has the time to begin, and one that ends early does so.
    """
    try:
        loop = train_loop(config, request)
    except LldtoolError:
        nothing = EpochLength(None)
        loop = TrainLoop("epoch", _EPOCHS, _EPOCHS, nothing, is_stepped=True, notes=())
    try:
        return loop.for_stepping(schedulers)
    except LldtoolError:
        begin, end = (_last(schedulers, option) for option in ("begin", "end"))
        iterations = max(begin + 2, min(_SHARE * end, _MOST_ITERATIONS))
        return loop.assuming(-(-iterations // loop.steps))


def _last(schedulers: Sequence[Any], option: str) -> int:
    """Return the highest value of an option, in iterations."""
    named = [one.get(option, 0) for one in schedulers if not one.get("by_epoch", True)]
    return int(max((n for n in named if isinstance(n, (int, float)) and n < NO_END), default=0))


def _number(train: Mapping[str, Any], key: str, request: Request) -> int:
    value = train.get(key, None)
    if value is None:
        raise LldtoolError(
            f"train_cfg does not say {key}", config=request.name,
            hint="--epochs N says how long the training is" if key == "max_epochs" else None,
        )  # fmt: skip
    return whole_number(value, f"train_cfg.{key}", request)


def needs_epoch_length(scheduler: Any) -> LldtoolError:
    """The error for a scheduler or the name of a hook, None for `--epochs`."""
    what = "--epochs, in a training by iterations,"
    if scheduler is not None:
        name = scheduler if isinstance(scheduler, str) else type_name(dict.get(scheduler, "type"))
        what = f"{name}, which goes by iterations,"
    hint = "--epoch-length N says it, or --dataset-size N"
    return LldtoolError(f"{what} needs the length of an epoch", hint=hint)

"""A config's train loop: the number of its steps, in epochs or iterations."""

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

#: The epochs of a training if the config does not give its length.
_EPOCHS = 100
#: The iterations of an epoch if unknown: enough to show a curve, and quick to step.
_ASSUMED = 100
#: A training of unknown length is this many times as long as its warm-up, but has at most as many
#: iterations as are quick to step.
_SHARE, _MOST_ITERATIONS = 10, 50_000
#: Train loops that step the schedulers as `after_step` does.
_LOOPS = ("EpochBasedTrainLoop", "IterBasedTrainLoop")


@dataclass(frozen=True)
class TrainLoop:
    """A train loop with `steps` of a `unit`; `epochs` is None in a training by iterations.

    The unit is the epoch if the epoch length is unknown. If `is_stepped` is false, nothing steps
    the schedulers. `is_assumed` says that the epoch length is not that of the training, but only
    serves to step schedulers that are converted to iterations; `is_mmengines`, that mmengine's own
    classes step the schedulers.
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
        """The iterations of an epoch, if known or assumed."""
        return self.epoch.iterations

    def default_end(self, *, by_epoch: bool) -> int | None:
        """Return the default `end`; to mmengine, a loop by iterations is one epoch."""
        if by_epoch:
            return 1 if self.epochs is None else self.epochs
        return self.steps if self.unit == "iteration" else None

    def after(self, epoch: int, iteration: int) -> TrainLoop:
        """Return what is left of the loop for a training that is resumed.

        A loop by epochs begins with the next one, wherever in an epoch the checkpoint was saved.
        """
        if self.epochs is None:
            return replace(self, steps=max(0, self.steps - iteration))
        left = max(0, self.epochs - epoch)
        return replace(self, epochs=left, steps=self.steps // self.epochs * left)

    def assuming(self, epoch_length: int) -> TrainLoop:
        """Return the loop with epochs of an assumed length."""
        return replace(
            self,
            unit="iteration",
            steps=self.steps * epoch_length if self.unit == "epoch" else self.steps,
            epoch=EpochLength(epoch_length),
            is_assumed=True,
        )

    def for_stepping(self, schedulers: Sequence[Any]) -> TrainLoop:
        """Return a loop in which these schedulers can be stepped.

        If the epoch length is unknown, schedulers that are converted to iterations are stepped in
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
        """Return the loop with shorter epochs, if all schedulers count epochs.

        The curves are nearly the same, and quicker to step.
        """
        by_epoch = all(one.get("by_epoch", True) for one in schedulers)
        if self.epochs is None or (self.epoch_length or 0) <= _ASSUMED or not by_epoch:
            return self
        return replace(self, unit="epoch", steps=self.epochs).assuming(_ASSUMED)


def train_loop(config: Any, request: Request) -> TrainLoop:
    """Return the config's train loop, with the user's options.

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
    if hook and class_named("HOOKS", hook) is None:  # hooks of known classes are called
        others.append(type_name(hook))
    is_mmengines = not others
    notes += tuple(f"{kind} may step the schedulers differently than shown" for kind in others)
    if ("type" in train) == ("by_epoch" in train):
        notes += ("train_cfg needs either type or by_epoch: training would fail at startup",)
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
    """Return a train loop in which the schedulers can be stepped, even if its length is unknown.

    It is long enough for each scheduler to begin, and for one with an early end to end.
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
            f"train_cfg has no {key}", config=request.name,
            hint="use --epochs N for the length of the training" if key == "max_epochs" else None,
        )  # fmt: skip
    return whole_number(value, f"train_cfg.{key}", request)


def needs_epoch_length(scheduler: Any) -> LldtoolError:
    """Return the error for a scheduler, for the name of a hook, or for `--epochs` (None)."""
    what = "--epochs, in a training by iterations,"
    if scheduler is not None:
        name = scheduler if isinstance(scheduler, str) else type_name(dict.get(scheduler, "type"))
        what = f"{name}, which counts iterations,"
    hint = "use --epoch-length N or --dataset-size N"
    return LldtoolError(f"{what} needs the length of an epoch", hint=hint)

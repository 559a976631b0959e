"""What a training does to the settings of its param groups over time, as plain data."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lldtool.text import plural

#: What is unknown where the curves are as with long epochs.
LENGTH_ASSUMED = "how long an epoch is: curves are as with long epochs"
#: What a train loop counts.
Unit = Literal["epoch", "iteration"]
#: The `end` of a scheduler that never ends. Source: mmengine's `INF`.
NO_END = 1_000_000_000


def unit_of(scheduler: Mapping[str, Any]) -> Unit:
    """Return what the options of a scheduler, such as `begin` and `end`, are counted in."""
    return "epoch" if scheduler.get("by_epoch", True) else "iteration"


@dataclass(frozen=True)
class Step:
    """How far a training is: the epochs and iterations that it has finished."""

    epoch: int
    iteration: int

    def __str__(self) -> str:
        """`after 2 epochs (200 iterations)`, or `after 200 iterations`."""
        iterations = plural(self.iteration, "iteration")
        return (
            f"after {plural(self.epoch, 'epoch')} ({iterations})"
            if self.epoch
            else f"after {iterations}"
        )


@dataclass(frozen=True)
class Curve:
    """A setting of some param groups over a training.

    `groups` are indices as `Parameter.group`. `at` are steps, epochs or iterations as `unit` says,
    in order and from 0 to the last one; `value` is what the optimizer takes each of them with, and
    in between the setting is on a straight line. A group's own values are these times its factor,
    where there are `factors`.
    """

    groups: tuple[int, ...]
    setting: str
    unit: Unit
    at: tuple[int, ...]
    value: tuple[float, ...]
    factors: tuple[float, ...] = ()

    def factor(self, group: int) -> float:
        """Return the factor of one of its groups."""
        return self.factors[self.groups.index(group)] if self.factors else 1.0

    def value_at(self, step: float) -> float:
        """Return the value of a group with the factor 1 at a step; at the ends outside of it."""
        after = bisect_right(self.at, step)
        if after == 0 or after == len(self.at):
            return self.value[min(after, len(self.at) - 1)]
        (x, x2), (y, y2) = self.at[after - 1 : after + 1], self.value[after - 1 : after + 1]
        return y if x == step or y == y2 else y + (y2 - y) * (step - x) / (x2 - x)


@dataclass(frozen=True)
class Schedule:
    """The length of a training, and its param schedulers.

    Attributes:
        by: the unit that the train loop counts.
        length: its epochs or iterations.
        epoch_length: iterations of an epoch; None where that is not known.
        schedulers: in the config's order, each with the defaults of its class; its `optimizer` is
            the key of its optimizer, of several.
        digest: of all that determines the curves; equal digests mean equal curves.
        exact: whether the curves are those of the training; with an epoch length that is not known
            they are as with a long one, from epoch to epoch.
        curves: of each setting that changes and of the lr; empty where they were not asked for.
        epoch_length_from: what the epoch length is from; None where it is not known.
        unknown: what is not known, a sentence each.
        error: what training would crash with at its schedulers.
        batch_size: samples in a batch on one GPU.
        world_size: the number of GPUs; None where it is not known.
        accumulative_counts: iterations to a step of the optimizer.
        ema: the options of the hook that averages the weights, with its class as `type`.
        notes: on what may make the training another one than shown.
        is_stepped: whether anything steps the schedulers; None where a train loop or a hook of
            another class than mmengine's may do so in another way.
        base_batch_size: samples in a batch that the lrs are meant for; None where the config does
            not say, or has the lrs scaled.
    """

    by: Unit
    length: int
    epoch_length: int | None = None
    schedulers: tuple[dict[str, Any], ...] = ()
    digest: str = ""
    exact: bool = True
    curves: tuple[Curve, ...] = ()
    epoch_length_from: str | None = None
    unknown: tuple[str, ...] = ()
    error: str | None = None
    batch_size: int | None = None
    world_size: int | None = None
    accumulative_counts: int = 1
    ema: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    is_stepped: bool | None = True
    base_batch_size: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the schedulers can be stepped, exactly or not."""
        return not set(self.unknown) - {LENGTH_ASSUMED}

    @property
    def iterations(self) -> int | None:
        """The length of the training in iterations, where it is known."""
        if self.by == "iteration":
            return self.length
        return None if self.epoch_length is None else self.length * self.epoch_length

    @property
    def total_batch_size(self) -> int | None:
        """Samples in an iteration on all GPUs, or on one where their number is not known."""
        return None if self.batch_size is None else self.batch_size * (self.world_size or 1)

    def length_of(self, unit: Unit, counted_in: Unit) -> float | None:
        """Return the length of an epoch or iteration, counted in either; None where not known."""
        if unit == counted_in:
            return 1.0
        if not self.epoch_length:
            return None
        return self.epoch_length if unit == "epoch" else 1 / self.epoch_length

    def curve_of(self, group: int, setting: str) -> Curve | None:
        """Return the curve of a setting of a param group, where there is one."""
        found = (c for c in self.curves if c.setting == setting and group in c.groups)
        return next(found, None)

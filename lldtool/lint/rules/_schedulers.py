"""The param schedulers of a plan: as configured, and with the defaults of their classes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, overload

from lldtool.plan import Plan, Schedule
from lldtool.plan.schedule import NO_END, Unit, unit_of

#: Suffixes of schedulers that do not change the lr.
_OF_OTHER_SETTINGS = ("Momentum", "WeightDecay")


@dataclass(frozen=True)
class Scheduler:
    """A scheduler of a plan's schedule.

    Attributes:
        path: the keys that lead to it in the config.
        configured: its options in the config.
        options: the same with the defaults of its class.
        schedule: the schedule that it is part of.
    """

    path: tuple[str, ...]
    configured: Mapping[str, Any]
    options: Mapping[str, Any]
    schedule: Schedule

    @property
    def type(self) -> str:
        """The name of its class."""
        return str(self.options["type"])

    @property
    def setting(self) -> str:
        """The entry of the param groups that it changes."""
        named = str(self.options.get("param_name", "lr"))
        return "weight_decay" if self.type.endswith("WeightDecay") else named

    @property
    def optimizer(self) -> str | None:
        """The key of its optimizer, None if there is only one."""
        return self.options.get("optimizer")

    @property
    def counts(self) -> Unit:
        """The unit of options such as `begin` and `end`."""
        return unit_of(self.options)

    @property
    def is_converted(self) -> bool:
        """Whether its epochs are converted to iterations."""
        return bool(self.options.get("convert_to_iter_based"))

    @property
    def by_epoch(self) -> bool:
        """Whether it is stepped after each epoch, rather than after each iteration."""
        return self.counts == "epoch" and not self.is_converted

    @property
    def has_no_epochs(self) -> bool:
        """Whether it steps by epoch in a training by iterations, which means never."""
        return self.by_epoch and self.schedule.by == "iteration"

    @property
    def own_begin(self) -> float:
        """The first of its steps, as the config counts them."""
        return self.number("begin") or 0

    @property
    def own_end(self) -> float | None:
        """The step after its last, as the config counts them, None if it never ends."""
        end = self.number("end")
        return None if end is None or end >= NO_END else end

    @property
    def steps(self) -> float | None:
        """The number of its steps, as the config counts them, None if it never ends."""
        return None if self.own_end is None else self.own_end - self.own_begin

    @property
    def has_one_step(self) -> bool:
        """Whether it ends before it is stepped for the first time."""
        return not self.is_converted and self.steps == 1

    @property
    def is_warm_up(self) -> bool:
        """Whether it raises the lr from a fraction of the base lr."""
        start, end = self.number("start_factor"), self.number("end_factor")
        if self.setting != "lr":
            return False
        if self.type.startswith("Constant"):
            return self.is_constant(below=1.0)
        is_linear = self.type.startswith("Linear")
        return is_linear and start is not None and end is not None and start < end

    def is_constant(self, below: float = math.inf) -> bool:
        """Whether it is a `ConstantLR` with a lower factor than this."""
        return self.type.startswith("Constant") and self.number("factor", 1.0) < below

    def step_in(self, unit: Unit, step: float) -> float | None:
        """Return a step such as `begin` in a unit, None if the epoch length is unknown."""
        length = self.schedule.length_of(self.counts, unit)
        return None if length is None else step * length

    @overload
    def number(self, option: str) -> float | None: ...

    @overload
    def number(self, option: str, default: float) -> float: ...

    def number(self, option: str, default: float | None = None) -> float | None:
        """Return an option, or the default if the option is not a number."""
        value = self.options.get(option)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value if is_number else default

    def numbers(self, option: str) -> list[float]:
        """Return the numbers of an option that is a list."""
        given = self.options.get(option)
        items = given if isinstance(given, (list, tuple)) else ()
        return [one for one in items if isinstance(one, (int, float))]


def schedulers_of(plan: Plan) -> list[Scheduler]:
    """Return the schedulers of a plan's schedule, in the config's order."""
    if plan.schedule is None:
        return []
    optimizers = [options.get("optimizer", "") for options in plan.schedule.schedulers]
    entries = {optimizer: iter(_configured(plan, optimizer)) for optimizer in optimizers}
    found = []
    for optimizer, options in zip(optimizers, plan.schedule.schedulers, strict=True):
        path, configured = next(entries[optimizer], (("param_scheduler",), {}))
        found.append(Scheduler(path, configured, options, plan.schedule))
    return found


def configured_schedulers(plan: Plan) -> list[Scheduler]:
    """Return each scheduler of the config once; several optimizers may have the same ones."""
    return list({one.path: one for one in reversed(schedulers_of(plan))}.values())[::-1]


def lr_schedulers(plan: Plan) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield the keys that lead to each scheduler of the lr, and its options in the config.

    This needs no schedule. It yields nothing if several optimizers have their own schedulers.
    """
    for path, scheduler in _configured(plan):
        if not isinstance(scheduler, dict) or "type" not in scheduler:
            continue
        name, setting = str(scheduler["type"]), scheduler.get("param_name", "lr")
        if setting == "lr" and not name.endswith(_OF_OTHER_SETTINGS):
            yield path, scheduler


def _configured(plan: Plan, optimizer: str = "") -> list[tuple[tuple[str, ...], Any]]:
    """Return the keys that lead to each scheduler of an optimizer, with its configured options."""
    path: tuple[str, ...] = ("param_scheduler",)
    own: Any = plan.param_scheduler
    if isinstance(own, dict) and "type" not in own:
        path, own = (*path, optimizer), own.get(optimizer)
    if isinstance(own, dict):
        return [(path, own)]
    return [((*path, str(i)), one) for i, one in enumerate(own or ())]

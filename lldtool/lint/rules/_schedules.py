"""The schedule of a plan as rules see it: each scheduler with its entry, and the main lr curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lldtool.plan import Curve, Plan, Schedule
from lldtool.plan.schedule import NO_END, Unit, unit_of


@dataclass(frozen=True)
class Scheduler:
    """A scheduler with the defaults of its class, and the keys that lead to it in the config."""

    path: tuple[str, ...]
    options: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Its class."""
        return str(self.options["type"])

    @property
    def setting(self) -> str:
        """The entry of the param groups that it changes."""
        return str(self.options.get("param_name", "lr"))

    @property
    def optimizer(self) -> str | None:
        """The key of its optimizer, where there are several."""
        return self.options.get("optimizer")

    @property
    def by_epoch(self) -> bool:
        """Whether it is stepped after each epoch, rather than after each iteration."""
        return self.options.get("by_epoch") is True and not self.is_converted

    @property
    def is_converted(self) -> bool:
        """Whether its epochs are converted to iterations."""
        return bool(self.options.get("convert_to_iter_based"))

    @property
    def begin(self) -> float:
        """The first of its steps, as the config counts them."""
        return self.number("begin") or 0

    @property
    def end(self) -> float | None:
        """The step after its last, as the config counts them; None where it has no end."""
        end = self.number("end")
        return None if end is None or end >= NO_END else end

    @property
    def has_one_step(self) -> bool:
        """Whether it begins, and ends before it is stepped."""
        return not self.is_converted and self.end is not None and self.end - self.begin == 1

    @property
    def is_warm_up(self) -> bool:
        """Whether it takes the lr from a part of the base lr to a larger one."""
        factor, start, end = map(self.number, ("factor", "start_factor", "end_factor"))
        if self.setting != "lr":
            return False
        if self.type.startswith("Constant"):
            return factor is not None and factor < 1
        is_linear = self.type.startswith("Linear")
        return is_linear and start is not None and end is not None and start < end

    def step_in(self, unit: Unit, step: float, schedule: Schedule) -> float | None:
        """Return one of its steps, `begin` or `end`, in a unit; None where that is not known."""
        length = schedule.length_of(unit_of(self.options), unit)
        return None if length is None else step * length

    def number(self, option: str) -> float | None:
        """Return an option that is a number; None for another."""
        value = self.options.get(option)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return value if is_number else None


def schedulers_of(plan: Plan) -> list[Scheduler]:
    """Return the schedulers of a plan's schedule, in the config's order."""
    if plan.schedule is None:
        return []
    found, seen = [], Counter[str]()
    for options in plan.schedule.schedulers:
        optimizer = options.get("optimizer", "")
        path: tuple[str, ...] = ("param_scheduler",)
        configured: Any = plan.param_scheduler
        if isinstance(configured, dict) and "type" not in configured:
            path, configured = (*path, optimizer), configured.get(optimizer)
        if not isinstance(configured, dict):
            path = (*path, str(seen[optimizer]))
        seen[optimizer] += 1
        found.append(Scheduler(path, options))
    return found


def configured_schedulers(plan: Plan) -> list[Scheduler]:
    """Return each scheduler of the config once; several optimizers may have the same ones."""
    return list({one.path: one for one in reversed(schedulers_of(plan))}.values())[::-1]


def lr_curves(plan: Plan) -> Iterator[tuple[str | None, float, Curve]]:
    """Yield the lr curve of each optimizer's param group with the highest lr.

    Yields:
        The key of the optimizer, None for the only one; the group's lr before any scheduler; its
        curve, times its factor.
    """
    highest: dict[str | None, float] = {}
    groups: dict[str | None, int] = {}
    for p in plan.parameters:
        if p.group is not None and p.lr is not None and p.lr > highest.get(p.optimizer, 0.0):
            highest[p.optimizer], groups[p.optimizer] = p.lr, p.group
    for optimizer, group in groups.items():
        curve = plan.schedule.curve_of(group, "lr") if plan.schedule is not None else None
        if curve is not None:
            factor = curve.factor(group)
            values = tuple(value * factor for value in curve.value)
            alone = Curve((group,), "lr", curve.unit, curve.at, values)
            yield optimizer, highest[optimizer], alone

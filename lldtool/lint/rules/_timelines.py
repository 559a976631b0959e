"""When the param schedulers of a plan act in the training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from lldtool.config.edit import Edit
from lldtool.lint.rules._annealing import Annealing
from lldtool.lint.rules._schedulers import Scheduler, configured_schedulers
from lldtool.plan import Plan, Schedule
from lldtool.text import significant

#: The unit of the train loop -> the entry of the config with its length.
_LENGTH = {"epoch": ("train_cfg", "max_epochs"), "iteration": ("train_cfg", "max_iters")}
#: A schedule may end this part of the training, at most one epoch, before or after it.
_SLACK = 0.1
#: An lr with less than this part of the way left has practically reached its end value.
LEAST_LEFT = 0.05


@dataclass(frozen=True)
class Span(Scheduler):
    """A scheduler and when it acts, in the unit of the train loop: epochs or iterations.

    Attributes:
        unit: the length of its own unit in that of the train loop.
        base_lr: the lr of its optimizer.
    """

    unit: float
    base_lr: float

    @property
    def begin(self) -> float:
        """When it begins."""
        return self.own_begin * self.unit

    @property
    def end(self) -> float:
        """When it ends, even if that is after the training; infinite if it never ends."""
        return self.number("end", math.inf) * self.unit

    @property
    def stop(self) -> float:
        """When it no longer changes anything: at its end or that of the training."""
        return min(self.end, float(self.schedule.length))

    @property
    def may_be_warm_up(self) -> bool:
        """Whether it is a warm-up, or the name or options of an unknown class look like one."""
        rises = self.number("start_factor", math.inf) < self.number("end_factor", 1.0)
        return self.is_warm_up or rises or "warmup" in self.type.lower()

    @cached_property
    def annealing(self) -> Annealing | None:
        """How it lowers the lr, None if it does not lower it to a target."""
        way = self._annealing()
        return way if way is not None and way.length > 0 and way.shape > 0 else None

    def _annealing(self) -> Annealing | None:
        whole = self.number("end", 0.0) - self.number("begin", 0.0)
        low = self.number("eta_min_ratio", self.number("eta_min", 0.0) / self.base_lr)
        if self.type.startswith("CosineAnnealing"):
            return Annealing("cosine", 1.0, low, self.number("T_max", whole) or whole, "T_max")
        if self.type.startswith("Poly"):
            return Annealing("power", 1.0, low, whole, shape=self.number("power", 1.0))
        start, end = self.number("start_factor", 0.0), self.number("end_factor", 1.0)
        if self.type.startswith("Linear") and start > end:
            return Annealing("power", start, end, whole)
        if self.type.startswith("OneCycle"):
            top, share = self.number("eta_max", self.base_lr), self.number("pct_start", 0.3)
            steps = self.number("total_steps", whole)
            return Annealing("one-cycle", top / self.base_lr, 0.0, steps, "total_steps", share)
        periods, weights = self.numbers("periods"), self.numbers("restart_weights")
        if self.type.startswith("CosineRestart"):
            cycles = tuple(zip(periods, weights, strict=False))
            return Annealing("restarts", 1.0, low, sum(periods), "periods", cycles=cycles)
        return None

    @property
    def reaches_target(self) -> float | None:
        """When the lr would reach its target, None if there is none."""
        way = self.annealing
        return None if way is None else self.begin + way.length * self.unit

    def in_own_unit(self, time: float) -> float:
        """Return a time of the train loop in the scheduler's own unit."""
        return time / self.unit

    def after(self, time: float) -> float:
        """Return the time from its beginning to a time of the train loop, in its own unit."""
        return (time - self.begin) / self.unit

    def entry(self, *names: str | None) -> tuple[str, ...]:
        """Return the keys that lead to the first of these options that the config gives."""
        name = next((n for n in names if n in self.configured), None)
        return self.path if name is None else (*self.path, name)

    def moved_end(self, end: float) -> list[Edit]:
        """Return the edits with which the lr reaches its target at a time of the train loop.

        There are none if that time is not a whole number in its own unit.
        """
        way, last, length = self.annealing, whole(self.in_own_unit(end)), whole(self.after(end))
        if last is None or length is None or length < 1 or (way and way.kind == "restarts"):
            return []
        options = {"end": last} if self.configured.get("end", last) != last else {}
        if way and way.option in self.configured:
            options[str(way.option)] = length
        return [Edit((*self.path, name), value) for name, value in options.items()]


@dataclass(frozen=True)
class Timeline:
    """The schedulers of an optimizer in a training.

    It is known when those in `spans` act. For those in `unplaced` it is not, as the epoch length is
    unknown; one of their units counts as one of the train loop.
    """

    schedule: Schedule
    spans: list[Span]
    unplaced: list[Span]

    @property
    def is_complete(self) -> bool:
        """Whether it is known for all schedulers of the lr when they act."""
        return not any(span.setting == "lr" for span in self.unplaced)

    @property
    def length(self) -> int:
        """The epochs or iterations of the training."""
        return self.schedule.length

    @property
    def of_lr(self) -> list[Span]:
        """The schedulers of the lr."""
        return [span for span in self.spans if span.setting == "lr"]

    @property
    def length_entry(self) -> tuple[str, ...]:
        """The keys of the entry with the length of the training."""
        return _LENGTH[self.schedule.by]

    @property
    def slack(self) -> float:
        """How long before or after the training a schedule may end."""
        tenth = self.length * _SLACK
        if self.schedule.by == "epoch":
            return min(1.0, tenth)
        return min(float(self.schedule.epoch_length or math.inf), tenth)

    def at(self, time: float) -> str:
        """Return a time with its unit: `epoch 40`, `iteration 12,000`."""
        return f"{self.schedule.by} {self.number(time)}"

    def number(self, time: float) -> str:
        """Return a time as text: `40`, `12,000`, `2.5`."""
        return f"{time:,.0f}" if self.schedule.by == "iteration" else f"{time:.3g}"


def timelines(plan: Plan) -> list[Timeline]:
    """Return the timeline of each optimizer that has its own schedulers.

    Schedulers that never step, by epochs in a training by iterations, are left out. There are no
    timelines if the length of the training is unknown, or if training fails at a scheduler.
    """
    schedule = plan.schedule
    if schedule is None or schedule.error is not None:
        return []
    found: dict[str | None, Timeline] = {}
    for one in configured_schedulers(plan):
        if not _has_bounds(one) or one.has_no_epochs:
            continue
        unit = schedule.length_of(one.counts, schedule.by)
        optimizer = plan.optimizers.get(one.optimizer or "", plan.optimizer)
        base_lr = (optimizer.lr or 0.0) * plan.auto_scale_lr
        span = Span(one.path, one.configured, one.options, schedule, unit or 1.0, base_lr or 1.0)
        own = found.setdefault(one.optimizer, Timeline(schedule, [], []))
        (own.spans if unit else own.unplaced).append(span)
    return list(found.values())


def _has_bounds(scheduler: Scheduler) -> bool:
    """Whether a scheduler begins before it ends; otherwise mmengine raises."""
    begin, end = scheduler.options.get("begin"), scheduler.options.get("end")
    if not isinstance(begin, (int, float)) or not isinstance(end, (int, float, type(None))):
        return False
    return begin >= 0 and (end is None or begin < end)


def stretched_milestones(training: Timeline, span: Span) -> list[Edit]:
    """Return the edit that stretches the milestones from the scheduler's end to the training's."""
    ratio, milestones = training.length / span.end, span.numbers("milestones")
    if not milestones:
        return []
    return [Edit((*span.path, "milestones"), [round(ratio * one) for one in milestones])]


def whole(number: float) -> int | None:
    """Return a number as an int if it is whole, apart from rounding, else None."""
    return round(number) if math.isclose(number, round(number), abs_tol=1e-6) else None


def of_base(factor: float) -> str:
    """Return a factor of the base lr as text: `0.5 × the base lr`, `the base lr`, `0`."""
    if math.isclose(factor, 1.0, rel_tol=5e-3):
        return "the base lr"
    return f"{significant(factor, 2)} × the base lr" if factor else "0"

"""The lr schedulers of a plan: as configured, and when they act in the training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lldtool.config.edit import Edit
from lldtool.lint.rules._annealing import Annealing
from lldtool.plan import Curve, Plan, Schedule
from lldtool.plan.schedule import unit_of
from lldtool.text import significant

#: Ends of the names of schedulers that leave the lr alone.
_OF_OTHER_SETTINGS = ("Momentum", "WeightDecay")
#: A line of the config's `train_cfg`, by what the train loop goes by.
_LENGTH = {"epoch": ("train_cfg", "max_epochs"), "iteration": ("train_cfg", "max_iters")}
#: A schedule may end this part of the training before or after it, or one epoch where that is less.
_SLACK = 0.1
#: An lr that has come this near to its end value is as good as there.
LEAST_LEFT = 0.05


def lr_schedulers(plan: Plan) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """The schedulers of the lr, with the keys that lead to them.

    None where a config has schedulers for each of several optimizers.
    """
    configured = plan.param_scheduler
    several: dict[tuple[str, ...], Any] = {("param_scheduler",): configured}
    if not isinstance(configured, dict):
        several = {("param_scheduler", str(i)): one for i, one in enumerate(configured or ())}
    for path, scheduler in several.items():
        if not isinstance(scheduler, dict) or "type" not in scheduler:
            continue
        name, setting = str(scheduler["type"]), scheduler.get("param_name", "lr")
        if setting == "lr" and not name.endswith(_OF_OTHER_SETTINGS):
            yield path, scheduler


@dataclass(frozen=True)
class Span:
    """A scheduler, and when it acts, in what the train loop goes by: epochs or iterations.

    Attributes:
        path: the keys that lead to it in the config.
        options: resolved.
        configured: the options that the config gives.
        unit: of the train loop's in one of its own: an epoch in iterations, or the other way round.
        base_lr: of its optimizer.
        schedule: that it is part of.
    """

    path: tuple[str, ...]
    options: Mapping[str, Any]
    configured: Mapping[str, Any]
    unit: float
    base_lr: float
    schedule: Schedule

    @property
    def type(self) -> str:
        """The name of its class, without the registry."""
        return str(self.options["type"]).rpartition(".")[2]

    @property
    def setting(self) -> str:
        """The setting that it changes."""
        named = str(self.options.get("param_name", "lr"))
        return "weight_decay" if self.type.endswith("WeightDecay") else named

    @property
    def begin(self) -> float:
        """When it begins."""
        return float(self.options["begin"]) * self.unit

    @property
    def end(self) -> float:
        """When it ends, whether training takes as long or not; infinite where it has no end."""
        return self.number("end", math.inf) * self.unit

    @property
    def stop(self) -> float:
        """When it no longer changes anything: at its end or that of the training."""
        return min(self.end, float(self.schedule.length))

    @property
    def is_converted(self) -> bool:
        """Whether it steps in each iteration."""
        by_epoch = self.options.get("by_epoch", True)
        return not by_epoch or bool(self.options.get("convert_to_iter_based"))

    @property
    def is_warm_up(self) -> bool:
        """Whether it raises the lr to what it is without the scheduler."""
        is_linear = self.number("start_factor", math.inf) < self.number("end_factor", 1.0)
        return is_linear or "warmup" in self.type.lower() or self.is_constant(below=1.0)

    def is_constant(self, below: float = math.inf) -> bool:
        """Whether it is a `ConstantLR` with a factor below this one."""
        return self.type.startswith("Constant") and self.number("factor", 1.0) < below

    def number(self, name: str, default: float) -> float:
        """Return an option, or the default where it is no number."""
        given = self.options.get(name)
        return float(given) if isinstance(given, (int, float)) else default

    def numbers(self, name: str) -> list[float]:
        """Return the numbers of an option that is a list."""
        given = self.options.get(name)
        items = given if isinstance(given, (list, tuple)) else ()
        return [one for one in items if isinstance(one, (int, float))]

    @cached_property
    def annealing(self) -> Annealing | None:
        """How it takes the lr down; None where it doesn't do so to a value of its own."""
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
        """When it has taken the lr down, if nothing ends before; None where it doesn't do so."""
        way = self.annealing
        return None if way is None else self.begin + way.length * self.unit

    def in_own_unit(self, time: float) -> float:
        """Return a time of the train loop in what the scheduler counts."""
        return time / self.unit

    def after(self, time: float) -> float:
        """Return how long after its beginning a time of the train loop is, in its own unit."""
        return (time - self.begin) / self.unit

    def entry(self, *names: str | None) -> tuple[str, ...]:
        """Return the keys that lead to the first of these options that the config gives."""
        name = next((n for n in names if n in self.configured), None)
        return self.path if name is None else (*self.path, name)

    def moved_end(self, end: float) -> list[Edit]:
        """Return the edits with which it takes the lr down until a time of the train loop.

        None where that time is not a whole number of what it counts.
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

    `spans` are those of which it is known when they act. `unplaced` would need the length of an
    epoch for that, which is not known; one of their units counts as one of the train loop.
    """

    schedule: Schedule
    spans: list[Span]
    unplaced: list[Span]

    @property
    def is_complete(self) -> bool:
        """Whether it is known when all schedulers of the lr act."""
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
        """The keys of the entry that says how long the training is."""
        return _LENGTH[self.schedule.by]

    @property
    def slack(self) -> float:
        """How much earlier or later than the training a schedule may end."""
        tenth = self.length * _SLACK
        if self.schedule.by == "epoch":
            return min(1.0, tenth)
        return min(float(self.schedule.epoch_length or math.inf), tenth)

    def at(self, time: float) -> str:
        """`epoch 40`, `iteration 12,000`."""
        return f"{self.schedule.by} {self.number(time)}"

    def number(self, time: float) -> str:
        """`40`, `12,000`, `2.5`."""
        return f"{time:,.0f}" if self.schedule.by == "iteration" else f"{time:.3g}"


def timelines(plan: Plan) -> list[Timeline]:
    """Return when the schedulers of a plan act, for each optimizer that has its own.

    Those that never step, by epochs in a training by iterations, are not among them. There is none
    where the length of the training is not known, and where training fails at a scheduler.
    """
    schedule = plan.schedule
    if schedule is None or schedule.error is not None:
        return []
    seen: set[tuple[str, ...]] = set()
    found: dict[str, Timeline] = {}
    for path, configured, options in _with_paths(plan, schedule):
        if path in seen or not _has_bounds(options) or _never_steps(options, schedule):
            continue
        seen.add(path)
        unit, optimizer = (
            schedule.length_of(unit_of(options), schedule.by),
            options.get("optimizer", ""),
        )
        base_lr = (plan.optimizers.get(optimizer, plan.optimizer).lr or 0.0) * plan.auto_scale_lr
        span = Span(path, options, configured, unit or 1.0, base_lr or 1.0, schedule)
        own = found.setdefault(optimizer, Timeline(schedule, [], []))
        (own.spans if unit else own.unplaced).append(span)
    return list(found.values())


def _with_paths(
    plan: Plan, schedule: Schedule
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any], Mapping[str, Any]]]:
    """Yield the keys that lead to each scheduler, its options as configured, and as resolved."""
    number: Counter[str] = Counter()
    for options in schedule.schedulers:
        optimizer = options.get("optimizer", "")
        path: tuple[str, ...] = ("param_scheduler",)
        own = plan.param_scheduler
        if isinstance(own, dict) and "type" not in own:
            own, path = own[optimizer], (*path, optimizer)
        if isinstance(own, dict):
            yield path, own, options
        elif own is not None:
            index = number[optimizer]
            yield (*path, str(index)), own[index], options
        number[optimizer] += 1


def _has_bounds(options: Mapping[str, Any]) -> bool:
    """Whether a scheduler begins before it ends; mmengine raises for others."""
    begin, end = options.get("begin"), options.get("end")
    if not isinstance(begin, (int, float)) or not isinstance(end, (int, float, type(None))):
        return False
    return begin >= 0 and (end is None or begin < end)


def _never_steps(options: Mapping[str, Any], schedule: Schedule) -> bool:
    is_by_epoch = options.get("by_epoch", True) and not options.get("convert_to_iter_based")
    return bool(schedule.by == "iteration" and is_by_epoch)


def main_curve(plan: Plan, span: Span) -> Curve | None:
    """Return the curve of the highest lr that a scheduler changes."""
    optimizer = span.options.get("optimizer")
    members = [p for p in plan.parameters if p.lr is not None and p.optimizer in (optimizer, None)]
    for p in sorted(members, key=lambda p: -(p.lr or 0.0)):
        curve = plan.schedule and plan.schedule.curve_of(p.group, "lr")
        if curve:
            factor = curve.factor(p.group)
            return replace(curve, value=tuple(factor * value for value in curve.value))
    return None


def stretched_milestones(training: Timeline, span: Span) -> list[Edit]:
    """Return the milestones at the same parts of the training as they are of the scheduler."""
    ratio, milestones = training.length / span.end, span.numbers("milestones")
    if not milestones:
        return []
    return [Edit((*span.path, "milestones"), [round(ratio * one) for one in milestones])]


def whole(number: float) -> int | None:
    """Return a number that is whole but for rounding as an int; None for others."""
    return round(number) if math.isclose(number, round(number), abs_tol=1e-6) else None


def of_base(factor: float) -> str:
    """`0.5 × the base lr`, `the base lr`, `0`."""
    if math.isclose(factor, 1.0, rel_tol=5e-3):
        return "the base lr"
    return f"{significant(factor, 2)} × the base lr" if factor else "0"

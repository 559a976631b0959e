"""Schedule -> a description of the training in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lldtool.output.document import Text, listed
from lldtool.plan import LENGTH_ASSUMED, Plan, Schedule
from lldtool.plan.schedule import NO_END, unit_of
from lldtool.text import layer_name, lr, plural, setting, value

Options = Mapping[str, Any]


def schedule_facts(plan: Plan) -> list[tuple[str, Text]]:
    """Return the schedulers, the length of the training, and what else affects its steps.

    Empty if the length of the training is unknown.
    """
    schedule = plan.schedule
    if schedule is None:
        return []
    schedulers = [scheduler_words(options) for options in schedule.schedulers]
    logged = logged_lr(plan)
    return [
        ("schedule", listed(schedulers or ["no param_scheduler"], " · ")),
        ("training", listed([*length(schedule), *_acts_on_steps(plan, schedule)], " · ")),
        *([("log shows", listed([logged]))] if logged else []),
        *([("error", Text(((schedule.error, "red"),)))] if schedule.error else []),
    ]


def length(schedule: Schedule) -> list[str]:
    """Return the length of the training, and where the epoch length is from."""
    unit = plural(schedule.length, schedule.by)
    if schedule.by == "iteration" or schedule.epoch_length is None:
        unknown = [] if schedule.by == "iteration" else ["epoch length not known"]
        others = [f"not known: {text}" for text in schedule.unknown if text != LENGTH_ASSUMED]
        return [unit, *(others or unknown)]
    source = f" ({schedule.epoch_length_from})" if schedule.epoch_length_from else ""
    return [f"{unit} of {plural(schedule.epoch_length, 'iteration')}{source}"]


def _acts_on_steps(plan: Plan, schedule: Schedule) -> Iterator[str]:
    """Yield the batch size, accumulation, clipping, and the averaging of weights."""
    if schedule.total_batch_size is not None:
        gpus = schedule.world_size
        total = schedule.total_batch_size * schedule.accumulative_counts
        factors = f"batch {schedule.batch_size}"
        factors += f" × {plural(gpus, 'GPU')}" if gpus else " a GPU"
        factors += f" × {schedule.accumulative_counts}" * (schedule.accumulative_counts > 1)
        yield f"{factors} = {total:,}" if gpus and total != schedule.batch_size else factors
    if schedule.accumulative_counts > 1:
        yield f"an optimizer step every {schedule.accumulative_counts} iterations"
    clip = (plan.optim_wrapper.options or {}).get("clip_grad")
    if isinstance(clip, dict) and clip:
        yield "clip_grad " + ", ".join(f"{k} {v}" for k, v in clip.items() if k != "type")
    if schedule.ema is not None:
        options = {"momentum": 0.0002, **schedule.ema}
        names = ("momentum", "begin_epoch", "begin_iter")
        shown = ", ".join(f"{k} {options[k]}" for k in names if options.get(k))
        yield f"{options['type']} {shown}".rstrip()


def logged_lr(plan: Plan) -> str | None:
    """Return which lr the log of the training shows, None if all are the same.

    Source: mmengine 0.10 `OptimWrapper.get_lr` and `RuntimeInfoHook.before_train_iter`.
    """
    lrs = {p.lr for p in plan.trained}
    first = next((p for p in plan.parameters if p.group == 0), None)
    if len(lrs) < 2 or first is None or plan.optimizers:
        return None
    of = first.name if first.layer_id is None else f"layer {layer_name(first.layer_id)}"
    return f"lr is that of {of}"


def scheduler_words(options: Options) -> str:
    """Return what a scheduler does: `warm-up 5 epochs linear from 0.01 ×`.

    Args:
        options: its resolved options, as in `Schedule`.
    """
    describe = _WORDS.get(re.sub("(LR|Momentum|ParamScheduler)$", "", options["type"]), _other)
    prefix = f"{options['optimizer']}: " if options.get("optimizer") else ""
    changed = options.get("param_name", "lr")
    prefix += "" if changed == "lr" else f"{changed} "
    return prefix + describe(options)


def _shown(number: object) -> str:
    """Return an option as text, shortened if it is a number."""
    return setting(number) if isinstance(number, (int, float)) else value(number)


def _end(options: Options, until: float | None = None) -> str:
    """Return the end of a scheduler, or an earlier time: `at epoch 100`."""
    end = options.get("end") if until is None else until
    if not isinstance(end, (int, float)) or end >= NO_END:
        return "at the end"
    return f"at {unit_of(options)} {end:,g}"


def _target(options: Options) -> str:
    """Return the lowest value of a scheduler: `1.00e-6`, `0.01 ×`."""
    if options.get("eta_min_ratio") is not None:
        return f"{_shown(options['eta_min_ratio'])} ×"
    floor = options.get("eta_min")
    if not isinstance(floor, (int, float)) or not floor:
        return "0"
    return lr(floor) if options.get("param_name", "lr") == "lr" else setting(floor)


def _linear(options: Options) -> str:
    start, end = options.get("start_factor", 1 / 3), options.get("end_factor", 1.0)
    begin, until = options.get("begin", 0), options.get("end")
    to = "" if end == 1 else f" to {setting(end)} ×"
    if begin == 0 and start < end and isinstance(until, (int, float)) and until < NO_END:
        span = plural(int(until), unit_of(options))
        return f"warm-up {span} linear from {setting(start)} ×{to}"
    return f"linear from {setting(start)} × to {setting(end)} × {_end(options)}"


def _constant(options: Options) -> str:
    return f"{_shown(options.get('factor', 1 / 3))} × until {_end(options)[3:]}"


def _cosine(options: Options) -> str:
    begin, t_max, end = options.get("begin", 0), options.get("T_max"), options.get("end")
    until = end if t_max is None or end is None else min(end, begin + t_max)
    if t_max is not None and isinstance(end, (int, float)) and begin + t_max > end:
        length = f"{t_max:,} {unit_of(options)}s"
        return f"cosine to {_target(options)} in {length}, until {_end(options)[3:]}"
    return f"cosine to {_target(options)} {_end(options, until)}"


def _multi_step(options: Options) -> str:
    milestones = ", ".join(f"{m:,}" for m in options.get("milestones", ()))
    return f"× {_shown(options.get('gamma', 0.1))} at {unit_of(options)}s {milestones}"


def _step(options: Options) -> str:
    every = plural(options.get("step_size", 1), unit_of(options))
    return f"× {_shown(options.get('gamma', 0.1))} every {every}"


def _exponential(options: Options) -> str:
    return f"× {_shown(options.get('gamma', 0.1))} every {unit_of(options)}"


def _polynomial(options: Options) -> str:
    power = options.get("power", 1)
    shape = "linear" if power == 1 else f"polynomial (power {power})"
    return f"{shape} to {_target(options)} {_end(options)}"


def _one_cycle(options: Options) -> str:
    return f"one cycle up to {lr(options.get('eta_max', 0.0))}"


def _plateau(options: Options) -> str:
    return f"× {_shown(options.get('factor', 0.1))} on a plateau of {options.get('monitor')}"


def _other(options: Options) -> str:
    begin = options.get("begin") or 0
    since = f" from {unit_of(options)} {begin:,g}" if begin else ""
    return f"{options['type']}{since}"


#: Type of a scheduler, without the setting that it changes -> its description.
_WORDS: dict[str, Callable[[Options], str]] = {
    "Linear": _linear,
    "Constant": _constant,
    "CosineAnnealing": _cosine,
    "MultiStep": _multi_step,
    "Step": _step,
    "Exponential": _exponential,
    "Poly": _polynomial,
    "OneCycle": _one_cycle,
    "ReduceOnPlateau": _plateau,
}

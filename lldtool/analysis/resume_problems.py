"""A resumed training -> what mmengine silently accepts, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lldtool.analysis.resume import Problem, Resume, epoch_length_in, groups_in
from lldtool.checkpoint import Checkpoint
from lldtool.plan import Plan
from lldtool.text import lr, plural, shortened

#: How to start over from the weights.
_LOAD_FROM = "load_from = {0!r} without resume: a new optimizer and schedule, from the weights"
_MOST_NAMES = 3


def problems(
    resume: Resume,
    checkpoint: Checkpoint,
    states: Sequence[Mapping[str, Any]],
    *,
    is_scaled: bool,
) -> Iterator[Problem]:
    """Yield what goes wrong.

    Args:
        resume: without problems.
        checkpoint: that it is resumed from.
        states: of the schedulers after resuming.
        is_scaled: `auto_scale_lr` is enabled.
    """
    load_from = _LOAD_FROM.format(resume.checkpoint)
    if resume.left == 0:
        yield _nothing_left(resume)
    yield from _of_missing_state(resume, load_from)
    yield from _of_order(resume, checkpoint, load_from)
    yield from _of_class(resume, load_from)
    yield from _of_pairs(resume, load_from)
    yield from _of_end(resume, states, load_from)
    yield from _of_epochs(resume, checkpoint)
    yield from _of_ema(resume)
    yield from _of_weights(resume.plan, load_from)
    if is_scaled and "optimizer" in resume.entries:
        yield Problem(
            "auto-scale-lr",
            "auto_scale_lr logs that it scales every lr, which has no effect: the checkpoint's "
            "param groups replace them",
            load_from,
        )


def _nothing_left(resume: Resume) -> Problem:
    schedule = resume.plan.schedule
    assert schedule is not None
    key = "max_epochs" if schedule.by == "epoch" else "max_iters"
    return Problem(
        "nothing-left",
        f"no step is left: the checkpoint is past {plural(schedule.length, schedule.by)}",
        f"train_cfg.{key} is the length of the whole training",
    )


def _of_missing_state(resume: Resume, load_from: str) -> Iterator[Problem]:
    has_optimizer = "optimizer" in resume.entries
    has_schedulers = "param_schedulers" in resume.entries
    scheduled = any(pair.new for pair in resume.pairs)
    if not has_optimizer:
        schedule = ""
        if scheduled:
            schedule = (
                ", under the schedule of the checkpoint"
                if has_schedulers
                else ", and the schedule begins at its step 0"
            )
        yield Problem(
            "no-optimizer-state",
            "the checkpoint has no optimizer state: the optimizer starts over with the lrs of the "
            f"config's first step{schedule}",
            load_from,
        )
    elif scheduled and not has_schedulers:
        yield Problem(
            "no-scheduler-state",
            "the checkpoint has no scheduler state: its lrs go on under the config's schedule from "
            "step 0",
            load_from,
        )


def _of_order(resume: Resume, checkpoint: Checkpoint, load_from: str) -> Iterator[Problem]:
    """Yield that param groups are of other parameters, as far as their names are in them."""
    content = checkpoint.entry("optimizer")
    names: dict[tuple[str, int], str] = {}
    for key, groups in groups_in(content).items():
        for i, group in enumerate(groups):
            if isinstance(group.get("param_name"), str):
                names[key, i] = group["param_name"]
    if not names:
        return
    first: dict[str, int] = {}
    for p in resume.plan.parameters:
        first[p.optimizer or ""] = min(p.group, first.get(p.optimizer or "", p.group))
    wrong = []
    for p in resume.plan.parameters:
        key = p.optimizer or ""
        old = names.get((key, p.group - first[key]))
        if old is not None and old != p.name:
            wrong.append(f"{p.name} gets those of {old}")
    if wrong:
        yield Problem(
            "other-order",
            f"the param groups are in another order, and settings and state are taken over by "
            f"position: {', '.join(shortened(wrong, _MOST_NAMES))}",
            f"bring the parameters into the order of the checkpoint, or {load_from}",
        )


def _of_class(resume: Resume, load_from: str) -> Iterator[Problem]:
    for change in resume.changes:
        if change.path[-2:] == ("optimizer", "type") and "optimizer" in resume.entries:
            old, new = (str(kind).rpartition(".")[2] for kind in change.values)
            yield Problem(
                "other-optimizer",
                f"{new} takes over the param groups and the state of {old}",
                load_from,
            )


def _of_pairs(resume: Resume, load_from: str) -> Iterator[Problem]:
    if "param_schedulers" not in resume.entries:
        return
    wrong = []
    for pair in resume.pairs:
        of = f"{pair.optimizer}: " if pair.optimizer else ""
        if pair.old is None:
            wrong.append(f"{of}{pair.new} is new and counts from 0 now")
        elif pair.new is None:
            wrong.append(f"{of}the state of {pair.old} is dropped")
        elif pair.old != pair.new:
            wrong.append(f"{of}{pair.new} takes over the state of {pair.old}")
    if wrong:
        yield Problem(
            "other-schedulers",
            f"schedulers are paired by position with those of the checkpoint: {', '.join(wrong)}",
            f"keep the param_scheduler of the checkpoint, or {load_from}",
        )


def _of_end(
    resume: Resume, states: Sequence[Mapping[str, Any]], load_from: str
) -> Iterator[Problem]:
    """Yield that the checkpoint's schedule ends before the training, and the config's does not."""
    schedule, fresh = resume.plan.schedule, resume.fresh.schedule
    if schedule is None or fresh is None or resume.left == 0:
        return
    if "param_schedulers" not in resume.entries:
        return
    length = fresh.epoch_length or 0
    ends = [_in_epochs(state, length) for state in states if state.get("param_name") == "lr"]
    own = [_in_epochs(one, length) for one in fresh.schedulers if one.get("param_name") == "lr"]
    total = fresh.length if fresh.by == "epoch" else fresh.length / (length or 1)
    if not ends or None in ends or not own or None in own:
        return
    last, planned = max(filter(None, ends)), max(filter(None, own))
    if last < total and last < planned:
        unit = fresh.by
        at = last if unit == "epoch" or not length else last * length
        curves = resume.curves
        stays = ""
        if curves is not None and curves.curves:
            stays = f", {lr(max(curve.lrs[-1] for curve in curves.curves))} at most"
        yield Problem(
            "schedule-is-over",
            f"the checkpoint's schedule ends at {unit} {at:,g} of {fresh.length:,}: from there on "
            f"every lr stays as it is{stays}",
            load_from,
        )


def _in_epochs(options: Mapping[str, Any], length: int) -> float | None:
    end = options.get("end")
    if not isinstance(end, (int, float)):
        return None
    if options.get("by_epoch", True):
        return end
    return end / length if length else None


def _of_epochs(resume: Resume, checkpoint: Checkpoint) -> Iterator[Problem]:
    schedule, step = resume.plan.schedule, resume.plan.step
    if schedule is None or step is None or schedule.by != "epoch" or not schedule.epoch_length:
        return
    length, saved = schedule.epoch_length, epoch_length_in(checkpoint)
    if saved not in (None, length):
        yield Problem(
            "other-epoch-length",
            f"an epoch had {saved:,} iterations and has {length:,} now: schedules by iteration, "
            "converted ones too, end in another epoch than before",
            "keep batch size, number of GPUs and data",
        )
    elif step.epoch == 0 and step.iteration >= length:
        yield Problem(
            "other-loop",
            f"the checkpoint is of a training by iterations, which counts no epochs: this one goes "
            f"by epochs, and starts with the first, after {step.iteration:,} iterations",
            "keep the train_cfg of the checkpoint",
        )
    elif step.iteration != step.epoch * length:
        yield Problem(
            "within-epoch",
            f"the checkpoint was saved within an epoch, after {step.iteration:,} iterations: the "
            "epoch starts over, and schedules by iteration are ahead",
            "save checkpoints at the end of epochs",
        )


def _of_ema(resume: Resume) -> Iterator[Problem]:
    ema = resume.fresh.schedule.ema if resume.fresh.schedule is not None else None
    if "ema_state_dict" in resume.entries and ema is None:
        yield Problem(
            "ema-lost",
            "the checkpoint was saved with an EMAHook: its state_dict is the average, which "
            "training goes on from, and the raw weights are lost",
            "keep the EMAHook in custom_hooks",
        )
    elif ema is not None and "ema_state_dict" not in resume.entries:
        yield Problem(
            "ema-new",
            "the checkpoint has no ema_state_dict: the average begins with its weights",
            "start the EMAHook with a new training",
        )


def _of_weights(plan: Plan, load_from: str) -> Iterator[Problem]:
    new = [p.name for p in plan.every_parameter if p.start in ("missing", "mismatched")]
    if new and plan.loaded:
        yield Problem(
            "weights-not-resumed",
            f"not in the checkpoint, or in another shape, and so initialised: "
            f"{plural(len(new), 'parameter')}, {', '.join(shortened(new, _MOST_NAMES))}",
            load_from,
        )

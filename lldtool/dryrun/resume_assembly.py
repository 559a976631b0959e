"""A config and a checkpoint -> the training that is resumed, with all that is to be said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from lldtool.analysis.resume import Pair, Resume, scheduler_of_state
from lldtool.analysis.resume_problems import problems
from lldtool.checkpoint import Checkpoint
from lldtool.checkpoint.training_config import training_config
from lldtool.dryrun import Progress
from lldtool.dryrun.auto_scaling import auto_scale, part
from lldtool.dryrun.param_schedulers import SchedulerError, schedulers_of_each
from lldtool.dryrun.registries import type_name
from lldtool.dryrun.resume_changes import changes_of
from lldtool.dryrun.resume_refusals import refusal
from lldtool.dryrun.resumed_plan import resumed_curves, resumed_plan
from lldtool.dryrun.resuming import (
    Resumed,
    checkpoint_of,
    resumed,
    with_epoch_length,
)
from lldtool.dryrun.training import Training
from lldtool.errors import LldtoolError, ResumeError
from lldtool.plan import Plan


def resume_of(training: Training, progress: Progress, plan: Plan | None = None) -> Resume:
    """Resume a training from the checkpoint that it was asked for with.

    Args:
        training: of the config.
        progress: shows the steps of the schedule.
        plan: of this training, where there is one.

    Raises:
        LldtoolError: it can't be resumed, or its length is not known.
    """
    checkpoint = checkpoint_of(training)
    timed = with_epoch_length(training, checkpoint)
    fresh = plan if plan is not None and timed is training else timed.plan()
    training = timed
    try:
        found = resumed(training, checkpoint, progress)
    except ResumeError as error:
        raise refusal(fresh, checkpoint, error) from error.__cause__
    if isinstance(found.no_curves, SchedulerError):
        raise found.no_curves
    entries = frozenset(map(str, checkpoint.content))
    _, scale_note = auto_scale(training.config, training.request)
    fresh = replace(fresh, notes=tuple(note for note in fresh.notes if note != scale_note))
    after = resumed_plan(fresh, found, has_optimizer="optimizer" in entries)
    result = Resume(
        checkpoint=checkpoint.name,
        plan=after,
        fresh=fresh,
        entries=entries,
        left=found.loop.steps if found.loop.epochs is None else found.loop.epochs,
        pairs=tuple(_pairs(training, checkpoint, found)),
        changes=changes_of(training, checkpoint, found),
        curves=resumed_curves(after, found),
    )
    scaling = part(training.config, "auto_scale_lr")
    is_scaled = bool(scaling.get("enable", False)) or training.request.auto_scale_lr
    states = [state for own in found.schedulers.values() for _, state in own]
    return replace(
        result, problems=tuple(problems(result, checkpoint, states, is_scaled=is_scaled))
    )


def _pairs(training: Training, checkpoint: Checkpoint, found: Resumed) -> Iterator[Pair]:
    """Yield the schedulers of the config with those of the checkpoint, by their positions."""
    saved = checkpoint.entry("param_schedulers")
    old = training_config(checkpoint).get("param_scheduler")
    for name, own in found.schedulers.items():
        states = saved.get(name, ()) if isinstance(saved, dict) else saved or ()
        named = _types(old, name)
        if len(named) != len(states):
            named = [scheduler_of_state(state) or "?" for state in states]
        for new, before in zip_longest([kind for kind, _ in own], named):
            yield Pair(new, before, name)


def _types(configured: Any, optimizer: str) -> list[str]:
    try:
        own = schedulers_of_each(configured, {optimizer: None})[optimizer]
    except LldtoolError:
        return []
    return [type_name(one["type"]) for one in own]

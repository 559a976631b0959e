"""A checkpoint as a config: its own config is dry-run, and its settings are those that it holds."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lldtool.checkpoint import Checkpoint, read_checkpoint
from lldtool.checkpoint.plans import plan_of_checkpoint
from lldtool.checkpoint.training_config import config_text
from lldtool.config.request import START, Request
from lldtool.dryrun import Capture, Progress, Want, capture
from lldtool.errors import LldtoolError


def capture_checkpoint(request: Request, want: Want, progress: Progress | None) -> Capture:
    """Dry-run the config that a checkpoint holds, with the settings of the checkpoint in the plan.

    Where that config can't be run, the plan has what the checkpoint itself tells.

    Args:
        request: of a checkpoint; with `at` the start, the settings are those at first.
        want: as for `capture`; the schedule and the effects are those of its config.
        progress: shows the steps of a schedule.
    """
    try:
        request.require_unchanged("checkpoint")
        checkpoint = read_checkpoint(request.path, request.name)
    except LldtoolError as error:
        return Capture(request, error=error)
    try:
        with own_config(request, checkpoint) as own:
            found = capture(own, want, progress=progress)
    except LldtoolError as error:
        found = Capture(request, error=error)
    files = frozenset([request.path.absolute()])
    try:
        plan = plan_of_checkpoint(checkpoint, found.plan, at_start=request.at == START)
    except LldtoolError as error:
        if found.error is not None:
            error = error.replace(message=f"{error.message}; {found.error.without_config()}")
        return Capture(request, error=error, files=files)
    why = found.error
    if why is not None and want.effects != "none":  # of what the constructor does
        return Capture(request, error=why, files=files)
    if why is not None:
        note = f"{why.without_config()}, so the plan is what the checkpoint itself tells"
        plan = replace(plan, notes=(*plan.notes, note))
    schedule = found.schedule
    if schedule is not None and plan.step is not None:
        notes = (f"the checkpoint is {plan.step}", *schedule.notes)
        schedule = replace(schedule, plan=replace(schedule.plan, notes=plan.notes), notes=notes)
    return replace(
        found, request=request, plan=plan, error=None, schedule=schedule,
        no_schedule=why or found.no_schedule, files=files,
    )  # fmt: skip


@contextlib.contextmanager
def own_config(request: Request, checkpoint: Checkpoint) -> Iterator[Request]:
    """Give the request for the config that a checkpoint holds, for as long as the context lasts.

    Args:
        request: of the checkpoint.
        checkpoint: what was read of it.

    Raises:
        LldtoolError: there is no config in it, or one that is more than values.
    """
    text = config_text(checkpoint)
    if text is None:
        has_text = isinstance(checkpoint.meta.get("cfg"), str)
        why = "its config is more than plain values" if has_text else "it holds no config"
        raise LldtoolError(why, config=request.name)
    with tempfile.TemporaryDirectory(prefix="lldtool-") as folder:
        path = Path(folder, "config.py")
        path.write_text(text, encoding="utf-8", errors="surrogateescape")
        length = request.length.in_checkpoint(checkpoint.epoch_length)
        yield replace(request, path=path, at=None, length=length)

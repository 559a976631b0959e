"""Run a config, and edited versions of it, in a session: `capture` and `trial`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from lldtool.analysis.resume import Resume
from lldtool.config.edit import Edit
from lldtool.config.request import Request
from lldtool.dryrun import Capture, Progress, Trial, Want
from lldtool.dryrun.curves import lr_rises_again, stepped_curves
from lldtool.dryrun.edited_training import edited_training
from lldtool.dryrun.files_read import collected_files, loaded_modules, noting_files
from lldtool.dryrun.key_effects import all_removed, doubtful_effects
from lldtool.dryrun.loading import find_file
from lldtool.dryrun.resume_assembly import resume_of
from lldtool.dryrun.session import in_fresh_process, run
from lldtool.dryrun.stepping import stepped, unseen
from lldtool.dryrun.training import Training, building, config_context, start_of_training
from lldtool.errors import ConstructorError, LldtoolError
from lldtool.files import is_checkpoint

#: For each `warm` context that lasts, the innermost last: the last training, or none.
_kept: list[list[Training]] = []


def capture(request: Request, want: Want, progress: Progress | None) -> Capture:
    """Run a config, or that of a checkpoint."""
    if is_checkpoint(request.path):
        from lldtool.dryrun.checkpoint_plans import capture_checkpoint

        return capture_checkpoint(request, want, progress)
    modules = loaded_modules() if want.files else frozenset()
    with collected_files() as files:
        try:
            found = run(partial(_captured, want, progress or unseen), request)
        except LldtoolError as error:
            found = Capture(request, error=error)
    return replace(found, files=frozenset(files), modules=modules)


def _captured(want: Want, progress: Progress, request: Request) -> Capture:
    noting = noting_files() if want.files else contextlib.nullcontext()
    try:
        with noting, start_of_training(request) as training:
            if _kept:
                _kept[-1][:] = [training]
            return _measured(want, progress, training)
    except ConstructorError as error:
        if not error.certain:
            raise  # the session may try again without stubs
        return Capture(request, error=error)


def _measured(want: Want, progress: Progress, training: Training) -> Capture:
    plan = training.plan(explained=want.reasons)
    found = Capture(training.request, plan)
    if want.effects != "none":
        measure = all_removed if want.effects == "all" else doubtful_effects
        found = replace(found, effects=measure(training, plan))
    if want.resume and (checkpoint := _resumes_from(training)):
        request = replace(training.request, resume=checkpoint)
        try:
            resume = resume_of(replace(training, request=request), unseen, plan)
            found = replace(found, resume=resume)
        except LldtoolError as error:
            found = replace(found, no_resume=error)
    if not want.steps:
        return found
    try:
        made = stepped(training, progress, all_groups=want.all_groups)
        return replace(found, schedule=stepped_curves(training, plan, made))
    except LldtoolError as error:
        return replace(found, no_schedule=error.with_config(training.request.name))


def resume(request: Request, progress: Progress | None) -> Resume:
    """Resume the training of a config from a checkpoint."""
    return run(partial(_resume, progress or unseen), request)


def _resume(progress: Progress, request: Request) -> Resume:
    with start_of_training(request) as training:
        return resume_of(training, progress)


def _resumes_from(training: Training) -> str | None:
    """Return the checkpoint that a training is resumed from, if it is there."""
    request, config = training.request, training.config
    named = request.resume or (config.get("resume", False) and config.get("load_from", None))
    return str(named) if named and find_file(str(named), request.checkout) else None


@contextlib.contextmanager
def warm() -> Iterator[None]:
    """Keep the last training of the context for trials."""
    _kept.append([])
    try:
        yield
    finally:
        _kept.pop()


def trial(request: Request, edit_lists: Sequence[Sequence[Edit]]) -> list[Trial]:
    """Run a config with each of several lists of edits."""
    task = partial(_trials, tuple(edit_lists))
    try:
        if _kept_training(request) is not None:
            return run(task, request)
        return in_fresh_process(task, request)
    except LldtoolError as error:
        return [Trial(error=error)] * len(edit_lists)


def _kept_training(request: Request) -> Training | None:
    return next((one for one in (_kept[-1] if _kept else ()) if one.request == request), None)


def _trials(edit_lists: Sequence[Sequence[Edit]], request: Request) -> list[Trial]:
    kept = _kept_training(request)
    if kept is None:
        with start_of_training(request) as training:
            return [_trial(training, edits) for edits in edit_lists]
    with config_context(request), building(request, kept.config, kept.notes, kept):
        return [_trial(kept, edits) for edits in edit_lists]


def _trial(training: Training, edits: Sequence[Edit]) -> Trial:
    try:
        edited = edited_training(training, edits)
        plan = edited.plan()
        is_of_schedule = any(edit.path[0] == "param_scheduler" for edit in edits)
        rises = is_of_schedule and lr_rises_again(edited, plan) and not _rose(training)
        return Trial(plan, lr_rises=rises)
    except LldtoolError as error:
        return Trial(error=error)


def _rose(training: Training) -> bool:
    """Whether an lr rises again without edits."""
    unedited = replace(training, is_trial=True)
    with contextlib.suppress(LldtoolError):
        return lr_rises_again(unedited, unedited.plan(explained=False))
    return False

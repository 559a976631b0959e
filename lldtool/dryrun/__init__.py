"""Config -> Capture: load the config, build the model, run its constructor, read the param groups.

The only package that imports torch and OpenMMLab, and it does so inside functions, so that the
types here are cheap to import. What reads a `Capture` never calls back into the dry run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lldtool.analysis.keys import Effects
from lldtool.analysis.lr_curves import LrCurves
from lldtool.analysis.resume import Resume
from lldtool.config.edit import Edit
from lldtool.config.request import Request
from lldtool.errors import LldtoolError
from lldtool.plan import Plan

#: Given the steps and how many there are, the same steps again; shows how far they are.
Progress = Callable[[Iterable[int], int], Generator[int, None, None]]


@dataclass(frozen=True)
class Want:
    """What a capture is to have beside the plan.

    `effects` are those of leaving out or changing entries of `paramwise_cfg`: of `all`, or of the
    `doubtful` ones that may do nothing. `steps` asks for the lr in each step; all param groups are
    stepped if `all_groups`, else only those that differ. `reasons` in the plan and the `files` read
    can be left out. `resume` asks for what training uses after it is resumed, where the request or
    the config names a checkpoint to resume from.
    """

    effects: Literal["none", "doubtful", "all"] = "none"
    steps: bool = False
    all_groups: bool = False
    reasons: bool = True
    files: bool = False
    resume: bool = False


@dataclass(frozen=True)
class Capture:
    """The result of running one config.

    `request` is as it was run in the end, with all that turned out to be needed. There is a plan
    or an error. `no_schedule` says why a schedule that was asked for is missing, `no_resume` why
    the training can't be resumed. `files` are the user's own that were read, `modules` those that
    the process had imported before.
    """

    request: Request
    plan: Plan | None = None
    error: LldtoolError | None = None
    effects: Effects = field(default_factory=Effects)
    schedule: LrCurves | None = None
    no_schedule: LldtoolError | None = None
    resume: Resume | None = None
    no_resume: LldtoolError | None = None
    files: frozenset[Path] = frozenset()
    modules: frozenset[Path] = frozenset()

    @property
    def required_plan(self) -> Plan:
        """The plan.

        Raises:
            LldtoolError: there is none.
        """
        if self.error is not None:
            raise self.error
        assert self.plan is not None
        return self.plan

    @property
    def required_schedule(self) -> LrCurves:
        """The schedule.

        Raises:
            LldtoolError: there is none.
        """
        if error := self.error or self.no_schedule:
            raise error
        assert self.schedule is not None
        return self.schedule


@dataclass(frozen=True)
class Trial:
    """The result of running an edited config: a plan or an error.

    `lr_rises` is true where an edit of the schedulers makes an lr rise again after it has fallen.
    """

    plan: Plan | None = None
    error: LldtoolError | None = None
    lr_rises: bool = False


def capture(
    request: Request, want: Want | None = None, *, progress: Progress | None = None
) -> Capture:
    """Run a config; an error is part of the result.

    Args:
        request: the config and how to run it.
        want: what is needed beside the plan.
        progress: shows the steps of a schedule.
    """
    from lldtool.dryrun import capturing

    return capturing.capture(request, want or Want(), progress)


def trial(request: Request, edit_lists: Sequence[Sequence[Edit]]) -> list[Trial]:
    """Run a config with each of several lists of edits, on a model that no constructor changed.

    Args:
        request: of a capture. Inside `warm()` its config and model are still there; otherwise they
            are loaded in a new process.
        edit_lists: edits of `model`, `optim_wrapper` and `param_scheduler`.
    """
    from lldtool.dryrun import capturing

    return capturing.trial(request, edit_lists)


def resume(request: Request, *, progress: Progress | None = None) -> Resume:
    """Return what training uses after resuming from `request.resume`.

    Args:
        request: the config, its checkpoint and how to run it.
        progress: shows the steps of the schedule.

    Raises:
        LldtoolError: it can't be resumed, the checkpoint can't be read, or as `dry_run`.
    """
    from lldtool.dryrun import capturing

    return capturing.resume(request, progress)


def warm() -> AbstractContextManager[None]:
    """Keep the config and model of the last capture for trials, as long as the context lasts."""
    from lldtool.dryrun import capturing

    return capturing.warm()


def dry_run(request: Request) -> Plan:
    """Return the settings that the config's optimizer gives every parameter of its model.

    Raises:
        LldtoolError: the config can't be read, its model can't be built, or its constructor
            raises. The original exception is its `__cause__`.
    """
    return capture(request).required_plan


def dry_runs(requests: Sequence[Request]) -> list[Plan]:
    """Return the plans of several configs, which share what they can; errors as in `dry_run`."""
    from lldtool.dryrun.batches import plans
    from lldtool.dryrun.session import run

    return run(plans, *requests) if len(requests) > 1 else [dry_run(*requests)]

"""A config that is about to be trained, and what it would do if it were written otherwise."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from lldtool.analysis.keys import Effects
from lldtool.analysis.lr_curves import Length, Schedule
from lldtool.config.edit import Edit
from lldtool.config.request import Request
from lldtool.dryrun.files_read import noting_files
from lldtool.dryrun.key_effects import effects_of
from lldtool.dryrun.session import run
from lldtool.dryrun.stepping import schedule_of
from lldtool.dryrun.training import Training, start_of_training
from lldtool.plan import Plan

Result = TypeVar("Result")
#: The parts of a config that `Examination.edited` can change.
_CHANGEABLE = ("model", "optim_wrapper", "param_scheduler")


@dataclass(frozen=True)
class Examination:
    """A config with its model built."""

    training: Training

    @cached_property
    def plan(self) -> Plan:
        """The config's plan.

        Raises:
            LldtoolError: there is none to be had.
        """
        return self.training.plan()

    def effects(self) -> Effects:
        """What the entries of `paramwise_cfg` do that may well do nothing."""
        return effects_of(self.training, self.plan)

    def schedule(self, length: Length) -> Schedule:
        """The lr of every layer over the whole training.

        Raises:
            LldtoolError: there is none to be had, or the training's length is not known.
        """
        return schedule_of(self.training, self.plan, length)

    def edited(self, edits: Sequence[Edit]) -> Examination | None:
        """The config with these edits; None where they are to what can't be changed.

        An edited model is built anew.

        Raises:
            LldtoolError: it can't be built.
        """
        config = self.training.config
        parts = {
            key: copy.deepcopy(config.get(key, None)) for key in {edit.path[0] for edit in edits}
        }
        if not parts.keys() <= set(_CHANGEABLE):
            return None
        for edit in edits:
            edit.apply_to(parts)
        training = replace(self.training, is_trial=True)
        if "model" in parts:
            training = training.with_model(parts.pop("model"))
        config = copy.copy(training.config)
        for key, value in parts.items():
            config[key] = value
        return Examination(replace(training, config=config))


def examine(request: Request, use: Callable[[Examination], Result]) -> Result:
    """What a function makes of a config, while it is about to be trained.

    Raises:
        LldtoolError: the config or its model does not work; and what the function raises.
    """
    return run(partial(_examine, use), request)


def examine_noting_files(
    request: Request, use: Callable[[Examination], Result]
) -> tuple[Result, frozenset[Path]]:
    """The same, and the files of the user's own that were read for it; an error has them too."""
    return run(partial(noting_files, partial(_examine, use)), request)


def _examine(use: Callable[[Examination], Result], request: Request) -> Result:
    with start_of_training(request) as training:
        return use(Examination(training))

"""A training and edits of its config -> the training of the edited config."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lldtool.config.edit import Edit
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training

#: The parts of a config that can be changed.
_CHANGEABLE = {"model", "optim_wrapper", "param_scheduler", "train_cfg", "auto_scale_lr"}


def edited_training(training: Training, edits: Sequence[Edit]) -> Training:
    """Return the training with these edits of its config; an edited model is built anew.

    Raises:
        LldtoolError: an edit is of something that can't be changed, or the model can't be built.
    """
    names = {edit.path[0] for edit in edits}
    if not names <= _CHANGEABLE:
        raise LldtoolError(f"can't change {', '.join(sorted(names - _CHANGEABLE))} in a trial")
    parts = {name: copy.deepcopy(training.config.get(name, None)) for name in names}
    for edit in edits:
        edit.apply_to(parts)
    edited = replace(training, is_trial=True)
    if "model" in parts:
        edited = edited.with_model(parts.pop("model"))
    config = copy.copy(edited.config)
    for name in names - {"model"}:
        config[name] = parts.get(name)
    return replace(edited, config=config)

"""What of a config's changes a resumed training goes by: each is taken back, and resumed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lldtool.analysis.entry_changes import differing
from lldtool.analysis.resume import Change, groups_in
from lldtool.checkpoint import Checkpoint
from lldtool.checkpoint.training_config import UNREADABLE, dumped_entries
from lldtool.config.edit import Edit
from lldtool.dryrun.edited_training import edited_training
from lldtool.dryrun.resuming import Resumed, resumed
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training

#: The entries of a config that say what a training does to its settings; of some, which.
_PARTS = ("optim_wrapper", "param_scheduler", "train_cfg", "auto_scale_lr")
_OF_TRAIN_CFG = {"type", "by_epoch", "max_epochs", "max_iters"}
#: More lrs than this are not stepped to tell whether a change has an effect.
_MOST_LRS = 2_000_000
#: What a checkpoint without a config tells: entries of its param groups.
_NO_OPTIONS = {"params", "lr", "initial_lr", "type"}


def changes_of(training: Training, checkpoint: Checkpoint, found: Resumed) -> tuple[Change, ...]:
    """Return the changes of a config since a checkpoint was saved.

    Args:
        training: of the config.
        checkpoint: that it is resumed from.
        found: what it is resumed with.
    """
    return tuple(
        Change(path, old, new, _has_effect(training, checkpoint, found, Edit(path, old)))
        for path, old, new in _differing(training, checkpoint)
    )


def _differing(
    training: Training, checkpoint: Checkpoint
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    new = training.config.to_dict()
    old = dumped_entries(checkpoint)
    if not isinstance(old.get("optim_wrapper"), dict):
        yield from _differing_from_groups(new, checkpoint)
        return
    for part in _PARTS:
        if old.get(part) is UNREADABLE or _listed(old.get(part)) == _listed(new.get(part)):
            continue
        a, b = ({part: one[part]} if part in one else {} for one in (old, new))
        for path, before, now in differing(a, b):
            if path[0] != "train_cfg" or path[-1] in _OF_TRAIN_CFG:
                yield path, before, now


def _listed(entry: Any) -> Any:
    """Return the entry; of a single scheduler the list that it may be given in."""
    return [entry] if isinstance(entry, dict) and "type" in entry else entry


def _differing_from_groups(
    new: Mapping[str, Any], checkpoint: Checkpoint
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield what differs from the base settings that a checkpoint without a config has."""
    content = checkpoint.entry("optimizer")
    base = content.get("base_param_settings") if isinstance(content, Mapping) else None
    groups = groups_in(content).get("", [])
    if not isinstance(base, Mapping):
        base = groups[0] if len(groups) == 1 else {}
    optimizer = new["optim_wrapper"].get("optimizer")
    for key, value in optimizer.items() if isinstance(optimizer, dict) else ():
        old = base.get(f"initial_{key}", None if key in _NO_OPTIONS else base.get(key))
        if old is not None:
            yield from differing({key: old}, {key: value}, ("optim_wrapper", "optimizer"))


def _has_effect(training: Training, checkpoint: Checkpoint, found: Resumed, undoing: Edit) -> bool:
    """Return whether the training goes on in another way without the change."""
    is_small = found.loop.steps * len(found.groups) <= _MOST_LRS
    try:
        edited = edited_training(training, [undoing])
        other = resumed(edited, checkpoint, steps=False)
        if found.goes_on_as(other):
            return False
        if is_small and found.made is not None:
            return not found.goes_on_as(resumed(edited, checkpoint))
    except LldtoolError:  # the old entry goes with others
        return True
    return True

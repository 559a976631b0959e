"""A training's schedulers -> the settings of its parameters in a later step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lldtool.dryrun.stepping import Stepped, stepped
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter, Step
from lldtool.text import plural

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training


def at_step(
    training: Training, parameters: Sequence[Parameter], step: Step
) -> tuple[Parameter, ...]:
    """Return the parameters with the lr and weight decay that they have after some steps.

    The real schedulers are stepped, so the numbers are those of training bit for bit.

    Args:
        training: whose schedulers are stepped.
        parameters: in its param groups, as they are before the first step.
        step: how far the training is.

    Raises:
        LldtoolError: the training is shorter, its length is not known, or a scheduler raises.
    """
    made = stepped(training)
    done = _steps_done(made, step)
    settings = [
        {track.setting: (*track.values[done : done + 1], track.end)[0] for track in tracks}
        for tracks in made.tracks
    ]
    return tuple(_with_settings(p, settings[p.group]) for p in parameters)


def _steps_done(made: Stepped, step: Step) -> int:
    """Return how many steps of the loop are done; of epochs of another length, as many epochs.

    Raises:
        LldtoolError: the training has fewer.
    """
    loop, done = made.loop, step.iteration
    if loop.epochs is not None:
        length = loop.epoch_length or 1
        if loop.unit == "epoch":
            done = step.epoch
        elif loop.is_assumed or done // length != step.epoch:
            done = step.epoch * length
    if done > loop.steps:
        length_of_training = plural(loop.steps, loop.unit)
        raise LldtoolError(f"the training has {length_of_training}, fewer than {done:,}")
    return done


def _with_settings(p: Parameter, settings: Mapping[str, float]) -> Parameter:
    lr = None if p.lr is None else settings.get("lr", p.lr)
    decay = None if p.weight_decay is None else settings.get("weight_decay", p.weight_decay)
    return replace(p, lr=lr, weight_decay=decay)

"""A checkpoint's train loop and scheduler states -> the schedule of its plan, without curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lldtool.checkpoint.contents import Checkpoint
from lldtool.plan import Schedule

#: What a scheduler's state has beside its options. Source: mmengine's `_ParamScheduler`.
_POSITION = {
    "base_values", "last_step", "_global_step", "_last_value", "verbose", "total_iters"
}  # fmt: skip
_NO_CURVES = "the lr curves, which a dry run of its config tells"


def schedule_in(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Schedule | None:
    """Return the schedule; None where the length of the training is not known.

    A scheduler's state does not name its class: that is from the config, by its position.

    Args:
        checkpoint: with the states of its schedulers.
        config: the checkpoint's own.
    """
    train = config.get("train_cfg")
    if not isinstance(train, Mapping):
        return None
    by_epoch = train.get("by_epoch", "max_iters" not in train)
    length = train.get("max_epochs" if by_epoch else "max_iters")
    if type(length) is not int or length < 1:
        return None
    states, configured = checkpoint.entry("param_schedulers"), config.get("param_scheduler")
    return Schedule(
        by="epoch" if by_epoch else "iteration",
        length=length,
        epoch_length=checkpoint.epoch_length if by_epoch else None,
        epoch_length_from="the checkpoint" if by_epoch and checkpoint.epoch_length else None,
        schedulers=tuple(_schedulers(states, configured)),
        unknown=(_NO_CURVES,),
        exact=False,
    )


def _schedulers(states: Any, configured: Any) -> Iterator[dict[str, Any]]:
    if isinstance(states, Mapping):
        for key, own in states.items():
            of_key = configured.get(key) if isinstance(configured, Mapping) else None
            for options in _schedulers(own, of_key):
                yield {**options, "optimizer": str(key)}
        return
    kinds = configured if isinstance(configured, (list, tuple)) else [configured]
    for number, state in enumerate(states if isinstance(states, (list, tuple)) else ()):
        if isinstance(state, Mapping):
            of_position = kinds[number] if len(kinds) == len(states) else None
            kind = of_position.get("type") if isinstance(of_position, Mapping) else None
            yield {"type": str(kind or "scheduler"), **_options(state)}


def _options(state: Mapping[str, Any]) -> dict[str, Any]:
    found = {str(key): value for key, value in state.items() if key not in _POSITION}
    milestones = found.get("milestones")
    if isinstance(milestones, Mapping):  # a Counter: milestone -> how often
        found["milestones"] = _repeated(milestones)
    simple = (bool, int, float, str, list, type(None))
    return {key: value for key, value in found.items() if isinstance(value, simple)}


def _repeated(milestones: Mapping[Any, Any]) -> Sequence[Any]:
    return [m for m, number in milestones.items() for _ in range(min(int(number), 1000))]

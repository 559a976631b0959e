"""A config and a checkpoint -> what the resumed training has in its optimizer, and how it goes on.

mmengine's own `Runner.resume` runs, on a runner with nothing but an optimizer and schedulers, and
with tensors without values in the place of the checkpoint's.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lldtool.analysis.resume import groups_in
from lldtool.checkpoint import Checkpoint, OpaqueValue, TensorInfo, read_checkpoint
from lldtool.dryrun import Progress
from lldtool.dryrun.auto_scaling import auto_scale
from lldtool.dryrun.constructor_errors import constructor_error
from lldtool.dryrun.first_step import first_step_failure, tensors_without_values, valueless
from lldtool.dryrun.isolation import silenced
from lldtool.dryrun.loading import find_file
from lldtool.dryrun.optimizers import Built, build_optimizers
from lldtool.dryrun.param_groups import plain
from lldtool.dryrun.param_schedulers import build_schedulers, schedulers_of_each
from lldtool.dryrun.process_copy import CopyFailedError
from lldtool.dryrun.registries import describe
from lldtool.dryrun.resumed_steps import stepped_to_end
from lldtool.dryrun.runners import build_of
from lldtool.dryrun.stepping import Stepped, unseen
from lldtool.dryrun.train_loop import TrainLoop, needs_epoch_length, train_loop
from lldtool.dryrun.uninitialised import ValuesNeeded
from lldtool.errors import LldtoolError, ResumeError, translated
from lldtool.plan import Step
from lldtool.text import quoted

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training


@dataclass(frozen=True)
class Resumed:
    """What a training goes on with once it is resumed.

    Attributes:
        step: how far it is.
        groups: the entries of each param group, by `Parameter.group`, without its parameters.
        base: those of the group that mmengine keeps for the base lr, by the name of its optimizer.
        schedulers: the class and the state of each scheduler, by the name of its optimizer.
        options: of the optimizers and their wrappers, which are the config's.
        made: what the schedulers do until the end; None where that is not known.
        no_curves: why it is not known.
        loop: the rest of the training.
        notes: on what is not known for sure.
    """

    step: Step
    groups: tuple[dict[str, Any], ...]
    base: dict[str, dict[str, Any]]
    schedulers: dict[str, list[tuple[str, dict[str, Any]]]]
    options: dict[str, Any]
    loop: TrainLoop
    notes: tuple[str, ...] = ()
    made: Stepped | None = None
    no_curves: LldtoolError | None = None

    def goes_on_as(self, other: Resumed) -> bool:
        """Whether the training takes the same steps, to the last bit."""
        rest = (self.loop.unit, self.loop.steps, self.loop.is_stepped, self.options)
        if rest != (other.loop.unit, other.loop.steps, other.loop.is_stepped, other.options):
            return False
        if repr(self.groups) != repr(other.groups):
            return False
        if repr(self.schedulers) == repr(other.schedulers):
            return True
        if self.made is None or other.made is None:
            return False
        both = ([[t.shape for t in own] for own in made.tracks] for made in (self.made, other.made))
        return next(both) == next(both)


def checkpoint_of(training: Training) -> Checkpoint:
    """Read the checkpoint that a training is resumed from.

    Raises:
        LldtoolError: it can't be read.
    """
    name = training.request.resume
    assert name is not None
    path = find_file(name, training.request.checkout)
    if path is None:
        raise LldtoolError(f"{name}: there is no such file")
    return read_checkpoint(path, name)


def resumed(
    training: Training, checkpoint: Checkpoint, progress: Progress = unseen, *, steps: bool = True
) -> Resumed:
    """Resume a training from a checkpoint, and step its schedulers from there to the end.

    Args:
        training: of the config.
        checkpoint: as it was read.
        progress: shows how many of the steps are done.
        steps: step the schedulers.

    Raises:
        ResumeError: the training fails when it is resumed, or at its first step.
        LldtoolError: the length of the training is not known, or it can't be followed.
    """

    def resume() -> tuple[Resumed, str | None]:
        with training.uninitialised.watching():
            found = _resumed(training, checkpoint, progress, steps=steps)
        return found, training.uninitialised.first

    try:
        found, read_value = training.run_isolated(resume)
    except CopyFailedError as error:
        raise LldtoolError("the constructor ended the process") from error
    if read_value is not None:
        raise ValuesNeeded(read_value)
    return found


def with_epoch_length(training: Training, checkpoint: Checkpoint) -> Training:
    """Return the training with epochs as long as those of the checkpoint, where nothing says it.

    Raises:
        LldtoolError: the length of the training is not known.
    """
    request = training.request
    if train_loop(training.config, request).epoch_length is not None:
        return training
    length = request.length.in_checkpoint(checkpoint.epoch_length)
    return replace(training, request=replace(request, length=length))


def _resumed(
    training: Training, checkpoint: Checkpoint, progress: Progress, *, steps: bool
) -> Resumed:
    config, request = training.config, training.request
    described = config.optim_wrapper
    with silenced(), translated(lambda error: constructor_error(error, described, request.name)):
        built = build_optimizers(training.model, described, build_of(config))
    configured = schedulers_of_each(config.get("param_scheduler", None), built.wrappers)
    loop = train_loop(config, request)
    if loop.for_stepping([one for own in configured.values() for one in own]).is_assumed:
        raise needs_epoch_length("a scheduler")
    ratio, _ = auto_scale(config, request)
    for wrapper in built.wrappers.values():
        for group in wrapper.optimizer.param_groups:
            if "lr" in group:
                group["lr"] *= ratio
    with warnings.catch_warnings(), tensors_without_values(built):
        warnings.simplefilter("ignore")
        schedulers = {
            name: build_schedulers(wrapper, configured[name], loop)
            for name, wrapper in built.wrappers.items()
        }
        fresh = {name: list(w.optimizer.param_groups) for name, w in built.wrappers.items()}
        with silenced():
            step, notes = _resume(training, checkpoint, built, schedulers)
        for name, wrapper in built.wrappers.items():
            if failure := first_step_failure(wrapper.optimizer, fresh[name]):
                raise ResumeError(f"training fails at its first step: {failure}")
    _require_followed(loop, schedulers)
    loop = loop.after(step.epoch, step.iteration)
    found = Resumed(
        step=step,
        groups=tuple(
            _entries(group) for w in built.wrappers.values() for group in w.optimizer.param_groups
        ),
        schedulers={
            name: [(type(one).__name__, _state(one)) for one in own]
            for name, own in schedulers.items()
        },
        base={
            name: _entries(base if isinstance(base := w.base_param_settings, Mapping) else {})
            for name, w in built.wrappers.items()
        },
        options={
            "types": [
                f"{type(w).__name__} {type(w.optimizer).__name__}" for w in built.wrappers.values()
            ],
            **plain(built.wrapper_options),
        },
        loop=loop,
        notes=notes,
    )
    if not steps:
        return found
    try:
        return replace(found, made=stepped_to_end(config, built, schedulers, loop, progress))
    except LldtoolError as error:
        return replace(found, no_curves=error)


def _require_followed(loop: TrainLoop, schedulers: Mapping[str, list[Any]]) -> None:
    """Refuse to step schedulers that go by iterations, as in the checkpoint, without knowing these.

    Raises:
        LldtoolError: there is one.
    """
    for scheduler in (one for own in schedulers.values() for one in own):
        if loop.unit == "epoch" and not scheduler.by_epoch:
            raise needs_epoch_length(type(scheduler).__name__)


def _entries(group: Mapping[str, Any]) -> dict[str, Any]:
    entries: dict[str, Any] = plain({key: group[key] for key in group if key != "params"})
    return entries


def _state(scheduler: Any) -> dict[str, Any]:
    """Return what a scheduler goes by; `verbose` makes it no other one."""
    state = {k: v for k, v in vars(scheduler).items() if k not in ("optimizer", "verbose")}
    found: dict[str, Any] = plain(state)
    return found


def _resume(
    training: Training,
    checkpoint: Checkpoint,
    built: Built,
    schedulers: Mapping[str, list[Any]],
) -> tuple[Step, tuple[str, ...]]:
    """Run `Runner.resume` on the optimizer and the schedulers.

    Returns:
        The step that it comes to, and notes.

    Raises:
        ResumeError: it raises.
    """
    from mmengine.runner import Runner

    own: Any = dict(schedulers) if "" not in schedulers else schedulers[""]
    is_none = training.config.get("param_scheduler", None) is None
    loop = SimpleNamespace(_epoch=0, _iter=0)
    _require_values(checkpoint)
    unread: list[str] = []

    def load(*_: Any, **__: Any) -> Any:
        content = valueless(checkpoint.content)
        if isinstance(content, dict) and isinstance(content.get("meta"), dict):
            content["meta"].pop("config", None)  # which mmengine would execute
        unread.extend(_take_out_code(content))
        return content

    runner: Any = SimpleNamespace(
        load_checkpoint=load,
        train_loop=loop,
        auto_scale_lr=training.config.get("auto_scale_lr", None),
        logger=logging.getLogger(__name__),
        train_dataloader=SimpleNamespace(dataset=None),
        message_hub=SimpleNamespace(load_state_dict=lambda _: None),
        optim_wrapper=built.wrapper,
        param_schedulers=None if is_none else own,
        build_optim_wrapper=lambda wrapper: wrapper,
        build_param_scheduler=lambda schedulers: schedulers,
        set_randomness=lambda **_: None,
        epoch=0,
        iter=0,
        _randomness_cfg={},
        _world_size=training.request.world_size or 1,
    )
    try:
        Runner.resume(runner, checkpoint.name, map_location="cpu")
    except Exception as error:
        if isinstance(error, AttributeError) and error.obj is runner:  # of another mmengine
            text = f"Runner.resume needs {error.name!r} of a runner, so it can't be followed"
            raise LldtoolError(text) from error
        raise ResumeError(f"training fails when it is resumed, with {describe(error)}") from error
    epoch, iteration = loop._epoch, loop._iter
    if not all(isinstance(n, int) and n >= 0 for n in (epoch, iteration)):
        raise ResumeError(f"its meta says epoch {quoted(epoch)}, iter {quoted(iteration)}")
    return Step(epoch, iteration), tuple(unread)


def _require_values(checkpoint: Checkpoint) -> None:
    """Refuse lrs that are tensors, whose values are not read.

    Raises:
        LldtoolError: there is one.
    """
    for groups in groups_in(checkpoint.entry("optimizer")).values():
        if any(isinstance(group.get("lr"), (TensorInfo, OpaqueValue)) for group in groups):
            raise LldtoolError("the lr in the checkpoint is a tensor, whose value is not read")


def _take_out_code(content: Any) -> Iterator[str]:
    """Leave schedulers what their states have as code, which is not read; yield notes on it."""
    saved = content.get("param_schedulers") if isinstance(content, dict) else None
    several = list(saved.values()) if isinstance(saved, dict) else [saved]
    states = [state for own in several if isinstance(own, list) for state in own]
    for state in (state for state in states if isinstance(state, dict)):
        for key in [key for key, value in state.items() if isinstance(value, OpaqueValue)]:
            del state[key]
            yield f"{key} of a scheduler is code in the checkpoint: that of the config is taken"

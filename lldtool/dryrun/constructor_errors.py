"""What a constructor raised -> the error in the terms of the user's config."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from lldtool.dryrun.culprits import culprit_of
from lldtool.dryrun.isolation import silenced
from lldtool.dryrun.missing_resources import missing_resource
from lldtool.dryrun.optimizers import build_optimizers
from lldtool.dryrun.options_read import WatchedOptions
from lldtool.dryrun.registries import (
    describe,
    registered_names,
    type_name,
    unknown_name,
    unknown_type,
)
from lldtool.dryrun.runners import build_of
from lldtool.errors import ConstructorError, Culprit, LldtoolError, text_of

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training

_CRASH = "training fails at startup"


def construction_error(
    training: Training, error: BaseException, wrapper: Any, watched: WatchedOptions | None
) -> LldtoolError:
    """The error for what a training's constructor raised, with the entry to blame if it is found.

    Args:
        training: whose constructor was run.
        error: what it raised.
        wrapper: the `optim_wrapper` that it was run with, the config's own or one to try.
        watched: which options it looked for, where that was watched.
    """
    name = training.request.name
    known = _known_error(error, wrapper, name)
    if known is not None:
        return known
    if wrapper is not training.config.optim_wrapper:
        return _unknown_error(error, wrapper, name, None)
    build = build_of(training.config)

    def raised(altered: Any, watched: WatchedOptions | None = None) -> Exception | None:
        try:
            with silenced():
                build_optimizers(training.model, altered, build, watched)
        except Exception as another:
            return another
        return None

    if watched is None:
        watched = WatchedOptions()
        raised(wrapper, watched)
    suffix = training.request.path.suffix
    culprit = culprit_of(error, wrapper, watched.read or (), raised, suffix)
    return _unknown_error(error, wrapper, name, culprit)


def constructor_error(error: BaseException, wrapper: Any, name: str) -> LldtoolError:
    """The error for what the constructor of this `optim_wrapper` raised; `name` is the config's."""
    return _known_error(error, wrapper, name) or _unknown_error(error, wrapper, name, None)


def _unknown_error(
    error: BaseException, wrapper: Any, name: str, culprit: Culprit | None
) -> ConstructorError:
    who = _constructor(wrapper) if culprit is None else culprit.problem
    text = f"{who}: {_CRASH} with {describe(error)}"
    return ConstructorError(text, config=name, certain=culprit is not None, culprit=culprit)


def _constructor(wrapper: Any) -> str:
    return type_name(wrapper.get("constructor", "DefaultOptimWrapperConstructor"))


def _known_error(error: BaseException, wrapper: Any, name: str) -> LldtoolError | None:
    """The error where the exception itself tells what is wrong; else None."""
    optimizer = wrapper.get("optimizer", None)
    optimizer = optimizer if isinstance(optimizer, dict) else {}
    constructor, text, what = _constructor(wrapper), text_of(error), describe(error)
    lacking = missing_resource(error)
    if lacking is not None:
        return LldtoolError(f"{constructor} {lacking}: {what}", config=name, certain=False)
    undecayed = optimizer.get("weight_decay", None) is None
    if undecayed and (
        (isinstance(error, KeyError) and "weight_decay" in text) or "base_wd" in text
    ):
        return ConstructorError(
            f"optim_wrapper.optimizer has no weight_decay: {_CRASH} with {what}",
            config=name,
            hint="set weight_decay, to 0 for none",
        )
    no_lr = optimizer.get("lr", None) is None and ("NoneType" in text or "'lr'" in text)
    if isinstance(error, TypeError) and no_lr and "unexpected" not in text:
        return ConstructorError(
            f"optim_wrapper.optimizer has no lr: {_CRASH} with {what}", config=name, hint="set lr"
        )
    in_depth = any(
        frame.name == "get_layer_depth" for frame in traceback.extract_tb(error.__traceback__)
    )
    if isinstance(error, NotImplementedError) and ("get_layer_depth" in text or in_depth):
        return ConstructorError(
            f"{constructor} needs get_layer_depth of the model or its backbone: {what}", config=name
        )
    if "empty parameter list" in text:
        text = f"every parameter is frozen: {_CRASH} with {what}"
        return ConstructorError(text, config=name, kind="nothing-trainable")
    if "more than one parameter group" in text:
        text = f"a parameter is in two groups: {_CRASH} with {what}"
        return ConstructorError(text, config=name, kind="parameter-in-two-groups")
    kind = optimizer.get("type", None)
    if isinstance(kind, str) and "." not in kind and kind not in registered_names():
        return unknown_name(kind, " of optimizer", name)
    return unknown_type(error, name)

"""Checkpoints that a model loads while it is built: one that is not here is not needed either."""

from __future__ import annotations

import contextlib
import io
import sys
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lldtool.dryrun.isolation import NetworkBlockedError, blocked_hosts, silenced
from lldtool.dryrun.patching import patched
from lldtool.dryrun.registries import chain
from lldtool.text import quoted


class _Missing(dict[str, Any]):
    """What mmengine's loader returns for a checkpoint that is not here: no weights."""

    def __init__(self) -> None:
        super().__init__(state_dict=OrderedDict())


class _Mute:
    """The module `sys` for a module whose prints are dropped."""

    def __init__(self) -> None:
        self.stdout = self.stderr = io.StringIO()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


@dataclass(frozen=True)
class Checkpoints:
    """The names of the checkpoints that a model loads while it is built."""

    found: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@contextlib.contextmanager
def missing_allowed(*, allow_network: bool) -> Iterator[Checkpoints]:
    """Let a model be built without the checkpoints that are not here, and list their names.

    No setting of an optimizer depends on a weight. A checkpoint that is here is loaded, as code may
    read more than weights from it. An error of code that needs what is missing gets that as cause.

    Args:
        allow_network: show what loaders print, as the progress of a download.
    """
    import torch
    from mmengine.runner import checkpoint as module

    asked = Checkpoints()
    missing: dict[str, Exception] = {}
    quietly = contextlib.nullcontext if allow_network else silenced
    load = module.CheckpointLoader.load_checkpoint
    # Private: in an mmengine without them no weights are loaded all the same, or that is an error.
    into_model = getattr(module, "_load_checkpoint_to_model", None)
    with_prefix = getattr(module, "_load_checkpoint_with_prefix", None)

    def load_or_nothing(filename: str, *args: Any, **kwargs: Any) -> Any:
        hosts = len(blocked_hosts())
        try:
            with quietly():
                content = load(filename, *args, **kwargs)
            asked.found.append(str(filename))
            return content
        except Exception as error:
            if not any(
                isinstance(e, (FileNotFoundError, NetworkBlockedError)) for e in chain(error)
            ):
                raise
            missing.setdefault(str(filename), error)
            del blocked_hosts()[hosts:]
            return _Missing()

    def load_into_model(model: Any, checkpoint: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(checkpoint, _Missing):
            return checkpoint
        assert into_model is not None
        return into_model(model, checkpoint, *args, **kwargs)

    def load_with_prefix(prefix: str, filename: str, *args: Any, **kwargs: Any) -> Any:
        assert with_prefix is not None
        try:
            return with_prefix(prefix, filename, *args, **kwargs)
        except AssertionError:  # mmengine's, on a checkpoint without any such weight
            if str(filename) not in missing:
                raise
            return {}

    replaced = {
        "_load_checkpoint_to_model": into_model and load_into_model,
        "_load_checkpoint_with_prefix": with_prefix and load_with_prefix,
    }
    with (
        patched(module.CheckpointLoader, load_checkpoint=load_or_nothing),
        patched(module, **{name: load for name, load in replaced.items() if load is not None}),
        # It says "Downloading" before it tries to.
        patched(torch.hub, sys=sys if allow_network else _Mute()),
    ):
        try:
            yield asked
        except Exception as error:
            cause = next(iter(missing.values()), None)
            *_, first = chain(error)
            if cause is not None and first not in chain(cause):
                first.__cause__ = cause
            raise
        asked.missing.extend(missing)


def missing_note(checkpoint: str) -> str:
    """The note of a plan on a checkpoint that was not loaded."""
    return (
        f"the model loads {quoted(checkpoint)} while it is built, and there is no such checkpoint "
        "here: nothing was loaded, and no setting depends on it"
    )

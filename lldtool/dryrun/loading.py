"""Load a config's checkpoints as training does, into a model whose tensors are never written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from lldtool.checkpoint import Checkpoint, TensorInfo, read_checkpoint
from lldtool.config.request import Checkout
from lldtool.dryrun.checkpoints import missing_allowed
from lldtool.dryrun.dataset_classes import names_of
from lldtool.dryrun.model_building import build_model
from lldtool.dryrun.origins import TracedTensors
from lldtool.dryrun.patching import patched
from lldtool.dryrun.refusals import refusal_note
from lldtool.dryrun.registries import describe
from lldtool.errors import LldtoolError
from lldtool.text import quoted

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training

#: Entries of a checkpoint that are not weights.
_NO_WEIGHTS = {"meta", "optimizer", "param_schedulers", "message_hub"}


class UnreadableError(Exception):
    """A checkpoint that the config names can't be read; the cause says why."""


@dataclass(frozen=True)
class Load:
    """A request for a checkpoint.

    `module` is the module to load it into, None if unknown. `state_dict` has the weights, and is
    None if the file does not exist; `classes` are those that it was trained for, if it says so.
    """

    checkpoint: str
    by: Literal["load_from", "init_cfg"] = "init_cfg"
    module: Any = None
    prefix: str | None = None
    state_dict: Mapping[str, Any] | None = None
    classes: tuple[str, ...] | None = None


class Loading:
    """Answers the loading code's requests for checkpoints, and records what it does with them."""

    def __init__(self, checkout: Checkout | None) -> None:
        #: The current step, for error messages.
        self.step = "building the model"
        self.notes: list[str] = []
        self._checkout = checkout
        self.traced = TracedTensors()
        self._asked: Load | None = None
        self.loads: list[Load] = []
        self._read: dict[Path, Checkpoint] = {}
        #: The origins of checkpoint tensors that match a tensor of the model.
        self.matched: set[Any] = set()
        #: id of a tensor of the model -> the origins of its value in the checkpoint.
        self._offered: dict[int, frozenset[Any]] = {}
        #: Module, name of its tensor, and the different shape of that in a checkpoint.
        self.mismatched: list[tuple[Any, str, tuple[int, ...]]] = []

    def load(self, training: Training, load_from: str | None) -> Any:
        """Return a new model, initialised and with `load_from` loaded as `Runner.train` does."""
        from mmengine.runner import Runner

        with self._observed():
            # Weights that the model loads while it is built are overwritten later.
            model, _ = build_model(training.config, replace(training.request, initialised=False))
            self.traced.hold(tensor for _, tensor in tensors_of(model))
            if hasattr(model, "init_weights") and any(declared(model)):
                self.step = "init_weights"
                model.init_weights()
            if load_from:
                self.step = f"loading {quoted(load_from)}"
                self._asked = Load(load_from, "load_from", model)
                if find_file(load_from, self._checkout) is None:
                    self.loads.append(self._asked)
                    return model
                runner: Any = SimpleNamespace(
                    model=model,
                    call_hook=lambda *_, **__: None,
                    logger=SimpleNamespace(info=lambda *_: None),
                )
                Runner.load_checkpoint(runner, load_from)
        return model

    @contextlib.contextmanager
    def _observed(self) -> Iterator[None]:
        """Replace checkpoints by zeros while the code inside runs, and trace these."""
        import torch
        from mmengine.model import PretrainedInit
        from mmengine.runner.checkpoint import CheckpointLoader
        from torch import nn

        initialise = PretrainedInit.__call__
        # Private, but mmengine calls it too.
        load_own: Callable[..., Any] = nn.Module._load_from_state_dict

        def pretrained(this: Any, module: Any) -> None:
            self._asked = Load(this.checkpoint, "init_cfg", module, this.prefix)
            try:
                initialise(this, module)
            except AssertionError as error:  # from mmengine, if no tensor has the prefix
                raise self._prefix_error(this, module, error) from error
            self._asked = None

        def into_module(module: Any, state_dict: Any, prefix: str, *args: Any, **kw: Any) -> None:
            self._before(module, state_dict, prefix)
            load_own(module, state_dict, prefix, *args, **kw)
            self._after(module, state_dict, prefix)

        def load(filename: Any, *_: Any, **__: Any) -> Any:
            return self._answer(os.fspath(filename))

        with (
            patched(CheckpointLoader, load_checkpoint=load),
            patched(torch, load=load),
            missing_allowed(allow_network=False),
            patched(PretrainedInit, __call__=pretrained),
            patched(nn.Module, _load_from_state_dict=into_module),
            self.traced.tracing(),
        ):
            yield

    def _answer(self, name: str) -> Any:
        """Return the content of a checkpoint, with traced tensors.

        Raises:
            FileNotFoundError: the file does not exist.
            UnreadableError: it can't be read.
        """
        asked = self._asked or Load(name)
        path = find_file(name, self._checkout)
        if path is None:
            self.loads.append(asked)
            raise FileNotFoundError(name)
        if path not in self._read:
            self._read[path] = self._read_file(path, name)
        content = self._traceable(self._read[path].content, len(self.loads))
        weights = content.get("state_dict", content) if isinstance(content, dict) else {}
        weights = weights if isinstance(weights, Mapping) else {}
        # Copies, as the loading code may rename keys in the dicts that it gets.
        kept = {k: dict(v) if isinstance(v, Mapping) else v for k, v in weights.items()}
        data = self._read[path].meta.get("dataset_meta")
        classes = names_of(data.get("classes")) if isinstance(data, Mapping) else None
        self.loads.append(replace(asked, state_dict=kept, classes=classes))
        return content

    def _read_file(self, path: Path, name: str) -> Checkpoint:
        """Read a checkpoint, and add a note if torch would refuse it.

        Raises:
            UnreadableError: it can't be read.
        """
        try:
            checkpoint = read_checkpoint(path, name)
        except LldtoolError as error:
            raise UnreadableError from error
        if note := refusal_note(checkpoint):
            self.notes.append(note)
        return checkpoint

    def _traceable(self, content: Any, load: int, key: str = "") -> Any:
        """Return an entry of a checkpoint with its tensors replaced by traced ones."""
        import torch

        if isinstance(content, TensorInfo):
            dtype = getattr(torch, content.dtype, None)
            dtype = dtype if isinstance(dtype, torch.dtype) else torch.float32
            return self.traced.source(content.shape, dtype, (load, key))
        if not isinstance(content, dict):
            return content
        copy = type(content)(
            (k, v if k in _NO_WEIGHTS else self._traceable(v, load, str(k)))
            for k, v in content.items()
        )
        for name, value in getattr(content, "__dict__", {}).items():  # `_metadata`: versions
            setattr(copy, name, value)
        return copy

    def _prefix_error(self, init: Any, module: Any, error: Exception) -> LldtoolError:
        keys = (self.loads[-1].state_dict or {}) if self.loads else {}
        first = next(iter(keys), None)
        return LldtoolError(
            f"init_cfg of {type(module).__name__}: training fails at startup with "
            f"{describe(error)}: no tensor of {quoted(init.checkpoint)} has the prefix "
            f"{quoted(init.prefix)}",
            hint=None if first is None else f"its first tensor is {first}",
        )

    def _before(self, module: Any, state_dict: Any, prefix: str) -> None:
        """Record which tensors match one of the module, whether its hooks keep them or not."""
        for name, tensor in tensors_of(module):
            offered = state_dict.get(f"{prefix}{name}")
            if origins := self.traced.origins(offered):
                self._offered[id(tensor)] = origins
                self.matched |= origins

    def _after(self, module: Any, state_dict: Any, prefix: str) -> None:
        """Record which of the module's own tensors have a different shape in the checkpoint.

        A tensor with the right shape may have been resized by a hook, in code outside torch.
        """
        for name, tensor in tensors_of(module, recurse=False):
            offered = state_dict.get(f"{prefix}{name}")
            if offered is None:
                continue
            shape = tuple(getattr(offered, "shape", tensor.shape))
            if shape != tuple(tensor.shape):
                self.mismatched.append((module, name, shape))
            elif self.traced.handed_out and not self.traced.is_traced(offered):
                whence = self._offered.get(id(tensor), self.traced.handed_out)
                self.traced.came_back(tensor, whence)


def find_file(name: str, checkout: Checkout | None) -> Path | None:
    """Return the file with this name, relative to the working directory; None if it does not exist.

    Args:
        name: as mmengine takes it.
        checkout: the checkout if the config is from a git revision; checkpoints that the repository
            ignores are only in the user's own directory.
    """
    path = Path(os.path.expanduser(name))  # noqa: PTH111  # Path.expanduser raises for ~nobody
    here = Path.cwd()
    places = [here / path]
    if checkout is not None and here.is_relative_to(checkout.tree):
        places.append(checkout.top / here.relative_to(checkout.tree) / path)
    with contextlib.suppress(OSError, ValueError):
        return next((place for place in places if place.is_file()), None)
    return None


def declared(model: Any) -> Iterator[tuple[str, str]]:
    """Yield the module name and checkpoint of every `init_cfg` of type `Pretrained`."""
    from mmengine.model import PretrainedInit

    for name, module in model.named_modules():
        init_cfg = getattr(module, "init_cfg", None)
        for one in init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]:
            if isinstance(one, dict) and one.get("type") in ("Pretrained", PretrainedInit):
                yield name, str(one.get("checkpoint"))


def tensors_of(module: Any, *, recurse: bool = True) -> Iterator[tuple[str, Any]]:
    """Yield the names and tensors of the parameters and buffers of a module."""
    yield from module.named_parameters(recurse=recurse)
    yield from module.named_buffers(recurse=recurse)

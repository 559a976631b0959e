"""Which parameters and buffers the checkpoints of a config fill, by training's own loading code.

The code runs on zeros in the shapes of the checkpoint's tensors, and loads them into another model
of the config: hooks and overrides that rename, resize or drop weights do what they do in training.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from lldtool.checkpoint import Checkpoint, TensorInfo, read_checkpoint
from lldtool.config.request import Checkout
from lldtool.dryrun.checkpoints import missing_allowed
from lldtool.dryrun.isolation import silenced
from lldtool.dryrun.model_building import build_model
from lldtool.dryrun.origins import TracedTensors
from lldtool.dryrun.patching import patched
from lldtool.dryrun.registries import describe
from lldtool.errors import LldtoolError
from lldtool.plan import Buffer, Loaded, Parameter, Start, UntrainedParameter
from lldtool.text import quoted

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training

_Tensor = TypeVar("_Tensor", Parameter, UntrainedParameter, Buffer)
#: Entries of a checkpoint that no code takes for weights.
_NO_WEIGHTS = {"meta", "optimizer", "param_schedulers", "message_hub"}


@dataclass(frozen=True)
class Starts:
    """From where each tensor of a model starts.

    `starts` has name -> start, and the shape in the checkpoint of those that are mismatched; names
    that are not there have an unknown start. `loaded` is None where none is known.
    """

    starts: Mapping[str, tuple[Start, tuple[int, ...] | None]] = field(default_factory=dict)
    buffers: tuple[Buffer, ...] = ()
    loaded: tuple[Loaded, ...] | None = ()
    notes: tuple[str, ...] = ()

    def of(self, tensor: _Tensor) -> _Tensor:
        """Return a parameter or buffer of a plan with its start."""
        start, shape = self.starts.get(tensor.name, (None, None))
        return replace(tensor, start=start, checkpoint_shape=shape) if start else tensor


def starts_of(training: Training) -> Starts:
    """Load the checkpoints that a training starts from, in training's order.

    Raises:
        LldtoolError: a checkpoint can't be read, or training fails when it loads one.
    """
    checkout = training.request.checkout
    load_from = training.request.load_from or training.config.get("load_from", None)
    named = [*training.checkpoints.found, *training.checkpoints.missing]
    named += [checkpoint for _, checkpoint in _declared(training.model)]
    named += [str(load_from)] if load_from else []
    absent = [name for name in dict.fromkeys(named) if find_file(name, checkout) is None]
    notes = tuple(map(_absent_note, absent))
    if len(absent) == len(set(named)):
        return Starts(loaded=None if named else (), notes=notes)
    loading = _Loading(checkout)
    try:
        with silenced():
            model = loading.load(training, load_from)
    except LldtoolError:
        raise
    except Exception as error:
        why = f"{loading.step} raised {describe(error)}, so where parameters start is not known"
        return Starts(loaded=None, notes=(*notes, why))
    found = loading.starts(model, is_resumed=bool(training.config.get("resume", False)))
    return replace(found, notes=notes)


def find_file(name: str, checkout: Checkout | None) -> Path | None:
    """Return the file of this name, relative to the working directory; None where there is none.

    Args:
        name: as mmengine takes it.
        checkout: where the working directory is that of a revision; a checkpoint that the
            repository ignores is only in the user's own.
    """
    path = Path(os.path.expanduser(name))  # noqa: PTH111  # Path.expanduser raises for ~nobody
    here = Path.cwd()
    places = [here / path]
    if checkout is not None and here.is_relative_to(checkout.tree):
        places.append(checkout.top / here.relative_to(checkout.tree) / path)
    with contextlib.suppress(OSError, ValueError):
        return next((place for place in places if place.is_file()), None)
    return None


def _declared(model: Any) -> Iterator[tuple[str, str]]:
    """Yield module name -> checkpoint of every `init_cfg` of type `Pretrained`."""
    from mmengine.model import PretrainedInit

    for name, module in model.named_modules():
        init_cfg = getattr(module, "init_cfg", None)
        for one in init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]:
            if isinstance(one, dict) and one.get("type") in ("Pretrained", PretrainedInit):
                yield name, str(one.get("checkpoint"))


@dataclass(frozen=True)
class _Load:
    """A checkpoint that code asked for, and for which module; None where it did not say.

    `state_dict` are its weights, None where there is no such file.
    """

    checkpoint: str
    by: Literal["load_from", "init_cfg"] = "init_cfg"
    module: Any = None
    prefix: str | None = None
    state_dict: Mapping[str, Any] | None = None


class _Loading:
    """Answers the loading code's requests for checkpoints, and sees what becomes of them."""

    def __init__(self, checkout: Checkout | None) -> None:
        self.step = "building the model"
        self._checkout = checkout
        self._traced = TracedTensors()
        self._asked: _Load | None = None
        self._loads: list[_Load] = []
        self._read: dict[Path, Checkpoint] = {}
        #: The origins of tensors of a checkpoint that the model has a tensor for.
        self._matched: set[Any] = set()
        #: id of a tensor of the model -> the origins of what the checkpoint has for it.
        self._offered: dict[int, frozenset[Any]] = {}
        #: Module, name of its tensor, the tensor's shape in a checkpoint that has another one.
        self._mismatched: list[tuple[Any, str, tuple[int, ...]]] = []

    def load(self, training: Training, load_from: str | None) -> Any:
        """Build and initialise a model and load `load_from`, as `Runner.train` does; return it."""
        from mmengine.runner import Runner

        with self._observed():
            # What the model loads while it is built is overwritten by what comes later.
            model, _ = build_model(training.config, replace(training.request, initialised=False))
            self._traced.hold(tensor for _, tensor in _tensors_of(model))
            if hasattr(model, "init_weights") and any(_declared(model)):
                self.step = "init_weights"
                model.init_weights()
            if load_from:
                self.step = f"loading {quoted(load_from)}"
                self._asked = _Load(load_from, "load_from", model)
                if find_file(load_from, self._checkout) is None:
                    self._loads.append(self._asked)
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
        """Give the code inside zeros for checkpoints, and trace them."""
        import torch
        from mmengine.model import PretrainedInit
        from mmengine.runner.checkpoint import CheckpointLoader
        from torch import nn

        initialise = PretrainedInit.__call__
        # mmengine calls it as well, so that it is there.
        load_own: Callable[..., Any] = nn.Module._load_from_state_dict

        def pretrained(this: Any, module: Any) -> None:
            self._asked = _Load(this.checkpoint, "init_cfg", module, this.prefix)
            try:
                initialise(this, module)
            except AssertionError as error:  # mmengine's, of a prefix that no tensor has
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
            self._traced.tracing(),
        ):
            yield

    def _answer(self, name: str) -> Any:
        """Return the content of a checkpoint, with traced tensors.

        Raises:
            FileNotFoundError: there is no such file.
        """
        asked = self._asked or _Load(name)
        path = find_file(name, self._checkout)
        if path is None:
            self._loads.append(asked)
            raise FileNotFoundError(name)
        if path not in self._read:
            self._read[path] = read_checkpoint(path, name)
        content = self._traceable(self._read[path].content, len(self._loads))
        weights = content.get("state_dict", content) if isinstance(content, dict) else {}
        self._loads.append(
            replace(asked, state_dict=weights if isinstance(weights, Mapping) else {})
        )
        return content

    def _traceable(self, content: Any, load: int, key: str = "") -> Any:
        """Return an entry of a checkpoint with traced tensors in the place of its own."""
        import torch

        if isinstance(content, TensorInfo):
            dtype = getattr(torch, content.dtype, None)
            dtype = dtype if isinstance(dtype, torch.dtype) else torch.float32
            return self._traced.source(content.shape, dtype, (load, key))
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
        keys = (self._loads[-1].state_dict or {}) if self._loads else {}
        first = next(iter(keys), None)
        return LldtoolError(
            f"init_cfg of {type(module).__name__}: training fails at startup with "
            f"{describe(error)}: no tensor of {quoted(init.checkpoint)} has the prefix "
            f"{quoted(init.prefix)}",
            hint=None if first is None else f"its first tensor is {first}",
        )

    def _before(self, module: Any, state_dict: Any, prefix: str) -> None:
        """Note which tensors the model has a place for, whether its hooks keep them or not."""
        for name, tensor in _tensors_of(module):
            offered = state_dict.get(f"{prefix}{name}")
            if origins := self._traced.origins(offered):
                self._offered[id(tensor)] = origins
                self._matched |= origins

    def _after(self, module: Any, state_dict: Any, prefix: str) -> None:
        """Note which of the module's own tensors have another shape in the checkpoint.

        A hook may have resized one of the same shape, in code outside torch.
        """
        for name, tensor in _tensors_of(module, recurse=False):
            offered = state_dict.get(f"{prefix}{name}")
            if offered is None:
                continue
            shape = tuple(getattr(offered, "shape", tensor.shape))
            if shape != tuple(tensor.shape):
                self._mismatched.append((module, name, shape))
            elif self._traced.handed_out and not self._traced.is_traced(offered):
                whence = self._offered.get(id(tensor), self._traced.handed_out)
                self._traced.came_back(tensor, whence)

    def starts(self, model: Any, *, is_resumed: bool) -> Starts:
        """Return what became of the checkpoints.

        Args:
            model: that they were loaded into.
            is_resumed: `load_from` is resumed from.
        """
        paths = {id(module): name for name, module in model.named_modules()}
        declared = {checkpoint: name for name, checkpoint in reversed(list(_declared(model)))}
        modules = [
            paths.get(id(load.module), "") if load.module else declared.get(load.checkpoint, "")
            for load in self._loads
        ]
        pairs = zip(modules, self._loads, strict=True)
        unknown = [module for module, load in pairs if load.state_dict is None]
        mismatched = {
            _joined(paths.get(id(m), ""), name): shape for m, name, shape in self._mismatched
        }
        origins = {name: self._traced.origins(tensor) for name, tensor in _tensors_of(model)}
        starts: dict[str, tuple[Start, tuple[int, ...] | None]] = {}
        for name, own in origins.items():
            if own:
                last = self._loads[max(load for load, _ in own)]
                resumed = is_resumed and last.by == "load_from"
                starts[name] = ("resumed" if resumed else "pretrained", None)
            elif not any(name.startswith(_joined(module, "")) for module in unknown):
                shape = mismatched.get(name)
                starts[name] = ("missing" if shape is None else "mismatched", shape)
        buffers = {buffer.name: buffer for buffer in _buffers_of(model)}
        placed = {*self._traced.copied, *self._matched}.union(*origins.values())
        loaded = tuple(
            Loaded(
                load.checkpoint,
                load.by,
                module,
                load.prefix,
                tensors=len(filled.difference(buffers)),
                buffers=len(filled.intersection(buffers)),
                unexpected=tuple(_unexpected(load, {key for n, key in placed if n == number})),
            )
            for number, (module, load) in enumerate(zip(modules, self._loads, strict=True))
            if load.state_dict is not None
            for filled in [{name for name, own in origins.items() if (number in dict(own))}]
        )
        found = Starts(starts, (), loaded)
        return replace(found, buffers=tuple(map(found.of, buffers.values())))


def _unexpected(load: _Load, placed: Iterable[str]) -> Iterator[str]:
    """Yield the keys of tensors without a place; one key for a dict of which none has any."""
    import torch

    prefix = "" if load.prefix is None else f"{load.prefix.removesuffix('.')}."
    for key, value in (load.state_dict or {}).items():
        inner = value if isinstance(value, Mapping) else {key: value}
        names = [str(name) for name, one in inner.items() if isinstance(one, torch.Tensor)]
        names = [name for name in names if name.startswith(prefix)]
        left = [name for name in names if name not in placed]
        yield from [str(key)] if left and left == names else left


def _buffers_of(model: Any) -> Iterator[Buffer]:
    """Yield the buffers that are saved and loaded."""
    skipped = {
        _joined(path, name)
        for path, module in model.named_modules()
        for name in getattr(module, "_non_persistent_buffers_set", ())  # as mmengine saves
    }
    for name, b in model.named_buffers():
        if name not in skipped:
            yield Buffer(name, tuple(b.shape), b.numel(), str(b.dtype).removeprefix("torch."))


def _tensors_of(module: Any, *, recurse: bool = True) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters(recurse=recurse)
    yield from module.named_buffers(recurse=recurse)


def _joined(module: str, name: str) -> str:
    return f"{module}.{name}" if module else name


def _absent_note(name: str) -> str:
    return (
        f"training starts from {quoted(name)}, which is not a file here: where the parameters "
        "that it may fill start is not known"
    )

"""Which parameters and buffers the checkpoints of a config fill, by training's own loading code.

The code runs on zeros in the shapes of the checkpoint's tensors, in a copy of the process: hooks
and overrides that rename, resize or drop weights do what they do in training.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from lldtool.checkpoint import Checkpoint, TensorInfo, read_checkpoint
from lldtool.config.request import Checkout
from lldtool.dryrun.checkpoints import missing_allowed
from lldtool.dryrun.isolation import silenced
from lldtool.dryrun.origins import TracedTensors
from lldtool.dryrun.patching import patched
from lldtool.dryrun.process_copy import CopyFailedError, can_copy, in_copy
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
    """Load the checkpoints that a training starts from into its model, in training's order.

    Raises:
        LldtoolError: a checkpoint can't be read, or training fails when it loads one.
    """
    request = training.request
    load_from = request.load_from or training.config.get("load_from", None)
    named = [checkpoint for _, checkpoint in _pretrained(training.model)]
    named += [load_from] if load_from else []
    if not named:
        return Starts()
    absent = [name for name in dict.fromkeys(named) if not find_file(name, request.checkout)]
    notes = tuple(map(_absent_note, absent))
    if len(absent) == len(set(named)):
        return Starts(loaded=None, notes=notes)
    load = partial(_load, training, load_from)
    try:
        if can_copy(request.device):
            found = in_copy(load, silent=True)
        else:
            with silenced():
                found = load()
    except CopyFailedError:
        found = Starts(loaded=None, notes=(_unknown_note("loading ended the process"),))
    return replace(found, notes=(*notes, *found.notes))


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


def _pretrained(model: Any) -> Iterator[tuple[str, str]]:
    """Yield module name -> checkpoint of every `init_cfg` of type `Pretrained`."""
    from mmengine.model import PretrainedInit

    for name, module in model.named_modules():
        init_cfg = getattr(module, "init_cfg", None)
        for one in init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]:
            if isinstance(one, dict) and one.get("type") in ("Pretrained", PretrainedInit):
                yield name, str(one.get("checkpoint"))


def _load(training: Training, load_from: str | None) -> Starts:
    """Initialise the model's weights and load `load_from`, as `Runner.train` does."""
    import torch
    from mmengine.runner import Runner

    model, threads = training.model, torch.get_num_threads()
    loading = _Loading(training)
    runner: Any = SimpleNamespace(
        model=model, call_hook=lambda *_, **__: None, logger=SimpleNamespace(info=print)
    )
    torch.set_num_threads(1)  # a copy of a process lacks the threads that torch would wait for
    try:
        with loading.observed():
            if loading.declared and hasattr(model, "init_weights"):
                model.init_weights()
            if load_from:
                loading.into(model, load_from, "load_from")
                Runner.load_checkpoint(runner, load_from)
    except LldtoolError:
        raise
    except Exception as error:
        why = f"{loading.current()} raised {describe(error)}"
        return Starts(loaded=None, notes=(_unknown_note(why),))
    finally:
        torch.set_num_threads(threads)
    return loading.starts(is_resumed=bool(training.config.get("resume", False)))


@dataclass
class _Load:
    """A checkpoint that is being loaded: its tensors by key, and who asked for it."""

    by: Loaded
    state_dict: Mapping[str, Any] = field(default_factory=dict)


class _Loading:
    """Answers the loading code's requests for checkpoints, and sees what becomes of them."""

    def __init__(self, training: Training) -> None:
        self._model = training.model
        self._checkout = training.request.checkout
        self.declared = list(_pretrained(self._model))
        self._paths = {id(module): name for name, module in self._model.named_modules()}
        self._traced = TracedTensors(tensor for _, tensor in _tensors_of(self._model))
        self._asked: Loaded | None = None
        self._loads: list[_Load] = []
        self._read: dict[Path, Checkpoint] = {}
        #: Modules into which a checkpoint is loaded that is not here.
        self._unknown: list[str] = []
        #: The origins of tensors of a checkpoint that the model has a tensor for.
        self._matched: set[Any] = set()
        #: Name of a tensor -> its shape in the last checkpoint that has it in another one.
        self._mismatched: dict[str, tuple[int, ...]] = {}

    def into(self, module: Any, checkpoint: str, by: Any, prefix: str | None = None) -> None:
        """Note who asks for the next checkpoint."""
        name = self._paths.get(id(module), "")
        self._asked = Loaded(checkpoint, by, name, prefix)

    def current(self) -> str:
        """Return what is being done, as it was asked for last."""
        asked = self._asked
        return "init_weights" if asked is None else f"loading {quoted(asked.checkpoint)}"

    @contextlib.contextmanager
    def observed(self) -> Iterator[None]:
        """Give the code inside zeros for checkpoints, and trace them."""
        import torch
        from mmengine.model import PretrainedInit
        from mmengine.runner.checkpoint import CheckpointLoader
        from torch import nn

        initialise = PretrainedInit.__call__
        load_own: Callable[..., Any] = nn.Module._load_from_state_dict

        def pretrained(this: Any, module: Any) -> None:
            self.into(module, this.checkpoint, "init_cfg", this.prefix)
            try:
                initialise(this, module)
            except AssertionError as error:  # mmengine's, of a prefix that no tensor has
                raise self._training_fails(error) from error
            self._asked = None

        def into_module(module: Any, state_dict: Any, prefix: str, *args: Any, **kw: Any) -> None:
            self._before(module, state_dict, prefix)
            load_own(module, state_dict, prefix, *args, **kw)
            self._after(module, state_dict, prefix)

        def load(filename: Any, *_: Any, **__: Any) -> Any:
            return self._answer(filename)

        with (
            patched(CheckpointLoader, load_checkpoint=load),
            patched(torch, load=load),
            missing_allowed(allow_network=False),
            patched(PretrainedInit, __call__=pretrained),
            patched(nn.Module, _load_from_state_dict=into_module),
            self._traced.tracing(),
        ):
            yield

    def _answer(self, name: Any) -> Any:
        """Return the content of a checkpoint, with traced tensors.

        Raises:
            FileNotFoundError: there is no such file.
        """
        name = os.fspath(name)
        asked = self._asked or self._declared(name)
        path = find_file(name, self._checkout)
        if path is None:
            self._unknown.append(asked.module)
            raise FileNotFoundError(name)
        if path not in self._read:
            self._read[path] = read_checkpoint(path, name)
        load = _Load(asked)
        self._loads.append(load)
        content = self._traceable(self._read[path].content, len(self._loads) - 1)
        weights = content.get("state_dict", content) if isinstance(content, dict) else {}
        load.state_dict = weights if isinstance(weights, Mapping) else {}
        return content

    def _declared(self, name: str) -> Loaded:
        """Return who may ask for a checkpoint in code of its own: the first that declares it."""
        found = (module for module, checkpoint in self.declared if checkpoint == name)
        return Loaded(name, "init_cfg", next(found, ""))

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
        vars_of = getattr(content, "__dict__", {})  # `_metadata`, with the versions of modules
        for name, value in vars_of.items():
            setattr(copy, name, value)
        return copy

    def _training_fails(self, error: Exception) -> LldtoolError:
        asked = self._asked
        assert asked is not None
        where = f"init_cfg of {asked.module}" if asked.module else "init_cfg of the model"
        keys = self._loads[-1].state_dict if self._loads else ()
        first = next(iter(keys), None)
        hint = f"its first tensor is {quoted(first)}" if first else None
        return LldtoolError(
            f"{where}: training fails at startup, {quoted(asked.checkpoint)} has no tensor with "
            f"the prefix {quoted(asked.prefix)} ({describe(error)})",
            hint=hint,
        )

    def _before(self, module: Any, state_dict: Any, prefix: str) -> None:
        """Note which tensors the model has a place for, whether its hooks keep them or not."""
        for name, _ in _tensors_of(module):
            if (offered := state_dict.get(f"{prefix}{name}")) is not None:
                self._matched |= self._traced.origins(offered)

    def _after(self, module: Any, state_dict: Any, prefix: str) -> None:
        """Note which of the module's own tensors have another shape in the checkpoint."""
        path = self._paths.get(id(module))
        for name, tensor in _tensors_of(module, recurse=False):
            offered = state_dict.get(f"{prefix}{name}")
            shape = getattr(offered, "shape", tensor.shape)
            if path is not None and tuple(shape) != tuple(tensor.shape):
                self._mismatched[f"{path}.{name}" if path else name] = tuple(shape)

    def starts(self, *, is_resumed: bool) -> Starts:
        """Return what came of it."""
        filled: dict[str, frozenset[Any]] = {
            name: self._traced.origins(tensor) for name, tensor in _tensors_of(self._model)
        }
        starts = dict(self._start(name, own, is_resumed) for name, own in filled.items())
        persistent = self._model.state_dict().keys()
        buffers = tuple(
            Buffer(name, tuple(b.shape), b.numel(), str(b.dtype).removeprefix("torch."))
            for name, b in self._model.named_buffers()
            if name in persistent
        )
        known = {name: start for name, start in starts.items() if start is not None}
        named_buffers = {buffer.name for buffer in buffers}
        loaded = (self._result(i, load, filled, named_buffers) for i, load in enumerate(self._loads))
        found = Starts(known, (), tuple(loaded))
        return replace(found, buffers=tuple(map(found.of, buffers)))

    def _start(
        self, name: str, origins: frozenset[Any], is_resumed: bool
    ) -> tuple[str, tuple[Start, tuple[int, ...] | None] | None]:
        if origins:
            last = self._loads[max(load for load, _ in origins)].by
            return name, ("resumed" if is_resumed and last.by == "load_from" else "pretrained", None)
        if any(name.startswith(f"{module}.") or not module for module in self._unknown):
            return name, None
        if name in self._mismatched:
            return name, ("mismatched", self._mismatched[name])
        return name, ("missing", None)

    def _result(
        self, number: int, load: _Load, filled: Mapping[str, frozenset[Any]], buffers: set[str]
    ) -> Loaded:
        """Return what became of a checkpoint."""
        own = [name for name, origins in filled.items() if any(n == number for n, _ in origins)]
        placed = {key for n, key in {*self._traced.copied, *self._matched} if n == number}
        placed |= {key for origins in filled.values() for n, key in origins if n == number}
        prefix = load.by.prefix
        prefix = "" if prefix is None else f"{prefix.removesuffix('.')}."
        return replace(
            load.by,
            tensors=sum(name not in buffers for name in own),
            buffers=sum(name in buffers for name in own),
            unexpected=tuple(
                key for key in _unplaced(load.state_dict, placed) if key.startswith(prefix)
            ),
        )


def _unplaced(state_dict: Mapping[str, Any], placed: set[str]) -> Iterator[str]:
    """Yield the keys of tensors without a place; one key for a dict of which none has any."""
    import torch

    for key, value in state_dict.items():
        if isinstance(value, torch.Tensor):
            if str(key) not in placed:
                yield str(key)
        elif isinstance(value, Mapping):
            inner = [str(k) for k, v in value.items() if isinstance(v, torch.Tensor)]
            unplaced = [name for name in inner if name not in placed]
            yield from [str(key)] if unplaced and unplaced == inner else unplaced


def _tensors_of(module: Any, *, recurse: bool = True) -> Iterator[tuple[str, Any]]:
    yield from module.named_parameters(recurse=recurse)
    yield from module.named_buffers(recurse=recurse)


def _absent_note(name: str) -> str:
    return (
        f"training starts from {quoted(name)}, which is not a file here: where the parameters "
        "start that it may fill is not known"
    )


def _unknown_note(why: str) -> str:
    return f"{why}, so where parameters start is not known"

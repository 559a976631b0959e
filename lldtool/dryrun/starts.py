"""Find which parameters and buffers a config's checkpoints fill, with training's own loading code.

The code loads zeros, in the shapes of the checkpoint's tensors, into another model of the config,
so hooks and overrides that rename, resize or drop weights act as they do in training.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from lldtool.dryrun.dataset_classes import difference
from lldtool.dryrun.isolation import silenced
from lldtool.dryrun.loading import (
    Load,
    Loading,
    UnreadableError,
    declared,
    find_file,
    tensors_of,
)  # fmt: skip
from lldtool.dryrun.origins import Origins
from lldtool.dryrun.registries import chain, describe
from lldtool.errors import LldtoolError
from lldtool.plan import Buffer, Loaded, Parameter, Start, UntrainedParameter
from lldtool.text import quoted

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training

_Tensor = TypeVar("_Tensor", Parameter, UntrainedParameter, Buffer)


@dataclass(frozen=True)
class Starts:
    """Where the values of each tensor of a model come from.

    `starts` has name -> start and, if that is `mismatched`, the shape in the checkpoint; the start
    of other names is unknown. `loaded` is None if it is unknown what is loaded.
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
    """Load the checkpoints that a training starts from, in the order of training.

    Raises:
        LldtoolError: the checkpoint of `--load-from` can't be read, or training fails when it loads
            one.
    """
    checkout = training.request.checkout
    request = training.request
    load_from = request.resume or request.load_from or training.config.get("load_from", None)
    named = [*training.checkpoints.found, *training.checkpoints.missing]
    named += [checkpoint for _, checkpoint in declared(training.model)]
    named += [str(load_from)] if load_from else []
    absent = [name for name in dict.fromkeys(named) if find_file(name, checkout) is None]
    notes = tuple(map(_absent_note, absent))
    if len(absent) == len(set(named)):
        return Starts(loaded=None if named else (), notes=notes)
    loading = Loading(checkout)
    try:
        with silenced():
            model = loading.load(training, str(load_from) if load_from else None)
    except LldtoolError:
        raise
    except Exception as error:
        unreadable = next(
            (e.__cause__ for e in chain(error) if isinstance(e, UnreadableError)), None
        )
        if isinstance(unreadable, LldtoolError):
            if request.resume or request.load_from:
                raise unreadable from None
            why = f"{unreadable}, so where parameters start is not known"
            return Starts(loaded=None, notes=(*notes, *loading.notes, why))
        why = f"{loading.step} raised {describe(error)}, so where parameters start is not known"
        return Starts(loaded=None, notes=(*notes, *loading.notes, why))
    is_resumed = bool(request.resume or training.config.get("resume", False))
    found = _result(loading, model, training.config, is_resumed=is_resumed)
    return replace(found, notes=(*notes, *loading.notes))


def _result(loading: Loading, model: Any, config: Any, *, is_resumed: bool) -> Starts:
    """Return the starts after the checkpoints were loaded.

    Args:
        loading: the checkpoints.
        model: the model that they were loaded into.
        config: of the training.
        is_resumed: whether training resumes from `load_from`.
    """
    paths = {id(module): name for name, module in model.named_modules()}
    first = {checkpoint: name for name, checkpoint in reversed(list(declared(model)))}
    modules = [
        first.get(load.checkpoint, "") if load.module is None else paths.get(id(load.module), "")
        for load in loading.loads
    ]
    origins = {name: loading.traced.origins(tensor) for name, tensor in tensors_of(model)}
    starts: dict[str, tuple[Start, tuple[int, ...] | None]] = {}
    for name, own in origins.items():
        if own:
            last = loading.loads[max(number for number, _ in own)]
            is_pretrained = not is_resumed or last.by == "init_cfg"
            starts[name] = ("pretrained" if is_pretrained else "resumed", None)
        elif not any(
            name.startswith(_joined(module, ""))
            for module, load in zip(modules, loading.loads, strict=True)
            if load.state_dict is None
        ):
            starts[name] = ("missing", None)
    for module, own_name, shape in loading.mismatched:
        name = _joined(paths.get(id(module), ""), own_name)
        if starts.get(name, ("", None))[0] in ("missing", "mismatched"):
            starts[name] = ("mismatched", shape)
    found = Starts(starts, (), tuple(_loaded(loading, modules, model, origins, config)))
    return replace(found, buffers=tuple(map(found.of, _buffers_of(model))))


def _loaded(
    loading: Loading, modules: list[str], model: Any, origins: Mapping[str, Origins], config: Any
) -> Iterator[Loaded]:
    """Yield the result for each checkpoint, in the order in which they are loaded."""
    buffers = {buffer.name for buffer in _buffers_of(model)}
    written = [{*loading.traced.written(t), *origins[name]} for name, t in tensors_of(model)]
    placed = loading.matched.union(*written)
    for number, (module, load) in enumerate(zip(modules, loading.loads, strict=True)):
        if load.state_dict is None:
            continue
        filled = [
            name
            for name, own in zip(origins, written, strict=True)
            if any(n == number for n, _ in own)
        ]
        yield Loaded(
            load.checkpoint,
            load.by,
            module,
            load.prefix,
            tensors=sum(name not in buffers for name in filled),
            buffers=sum(name in buffers for name in filled),
            unexpected=tuple(_unexpected(load, {key for n, key in placed if n == number})),
            classes=len(load.classes) if load.classes is not None else None,
            other_classes=difference(config, load.classes) if load.classes is not None else None,
        )


def _unexpected(load: Load, placed: Collection[str]) -> Iterator[str]:
    """Yield the keys of tensors that are not used, or the key of a dict of which none is used."""
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


def _joined(module: str, name: str) -> str:
    return f"{module}.{name}" if module else name


def _absent_note(name: str) -> str:
    if not name:  # as mmpretrain's configs have it for the user to replace
        return "an init_cfg has checkpoint '': which parameters it fills is not known"
    return f"which parameters {quoted(name)} fills is not known: it is not a file here"

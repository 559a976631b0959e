"""What the modules of a model say about its parameters, beyond their names."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from lldtool.dryrun.isolation import silenced
from lldtool.dryrun.patching import patched
from lldtool.dryrun.skip_init import SkipInit, ValueRead
from lldtool.plan import (
    FROZEN,
    FROZEN_BY_INIT_WEIGHTS,
    FROZEN_BY_TRAIN,
    NO_WEIGHT_DECAY,
    NORM,
    UPDATES_STATISTICS,
)

#: torch's classes of normalization layers; RMSNorm came with torch 2.4.
_NORMS = (
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "GroupNorm", "LayerNorm",
    "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "RMSNorm",
)  # fmt: skip


def traits_of(model: Any) -> dict[str, tuple[str, ...]]:
    """Parameter name -> its traits, for the parameters that have any.

    Args:
        model: a `torch.nn.Module`. Its `train()` is called, as training does after the optimizer
            is built; `requires_grad` is as before afterwards.
    """
    traits: dict[str, list[str]] = defaultdict(list)
    for name in _of_norms(model):
        traits[name].append(NORM)
    for name in dict.fromkeys(_declared(model)):
        traits[name].append(NO_WEIGHT_DECAY)
    with _restored(model):
        for name in _frozen_by_init_weights(model):
            traits[name].append(FROZEN_BY_INIT_WEIGHTS)
    for name, own in training_traits(model).items():
        traits[name] += own
    return {name: tuple(found) for name, found in traits.items()}


def training_traits(model: Any) -> dict[str, tuple[str, ...]]:
    """Parameter name -> `FROZEN`, `FROZEN_BY_TRAIN` and `UPDATES_STATISTICS`, where they hold.

    Args:
        model: as in `traits_of`.
    """
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    with _restored(model):
        with contextlib.suppress(Exception):  # training says so itself; here it costs the trait
            model.train()
        traits: dict[str, tuple[str, ...]] = {
            name: (FROZEN_BY_TRAIN if before[name] else FROZEN,)
            for name, p in model.named_parameters()
            if name in before and not p.requires_grad
        }
        for name in _of_updating_norms(model):
            traits[name] = (*traits.get(name, ()), UPDATES_STATISTICS)
    return traits


def _of_norms(model: Any) -> Iterator[str]:
    """The parameters of normalization layers, torch's and what inherits from them."""
    from torch import nn

    kinds = tuple(getattr(nn, name) for name in _NORMS if hasattr(nn, name))
    for path, module in model.named_modules():
        if isinstance(module, kinds):
            yield from _names(path, (name for name, _ in module.named_parameters(recurse=False)))


def _declared(model: Any) -> Iterator[str]:
    """What modules ask to exclude from weight decay, as the training code of timm and Swin does.

    `no_weight_decay()` gives names below the module, `no_weight_decay_keywords()` parts of names.
    """
    for path, module in model.named_modules():
        exact, parts = (
            _answer(module, "no_weight_decay"),
            _answer(module, "no_weight_decay_keywords"),
        )
        if exact or parts:
            names = [name for name, _ in module.named_parameters()]
            chosen = (n for n in names if n in exact or any(part in n for part in parts))
            yield from _names(path, chosen)


def _answer(module: Any, method: str) -> set[str]:
    declared = getattr(type(module), method, None)
    if not callable(declared):
        return set()
    with contextlib.suppress(Exception):  # of the user's own code; training does not call it
        return {str(name) for name in getattr(module, method)()}
    return set()


def _of_updating_norms(model: Any) -> Iterator[str]:
    """The parameters of BatchNorm layers that update their running statistics as they are now.

    Not of those in an average of another model, as a momentum encoder is: that moves with it.
    """
    from mmengine.model import BaseAveragedModel
    from torch.nn.modules.batchnorm import _BatchNorm

    averages = (m for m in model.modules() if isinstance(m, BaseAveragedModel))
    averaged = {id(inner) for average in averages for inner in average.modules()}
    for path, module in model.named_modules():
        if not isinstance(module, _BatchNorm) or not module.training or id(module) in averaged:
            continue
        has_statistics = module.track_running_stats and module.running_mean is not None
        # With momentum 0 they stay as they are; None makes a cumulative average.
        if has_statistics and module.momentum != 0:
            yield from _names(path, (n for n, _ in module.named_parameters(recurse=False)))


def _frozen_by_init_weights(model: Any) -> list[str]:
    """Call `init_weights()` of modules whose own code freezes there; the names that they freeze.

    `Runner` initialises the weights once the optimizer is built. That takes seconds, so modules
    whose code does not mention `requires_grad` are not called, nor what mmengine does for all.
    """
    from mmengine.model import BaseModule

    freezing = [module for module in model.modules() if _freezes_in_init_weights(type(module))]
    before = {name for name, p in model.named_parameters() if p.requires_grad}
    for module in freezing:
        with (
            contextlib.suppress(Exception, ValueRead),
            patched(BaseModule, init_weights=lambda *_, **__: None),
            SkipInit().mode(),
            silenced(),
        ):
            module.init_weights()
    return [n for n, p in model.named_parameters() if n in before and not p.requires_grad]


def _freezes_in_init_weights(kind: Any) -> bool:
    code = getattr(getattr(kind, "init_weights", None), "__code__", None)
    return code is not None and not {"requires_grad", "requires_grad_"}.isdisjoint(code.co_names)


@contextlib.contextmanager
def _restored(model: Any) -> Iterator[None]:
    """Put the mode of the model and `requires_grad` of its parameters back afterwards."""
    before = [(p, p.requires_grad) for p in model.parameters()]
    mode = model.training
    try:
        yield
    finally:
        if not mode:
            with contextlib.suppress(Exception):
                model.train(mode)
        for parameter, required in before:
            if parameter.requires_grad != required:
                parameter.requires_grad_(required)


def _names(path: str, names: Iterator[str]) -> Iterator[str]:
    yield from (f"{path}.{name}" if path else name for name in names)

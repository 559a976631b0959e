"""Whether the first step of a resumed optimizer fails, tried on tensors without values."""

from __future__ import annotations

import contextlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lldtool.checkpoint import TensorInfo
from lldtool.dryrun.isolation import silenced
from lldtool.dryrun.optimizers import Built
from lldtool.dryrun.registries import describe
from lldtool.dryrun.skip_init import is_lazy

#: Entries of a param group that say on what devices, and with what kernels, a step is taken.
_WAYS = ("foreach", "fused", "capturable", "differentiable")


def valueless(content: Any) -> Any:
    """Return an entry of a checkpoint, copied, with tensors of the meta device for its tensors.

    Those of one element, as counters of steps, are zeros: code asks for their values.
    """
    import torch

    if isinstance(content, TensorInfo):
        dtype = getattr(torch, content.dtype, None)
        dtype = dtype if isinstance(dtype, torch.dtype) else torch.float32
        is_scalar = content.shape == ()
        return torch.zeros(content.shape, dtype=dtype, device="cpu" if is_scalar else "meta")
    if isinstance(content, OrderedDict):
        return OrderedDict((key, valueless(value)) for key, value in content.items())
    if isinstance(content, Mapping):
        return {key: valueless(value) for key, value in content.items()}
    if type(content) in (list, tuple):
        return type(content)(valueless(item) for item in content)
    return content


@contextlib.contextmanager
def tensors_without_values(built: Built) -> Iterator[None]:
    """Let the optimizers have parameters of the meta device, in the same groups."""
    import torch

    own = {
        name: [list(group["params"]) for group in optimizer.param_groups]
        for name, optimizer in built.optimizers.items()
    }
    for optimizer in built.optimizers.values():
        for group in optimizer.param_groups:
            group["params"] = [
                p
                if is_lazy(p)
                else torch.empty_like(p, device="meta").requires_grad_(p.requires_grad)
                for p in group["params"]
            ]
    try:
        yield
    finally:
        for name, optimizer in built.optimizers.items():
            for group, params in zip(optimizer.param_groups, own[name], strict=False):
                group["params"] = params


def first_step_failure(optimizer: Any, fresh: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what the next step of a resumed optimizer raises; None where it raises nothing.

    Also None where it can't be tried: the optimizer takes no step on such tensors at its start
    either.

    Args:
        optimizer: with parameters of the meta device.
        fresh: its param groups before it was resumed.
    """
    resumed, state = optimizer.param_groups, optimizer.state
    try:
        optimizer.param_groups, optimizer.state = _copies(resumed), defaultdict(dict, state)
        failure = _failure(optimizer)
        if failure is None:
            return None
        optimizer.param_groups, optimizer.state = _copies(fresh), defaultdict(dict)
        return None if _failure(optimizer) else failure
    finally:
        optimizer.param_groups, optimizer.state = resumed, state


def _copies(groups: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return copies that have the optimizer take its step in the plainest way."""
    return [
        {**group, **{key: False for key in _WAYS if key in group}} for group in map(dict, groups)
    ]


def _failure(optimizer: Any) -> str | None:
    import torch

    tensors = [p for group in optimizer.param_groups for p in group["params"] if not is_lazy(p)]
    for tensor in tensors:
        tensor.grad = torch.empty_like(tensor) if tensor.requires_grad else None
    try:
        with silenced():
            optimizer.step()
    except Exception as error:
        return describe(error)
    return None

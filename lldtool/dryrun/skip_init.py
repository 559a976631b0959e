"""Build modules without initialising their parameters, and notice where that matters."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from lldtool.dryrun.deferred_torch import load_deferred
from lldtool.dryrun.patching import patched

#: Tensors up to this many elements are initialised all the same: code that builds a model may
#: read a scalar back, and they cost nothing.
INITIALISED_NUMEL = 1024


class ValueRead(BaseException):
    """A model reads a value that depends on a parameter that was not initialised."""


class SkipInit:
    """Turns the filling of large parameters with values into no-ops, and knows what that changed.

    Parameters keep the untouched memory that `torch.empty` gave them, so that ViT-H takes 0.06 s
    and no memory to speak of. `torch.device("meta")` would break models that read a drop-path
    rate with `.item()`.
    """

    def __init__(self) -> None:
        import torch

        tensor = torch.Tensor
        self._fills = {tensor.normal_, tensor.uniform_, tensor.random_, tensor.exponential_}
        self._fills |= {tensor.erfinv_, tensor.zero_, tensor.fill_, tensor.mul_, tensor.add_}
        self._fills |= {tensor.clamp_}
        self._reads = {tensor.item, tensor.tolist, tensor.numpy, tensor.__bool__, tensor.__int__}
        self._reads |= {tensor.__float__, tensor.__index__, tensor.__array__, tensor.nonzero}
        self._reads |= {torch.equal, torch.allclose, torch.nonzero, torch.unique}
        #: id -> tensor, for the parameters left as they were and all computed from them.
        self._tensors: dict[int, Any] = {}
        #: The parameters that were left as they were.
        self.parameters: list[Any] = []
        #: Whether anything was computed from a parameter that was not initialised.
        self.values_matter = False

    @contextlib.contextmanager
    def mode(self) -> Iterator[None]:
        """The mode under which a model is to be built."""
        import torch
        from torch.overrides import TorchFunctionMode

        call = self._call

        class SkippingMode(TorchFunctionMode):
            def __torch_function__(
                self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
            ) -> Any:
                return call(func, args, kwargs or {})

        with SkippingMode(), contextlib.ExitStack() as stack:
            # It samples until all values are within bounds, and hides that from the mode. Where
            # a torch does it elsewhere, the read values lead to a build with initialisation.
            truncated = getattr(torch.nn.init, "_no_grad_trunc_normal_", None)
            if truncated is not None:
                fill = functools.partial(self._fill, truncated)
                stack.enter_context(patched(torch.nn.init, _no_grad_trunc_normal_=fill))
            yield

    def _fill(self, fill: Any, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        """Leave a large parameter untouched, fill any other tensor."""
        import torch

        parameter = isinstance(tensor, torch.nn.Parameter) and not is_lazy(tensor)
        if parameter and tensor.numel() > INITIALISED_NUMEL:
            self._tensors[id(tensor)] = tensor
            self.parameters.append(tensor)
            return tensor
        return fill(tensor, *args, **kwargs)

    def _call(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if func in self._fills or getattr(func, "__module__", None) == "torch.nn.init":
            if args:
                return self._fill(func, *args, **kwargs)
            # torch.nn.init passes the tensor on by keyword.
            return self._fill(func, kwargs.pop("tensor"), **kwargs)
        if self._tensors and any(id(arg) in self._tensors for arg in args):
            return self._call_on_uninitialised(func, args, kwargs)
        if str(kwargs.get("device", "")) == "meta":
            load_deferred()
        return func(*args, **kwargs)

    def _call_on_uninitialised(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        import torch

        if func in self._reads:
            self.values_matter = True
            raise ValueRead(getattr(func, "__name__", str(func)))
        result = func(*args, **kwargs)
        if isinstance(result, torch.Tensor) and not isinstance(result, torch.nn.Parameter):
            self.values_matter = True
            self._tensors[id(result)] = result
        return result


def is_lazy(tensor: Any) -> bool:
    """Whether a parameter has no shape before the first forward pass."""
    from torch.nn.parameter import is_lazy as uninitialised

    return bool(uninitialised(tensor))

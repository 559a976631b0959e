"""Trace where the values of a model's tensors come from, without copying any values."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lldtool.dryrun.patching import patched
from lldtool.dryrun.uninitialised import storage_address, tensors_in

#: Methods that overwrite a tensor regardless of its old values; others whose name ends in `_` use
#: the old values.
_OVERWRITES = frozenset({
    "copy_", "fill_", "zero_", "normal_", "uniform_", "random_", "exponential_", "bernoulli_",
    "cauchy_", "log_normal_", "geometric_",
})  # fmt: skip
#: Methods whose name ends in `_` but that write no values.
_WRITES_NOTHING = frozenset({"requires_grad_", "detach_", "share_memory_", "rename_"})
#: Methods that pass values to code outside torch.
_HANDS_OUT = frozenset({"numpy", "__array__", "tolist"})
Origins = frozenset[Any]
_NONE: Origins = frozenset()


class TracedTensors:
    """Records where the values of a model's tensors come from.

    Inside `tracing()`, nothing is written to the held tensors. They may be uninitialised, and then
    take no memory.
    """

    def __init__(self) -> None:
        #: Addresses of the model's storages, and of these together with the sources' storages.
        self._own: set[int] = set()
        self._unwritten: set[int] = set()
        #: Address of a storage -> the origins of its values.
        self._origins: dict[int, Origins] = {}
        #: Keeps storages alive, so that no other tensor gets their address.
        self._alive: list[Any] = []
        #: Address of a storage of the model -> the origins of everything written to it.
        self._written: dict[int, Origins] = {}
        #: The origins of values passed to code outside torch, such as scipy's interpolation.
        self.handed_out: set[Any] = set()

    def hold(self, tensors: Iterable[Any]) -> None:
        """Hold the tensors of the model: nothing is written to them from now on."""
        self._own = {storage_address(tensor) for tensor in tensors} - {0}
        self._unwritten |= self._own

    def source(self, shape: tuple[int, ...], dtype: Any, origin: Any) -> Any:
        """Return a tensor of zeros with this origin; it takes the memory of one element."""
        import torch

        tensor = torch.zeros((), dtype=dtype).expand(shape)
        address = storage_address(tensor)
        self._origins[address] = frozenset([origin])
        self._unwritten.add(address)
        self._alive.append(tensor)
        return tensor

    def origins(self, tensor: Any) -> Origins:
        """Return the origins of the values of a tensor."""
        return self._origins.get(storage_address(tensor), _NONE)

    def written(self, tensor: Any) -> Origins:
        """Return the origins of everything written to a held tensor, overwritten or not."""
        return self._written.get(storage_address(tensor), _NONE)

    @contextlib.contextmanager
    def tracing(self) -> Iterator[None]:
        """Trace the code that runs inside."""
        import torch
        from torch.overrides import TorchFunctionMode

        call = self._call

        class TracingMode(TorchFunctionMode):
            def __torch_function__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                return call(func, args, kwargs or {})

        with TracingMode(), contextlib.ExitStack() as stack:
            # A mode does not see this function, only what it calls; see `SkipInit.mode`.
            truncated = getattr(torch.nn.init, "_no_grad_trunc_normal_", None)
            if truncated is not None:
                fill = functools.partial(self._call_init, truncated)
                stack.enter_context(patched(torch.nn.init, _no_grad_trunc_normal_=fill))
            yield

    def _call_init(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        return self._call(func, args, kwargs)

    def _call(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        target: Any = args[0] if args else kwargs.get("tensor")
        address = storage_address(target)
        name = getattr(func, "__name__", "")
        if address and _is_write(func, name):
            self._write(func, name, address, target, (args[1:], kwargs))
            if address in self._unwritten:
                return target
        elif address in self._own and name == "mean" and len(args) == 1 and not kwargs:
            return target.new_zeros(())  # `BaseModule.init_weights` takes all means, repeatedly
        result = func(*args, **kwargs)
        found = self._origins_in((args, kwargs))
        if found:
            self.handed_out |= found if name in _HANDS_OUT else _NONE
            for tensor in tensors_in(result):
                if storage_address(tensor) not in self._unwritten:
                    self._add(tensor, found)
        return result

    def _write(self, func: Any, name: str, address: int, target: Any, values: Any) -> None:
        """Record that values are written to a tensor."""
        found = self._origins_in(values)
        is_init = getattr(func, "__module__", None) == "torch.nn.init"
        size = target.numel() * target.element_size()
        is_whole = size == target.untyped_storage().nbytes()
        if not is_whole or not (is_init or name in _OVERWRITES):
            found |= self._origins.get(address, _NONE)
        self._origins[address] = found
        if address in self._own:
            self._written[address] = self._written.get(address, _NONE) | found
        else:
            self._alive.append(target)

    def came_back(self, tensor: Any, origins: Iterable[Any]) -> None:
        """Record that a tensor got these origins through code outside torch."""
        self._origins[storage_address(tensor)] = frozenset(self.handed_out.intersection(origins))

    def is_traced(self, tensor: Any) -> bool:
        """Whether it is known where the values of a tensor come from."""
        address = storage_address(tensor)
        return address in self._own or bool(self._origins.get(address))

    def _add(self, tensor: Any, origins: Origins) -> None:
        address = storage_address(tensor)
        if address:
            self._origins[address] = self._origins.get(address, _NONE) | origins
            self._alive.append(tensor)

    def _origins_in(self, value: Any) -> Origins:
        return frozenset().union(*map(self.origins, tensors_in(value)))


def _is_write(func: Any, name: str) -> bool:
    """Whether a function writes to its first argument."""
    is_method = name.endswith("_") and not name.endswith("__") and name not in _WRITES_NOTHING
    return is_method or name == "__setitem__"

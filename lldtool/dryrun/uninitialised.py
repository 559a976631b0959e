"""Notice when Python code gets a value out of memory that was never initialised.

A dry run leaves the weights uninitialised, so what code does that looks at them depends on what the
memory happened to hold. Deriving a tensor from them is harmless. A read is what hands a value to
Python: a comparison, `item`, `tolist`, `numpy`, a shape that depends on values; or a raw pointer.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lldtool.dryrun.patching import patched

#: Methods of a tensor that hand its memory out without an operator that could be dispatched.
_HANDING_OUT = frozenset({
    "numpy", "tolist", "__array__", "data_ptr", "__dlpack__", "storage", "untyped_storage",
    "_typed_storage", "__reduce__", "__reduce_ex__", "__repr__",
})  # fmt: skip


class ValuesNeeded(BaseException):
    """The constructor read a value that is not initialised: it has to run on one that is."""


def random_state() -> tuple[object, ...]:
    """The states of the generators of random numbers that code usually draws from."""
    import random

    import torch

    of_numpy: list[bytes] = []
    with contextlib.suppress(ImportError):  # where a config has cleared the module path
        import numpy

        of_numpy = [numpy.asarray(part).tobytes() for part in numpy.random.get_state()]
    return random.getstate(), of_numpy, torch.get_rng_state().numpy().tobytes()


class UninitialisedReads:
    """Which reads there were of tensors that are not initialised, and of all derived from them."""

    def __init__(self) -> None:
        #: Address of a storage -> a tensor that keeps it alive.
        self._uninitialised: dict[int, Any] = {}
        #: What the first read was, `aten::item`; None where there was none.
        self.first: str | None = None

    def add(self, tensors: Iterable[Any]) -> None:
        """Take these for uninitialised."""
        for tensor in tensors:
            address = storage_address(tensor)
            if address:
                self._uninitialised[address] = tensor

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Notice reads of code that runs inside."""
        if not self._uninitialised:
            yield
            return
        from torch.overrides import TorchFunctionMode

        try:
            from torch.utils._python_dispatch import TorchDispatchMode
        except ImportError:  # it is private; without it, any value may be read
            self.first = "an unknown operator"
            yield
            return
        dispatched, called = self._dispatched, self._called

        class Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]
            pass

        def dispatch(_: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return dispatched(func, args, kwargs or {})

        # A method in the class's body is wrapped by torch, which imports its compiler, 0.8 s.
        Dispatched.__torch_dispatch__ = dispatch  # type: ignore[method-assign]

        class Called(TorchFunctionMode):
            def __torch_function__(
                self, func: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                called(func, args)
                return func(*args, **(kwargs or {}))

        dlpack: Any = importlib.import_module("torch.utils.dlpack")
        to_dlpack = dlpack.to_dlpack

        def noted(tensor: Any) -> Any:
            self._called(tensor.__dlpack__, (tensor,))
            return to_dlpack(tensor)

        # It is of C, and goes past both modes.
        mode = Dispatched()  # type: ignore[no-untyped-call]
        with patched(dlpack, to_dlpack=noted), Called(), mode:
            yield

    def _called(self, func: Any, args: Any) -> None:
        name = getattr(func, "__name__", "")
        if name in _HANDING_OUT and args and storage_address(args[0]) in self._uninitialised:
            self.first = self.first or f"Tensor.{name}"

    def _dispatched(self, func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
        is_uninitialised = any(
            storage_address(tensor) in self._uninitialised for tensor in tensors_in((args, kwargs))
        )
        result = func(*args, **kwargs)
        if is_uninitialised:
            if _hands_out(func, result):
                self.first = self.first or str(func)
            self.add(tensors_in(result))
        return result


def _hands_out(func: Any, result: Any) -> bool:
    """Whether an operator's result says something of values to Python."""
    import torch

    values = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
    return isinstance(result, (bool, int, float, complex)) or not values.isdisjoint(func.tags)


def tensors_in(value: Any) -> Iterator[Any]:
    """The tensors in the arguments or the result of an operator."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def storage_address(tensor: Any) -> int:
    """Where the memory of a tensor begins; 0 where it has none."""
    import torch

    try:
        # Private: without it, this very call counts as a read, which costs only time.
        with getattr(torch._C, "DisableTorchFunctionSubclass", contextlib.nullcontext)():
            return int(tensor.untyped_storage().data_ptr())
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return 0

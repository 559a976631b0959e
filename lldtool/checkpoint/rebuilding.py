"""Rebuild the objects of a checkpoint without importing its classes and functions.

Source: `torch._utils`, `torch._tensor` and `torch.storage`, for the arguments of each function.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lldtool.checkpoint.contents import OpaqueValue, TensorInfo
from lldtool.checkpoint.numpy_values import NumpyArray, NumpyDtype, from_buffer, scalar

#: The dtypes of the typed storages: `torch.FloatStorage`, `torch.cuda.FloatStorage`.
STORAGE_DTYPES = {
    "UntypedStorage": "uint8",
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "QInt8Storage": "qint8",
    "QInt32Storage": "qint32",
    "QUInt8Storage": "quint8",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}
_TORCH_DTYPE = re.compile(r"bool|(b?float|complex|q?u?int|bits)\d\w*")
#: Names of modules in Python 2 -> their names today.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}
#: The size of a dimension is below this.
_LARGEST = 1 << 63
#: At least as many as any version of torch allows.
MOST_DIMENSIONS = 64
#: Larger integers and longer tuples can be crafted to have equal hashes, which slows a dict down.
_LARGEST_KEY = 1 << 60
_LONGEST_KEY = 8
_KEYS = frozenset({str, bytes, bool, float, OpaqueValue, type(None)})


def find_global(module: str, name: str) -> Any:
    """Return the substitute for a global: the name of a torch dtype, otherwise an opaque value."""
    if module == "torch" and _TORCH_DTYPE.fullmatch(name):
        return name
    return OpaqueValue(f"{_RENAMED.get(module, module)}.{name}")


def call_global(function: OpaqueValue, arguments: Any) -> Any:
    """Return the result of calling a class or function; an opaque value if it is unknown."""
    if known := _FUNCTIONS.get(function.name):
        return known(*arguments)
    if function.name in _CONSTRUCTORS and arguments and isinstance(arguments[0], OpaqueValue):
        return OpaqueValue(arguments[0].name)
    return OpaqueValue(function.name)


def set_state(target: Any, state: Any) -> None:
    """Set the state of an object if it affects the values that are read."""
    if isinstance(target, NumpyArray):
        *_, shape, dtype, is_fortran, data = state
        target.fill(sizes_of(shape), dtype, is_fortran, data)
    elif isinstance(target, NumpyDtype):
        if state[1] not in ("<", ">", "=", "|"):
            raise ValueError
        target.order[:] = [state[1]]
    elif isinstance(target, OrderedDict) and isinstance(state, dict) and "_metadata" in state:
        # The module versions, which loading code asks for.
        target._metadata = state["_metadata"]  # type: ignore[attr-defined]


def checked_key(key: Any) -> Any:
    """Return a key of a dict, or an item of a set.

    Raises:
        UnpicklingError: hashing it may be slow, or its hash may equal many others.
    """
    kind = type(key)
    if kind in _KEYS or (kind is int and -_LARGEST_KEY < key < _LARGEST_KEY):
        return key
    if kind is tuple and len(key) <= _LONGEST_KEY and not any(type(k) is tuple for k in key):
        return tuple(map(checked_key, key))
    raise pickle.UnpicklingError(f"keys of type {kind.__name__} are not supported")


def sizes_of(value: Any) -> tuple[int, ...]:
    """Return the sizes of a tensor's dimensions.

    Raises:
        UnpicklingError: the value is not a valid shape.
    """
    if not isinstance(value, (list, tuple)) or len(value) > MOST_DIMENSIONS:
        raise pickle.UnpicklingError("a tensor has an invalid shape")
    if not all(type(size) is int and 0 <= size < _LARGEST for size in value):
        raise pickle.UnpicklingError("a tensor has an invalid shape")
    return tuple(value)


def storage_of(persistent_id: Any) -> Any:
    """Return the storage of a persistent id, as a one-dimensional tensor.

    Raises:
        UnpicklingError: the id does not refer to a storage.
    """
    if isinstance(persistent_id, tuple) and len(persistent_id) >= 4:
        kind, storage_class, key, *others = persistent_id
        if kind == "module":  # of a pickled model, with its source code
            return storage_class
        is_class = isinstance(storage_class, OpaqueValue)
        if kind == "storage" and is_class and isinstance(key, str) and len(others) >= 2:
            return TensorInfo(sizes_of(others[1:2]), dtype_of_storage(storage_class))
    raise pickle.UnpicklingError("a tensor's storage is not as torch.save writes it")


def dtype_of_storage(storage_class: OpaqueValue) -> str:
    """Return the dtype of a storage class.

    Raises:
        UnpicklingError: it is not a storage class.
    """
    module, _, name = storage_class.name.rpartition(".")
    if module.partition(".")[0] != "torch" or name not in STORAGE_DTYPES:
        raise pickle.UnpicklingError(f"{storage_class.name!r:.200} is not a tensor storage")
    return STORAGE_DTYPES[name]


def _info(size: Any, dtype: Any, requires_grad: Any = False) -> TensorInfo:
    if not isinstance(dtype, str):
        raise pickle.UnpicklingError("a tensor has an invalid dtype")
    return TensorInfo(sizes_of(size), dtype, requires_grad is True)


def _tensor(
    storage: TensorInfo, _offset: Any, size: Any, _stride: Any, grad: Any = False, *_: Any
) -> TensorInfo:
    return _info(size, storage.dtype, grad)


def _tensor_v3(
    _storage: Any,
    _offset: Any,
    size: Any,
    _stride: Any,
    grad: Any,
    _hooks: Any,
    dtype: Any,
    *_: Any,
) -> TensorInfo:
    return _info(size, dtype, grad)


def _quantized_tensor(
    storage: TensorInfo, _offset: Any, size: Any, _stride: Any, _scales: Any, grad: Any, *_: Any
) -> TensorInfo:
    return _info(size, storage.dtype, grad)


def _sparse_tensor(_layout: Any, data: Any) -> TensorInfo:
    """Return the tensor with the shape that follows the data and the dtype of its last tensor."""
    values = [item for item in data if isinstance(item, TensorInfo)][-1]
    size = [item for item in data if isinstance(item, tuple)][-1]
    return _info(size, values.dtype)


def _meta_tensor(dtype: Any, size: Any, _stride: Any, grad: Any = False) -> TensorInfo:
    return _info(size, dtype, grad)


def _wrapper(
    _class: Any, dtype: Any, size: Any, _stride: Any, _offset: Any, _layout: Any, _device: Any,
    grad: Any = False,
) -> TensorInfo:  # fmt: skip
    return _info(size, dtype, grad)


def _of_a_device(data: Any, dtype: Any, _device: Any, grad: Any = False) -> TensorInfo:
    return _info(data.shape, dtype, grad)


def _parameter(data: Any, grad: Any = True, *_: Any) -> Any:
    return replace(data, requires_grad=grad is True) if isinstance(data, TensorInfo) else data


def _tensor_of_a_type(function: OpaqueValue, _class: Any, arguments: Any, *_: Any) -> Any:
    if not function.name.startswith("torch._utils._rebuild_"):
        return OpaqueValue(function.name)
    return call_global(function, arguments)


def _encoded(text: Any, encoding: Any) -> Any:
    """Return bytes that protocol 2 stores as encoded text, as it has no opcode for bytes."""
    if isinstance(text, OpaqueValue):
        return OpaqueValue("builtins.bytes")
    if encoding not in ("latin1", "latin-1"):
        raise ValueError
    return text.encode("latin1")


def _bytes(data: Any = b"", encoding: Any = "latin1") -> Any:
    return data if isinstance(data, bytes) else _encoded(data, encoding)


def _ordered_dict(pairs: Any = ()) -> Any:
    return OrderedDict((checked_key(key), value) for key, value in pairs)


def _counter(counts: Any = None) -> Any:
    """Return the counts, as those of the milestones of a scheduler."""
    return dict(counts) if isinstance(counts, dict) else {}


def _numpy_dtype(code: Any, *_: Any) -> Any:
    return NumpyDtype("numpy.dtype", _text(code))


def _device(kind: Any, index: Any = None) -> Any:
    return _text(kind) if type(index) is not int else f"{_text(kind)}:{index}"


def _text(value: Any) -> str:
    """Return a string; formatting any other value may take forever."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _items(values: Any = ()) -> Any:
    return map(checked_key, values)


_CONSTRUCTORS = ("copyreg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__")
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "_codecs.encode": _encoded,
    "builtins.bytearray": _bytes,
    "builtins.bytes": _bytes,
    "builtins.complex": complex,
    "builtins.frozenset": lambda values=(): frozenset(_items(values)),
    "builtins.set": lambda values=(): set(_items(values)),
    "collections.Counter": _counter,
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": lambda *_: {},
    "numpy.dtype": _numpy_dtype,
    "torch.Size": lambda sizes=(): sizes_of(sizes),
    "torch._tensor._rebuild_from_type": _tensor_of_a_type,
    "torch._tensor._rebuild_from_type_v2": _tensor_of_a_type,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _of_a_device,
    "torch._utils._rebuild_device_tensor_from_numpy": _of_a_device,
    "torch._utils._rebuild_meta_tensor_no_storage": _meta_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_qtensor": _quantized_tensor,
    "torch._utils._rebuild_sparse_tensor": _sparse_tensor,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_wrapper_subclass": _wrapper,
    "torch._utils._rebuild_xla_tensor": _of_a_device,
    "torch.device": _device,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.serialization._get_layout": lambda name: name,
    "torch.tensor._rebuild_from_type": _tensor_of_a_type,
    **{
        f"numpy.{core}.{name}": function
        for core in ("core", "_core")
        for name, function in (
            ("multiarray._reconstruct", lambda *_: NumpyArray()),
            ("multiarray.scalar", scalar),
            ("numeric._frombuffer", from_buffer),
        )
    },
}

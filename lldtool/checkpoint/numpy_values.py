"""Read pickled numpy scalars and small arrays as Python numbers, without numpy.

Source: `numpy._core.multiarray.scalar` and `_reconstruct`, the `__reduce__` of `numpy.dtype`, and
the state of `numpy.ndarray.__setstate__`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lldtool.checkpoint.contents import OpaqueValue

#: The most bytes of an array; a larger one becomes an opaque value.
LARGEST_ARRAY = 8192
#: At least as many dimensions as any version of numpy allows.
_MOST_DIMENSIONS = 64
#: `struct`'s formats by numpy's codes.
_FORMATS = {"b1": "?", "f2": "e", "f4": "f", "f8": "d"}
_FORMATS |= {f"i{2**i}": "bhiq"[i] for i in range(4)}
_FORMATS |= {f"u{2**i}": "BHIQ"[i] for i in range(4)}


@dataclass(frozen=True, eq=False)
class NumpyDtype(OpaqueValue):
    """A dtype with a `code` such as `f8`; its byte order is set after construction."""

    code: str
    order: list[str] = field(default_factory=lambda: ["="])


class NumpyArray(list[Any]):
    """The numbers of an array as nested lists, filled after construction.

    An array without dimensions has one item; a large one is one `OpaqueValue`.
    """

    shape: tuple[int, ...] = ()

    def fill(self, shape: tuple[int, ...], dtype: Any, is_fortran: Any, data: Any) -> None:
        """Set the content from the state of a pickled array."""
        self.shape = shape
        items = _items(dtype, data) if len(shape) <= _MOST_DIMENSIONS else None
        if items is None or len(items) != math.prod(shape):
            self[:] = [OpaqueValue("numpy.ndarray")]
            return
        sizes = shape[::-1] if is_fortran else shape
        steps = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
        found = _nested(items, shape, steps[::-1] if is_fortran else steps, 0) if items else []
        self[:] = found if shape else [found]


def scalar(dtype: Any, data: Any = b"") -> Any:
    """Return a scalar as a number or string."""
    items = _items(dtype, data if _code(dtype) != "O" else [data])
    return items[0] if items and len(items) == 1 else OpaqueValue("numpy.generic")


def from_buffer(data: Any, dtype: Any, shape: Any, order: str = "C") -> NumpyArray:
    """Return an array, as `numpy._core.numeric._frombuffer` does."""
    array = NumpyArray()
    array.fill(tuple(shape), dtype, order == "F", data)
    return array


def _code(dtype: Any) -> str:
    code = dtype.code if isinstance(dtype, NumpyDtype) else ""
    return "O" if code == "O8" else code


def _items(dtype: Any, data: Any) -> list[Any] | None:
    """Return the items as a flat list; None if their type is unknown or there are too many."""
    code = _code(dtype)
    if isinstance(data, list):
        return data if code == "O" and len(data) <= LARGEST_ARRAY else None
    data = data.encode() if isinstance(data, str) else data  # a str of Python 2
    if not isinstance(data, bytes) or len(data) > LARGEST_ARRAY or not code:
        return None
    order = dtype.order[0].replace("|", "=")
    kind, size = code[0], int(code[1:]) if code[1:].isdecimal() else 0
    if code in _FORMATS:
        return list(struct.unpack(f"{order}{len(data) // size}{_FORMATS[code]}", data))
    if code in ("c8", "c16"):
        parts = struct.unpack(f"{order}{2 * (len(data) // size)}{'f' if size == 8 else 'd'}", data)
        return [complex(*parts[i : i + 2]) for i in range(0, len(parts), 2)]
    if kind in "SU" and size:
        width = size if kind == "S" else 4 * size
        texts = [data[i : i + width] for i in range(0, len(data), width)]
        if kind == "S":
            return [text.rstrip(b"\0") for text in texts]
        endian = "be" if order == ">" else "le"
        return [text.decode(f"utf-32-{endian}", "surrogatepass").rstrip("\0") for text in texts]
    return None


def _nested(items: list[Any], shape: Sequence[int], steps: Sequence[int], start: int) -> Any:
    if not shape:
        return items[start]
    if len(shape) == 1:
        return items[start : start + shape[0] * steps[0] : steps[0]]
    return [_nested(items, shape[1:], steps[1:], start + i * steps[0]) for i in range(shape[0])]

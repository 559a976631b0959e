"""The state of the pickle machine, with a limit on the memory that a file can use."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from lldtool.checkpoint.contents import OpaqueValue
from lldtool.checkpoint.numpy_values import LARGEST_ARRAY
from lldtool.checkpoint.rebuilding import call_global, find_global

#: Longer strings and bytes, such as the logs of long trainings, become opaque values.
_LONGEST_TEXT = 1 << 18
#: The longest line in bytes; lines hold the names of globals.
_LONGEST_LINE = 1 << 13
#: The most bytes for all strings, sets and copies that calls make.
_MOST_BYTES = 1 << 27
#: The bytes that an item takes in a set or dict.
_ITEM_SIZE = 32
#: The most memory that a byte of an array takes as a Python number; a float16 has two bytes.
_NUMBER_SIZE = 16
_CHUNK = 1 << 16


class Machine:
    """The stack, the marks and the memo of a pickle.

    Args:
        file: a buffered file.
        persistent: returns the object of a persistent id.
    """

    def __init__(self, file: BinaryIO, persistent: Callable[[Any], Any] | None) -> None:
        self.file = file
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        #: The full names of the globals that the pickle refers to.
        self.globals: dict[str, None] = {}
        self._room = _MOST_BYTES

    def take(self, size: int) -> bytes:
        """Return the next bytes; their number is small."""
        data = self.file.read(size)
        if len(data) < size:
            raise pickle.UnpicklingError("its pickle is cut off")
        return data

    def number(self, structure: struct.Struct) -> Any:
        """Return the next number."""
        return structure.unpack(self.take(structure.size))[0]

    def data(self, size: int, kind: str) -> bytes | OpaqueValue:
        """Return the next bytes, or an opaque value of this kind if there are too many."""
        if size <= _LONGEST_TEXT:
            self.spend(size)
            return self.take(size)
        while size > 0:
            size -= len(self.take(min(size, _CHUNK)))
        return OpaqueValue(f"builtins.{kind}")

    def line(self) -> str:
        """Return the next line."""
        line = self.file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise pickle.UnpicklingError("its pickle is cut off, or has a line that is too long")
        self.spend(len(line))
        return line[:-1].decode()

    def spend(self, size: int) -> None:
        """Count bytes against the memory limit."""
        self._room -= size
        if self._room < 0:
            raise pickle.UnpicklingError(f"its pickle takes over {_MOST_BYTES >> 20} MiB of memory")

    def to_mark(self) -> list[Any]:
        """Pop and return all items above the last mark."""
        items, self.stack = self.stack, self.marked.pop()
        return items

    def push_global(self, module: str, name: str) -> None:
        """Push the substitute for a class or function."""
        value = find_global(module, name)
        self.globals[value.name if isinstance(value, OpaqueValue) else f"{module}.{name}"] = None
        self.stack.append(value)

    def call(self, function: Any, arguments: Any) -> None:
        """Push the result of calling a class or function."""
        if not isinstance(function, OpaqueValue) or not isinstance(arguments, (list, tuple)):
            raise TypeError
        self.spend_copies(arguments)
        self.stack.append(call_global(function, arguments))

    def spend_copies(self, values: Any) -> None:
        """Count the bytes that copies of the values take."""
        for value in values:
            if isinstance(value, (str, bytes)):
                self.spend(len(value) * (_NUMBER_SIZE if len(value) <= LARGEST_ARRAY else 1))
            elif isinstance(value, (list, tuple)):
                self.spend(_ITEM_SIZE * len(value))

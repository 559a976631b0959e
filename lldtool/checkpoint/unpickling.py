"""Read a pickle: plain data, tensors, and opaque values for anything else.

Nothing is imported, and the file can't choose what is called: a global is only a name, which
`rebuilding` either knows or leaves opaque. Python's own unpickler is not safe enough: with its
state setters, its memo and hashing, a crafted file can change classes, use up the memory, or hang.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from lldtool.checkpoint.machine import Machine
from lldtool.checkpoint.numpy_values import NumpyArray
from lldtool.checkpoint.opcodes import OPCODES

#: Far more than a checkpoint has: one with 900 tensors and their optimizer state has 150,000.
_MOST_OPCODES = 4_000_000
#: The deepest nesting; a checkpoint of mmengine is 8 levels deep.
_DEEPEST = 100
_DICTS = frozenset({dict, OrderedDict})
_COLLECTIONS = _DICTS | {list, tuple, set, frozenset, NumpyArray}


def unpickle(
    file: BinaryIO, persistent: Callable[[Any], Any] | None = None
) -> tuple[Any, Iterable[str]]:
    """Return the content of a pickle and the globals it refers to; leave the file at its end.

    Args:
        file: a buffered file.
        persistent: returns the object of a persistent id.

    Raises:
        UnpicklingError: it is damaged, or too large for a checkpoint.
    """
    machine = Machine(file, persistent)
    code = b""
    try:
        for _ in range(_MOST_OPCODES):
            code = file.read(1)
            if code == pickle.STOP:
                content = machine.stack.pop()
                _measure(content, {}, 0)
                return content, machine.globals
            OPCODES[code](machine)
    except (
        ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error
    ) as error:  # fmt: skip
        found = f"is damaged at the opcode {code!r}" if code else "is cut off"
        raise pickle.UnpicklingError(f"its pickle {found}") from error
    raise pickle.UnpicklingError(f"its pickle has over {_MOST_OPCODES:,} opcodes")


def _measure(content: Any, known: dict[int, tuple[int, int]], above: int) -> tuple[int, int]:
    """Return the depth of a value and the number of values in it, counting repeated ones again.

    Raises:
        UnpicklingError: it is too deep or too large to walk through, or contains itself.
    """
    if type(content) not in _COLLECTIONS:
        return 0, 1
    if id(content) not in known:
        if above > _DEEPEST:
            raise pickle.UnpicklingError(f"its content has over {_DEEPEST} levels")
        items = content.values() if type(content) in _DICTS else content
        inner = [_measure(x, known, above + 1) for x in items if type(x) in _COLLECTIONS]
        levels = 1 + max((levels for levels, _ in inner), default=0)
        known[id(content)] = levels, len(content) + sum(number for _, number in inner)
    levels, number = known[id(content)]
    if above + levels > _DEEPEST + 1 or number > _MOST_OPCODES:
        raise pickle.UnpicklingError(f"its content has over {_DEEPEST} levels, or repeats itself")
    return levels, number

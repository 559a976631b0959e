"""Read a pickle: plain data, tensors, and opaque values for anything else.

Nothing is imported and nothing of the file's choice is called: a global is a name that `rebuilding`
knows what to make of, or that stays opaque. Python's own unpickler is no base for this: by its
state setters, its memo and its hashes a crafted file changes classes, takes all memory, or hangs.
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

#: No checkpoint has as many: one of 900 tensors, with its optimizer, has 150,000.
_MOST_OPCODES = 4_000_000
#: A checkpoint of mmengine is 8 levels deep.
_DEEPEST = 100
_DICTS = frozenset({dict, OrderedDict})
_COLLECTIONS = _DICTS | {list, tuple, set, frozenset, NumpyArray}


def unpickle(
    file: BinaryIO, persistent: Callable[[Any], Any] | None = None
) -> tuple[Any, Iterable[str]]:
    """Return what a pickle holds, and the globals it refers to; leave the file at its end.

    Args:
        file: a buffered file.
        persistent: returns what a persistent id refers to.

    Raises:
        UnpicklingError: it is damaged, or too large to be a checkpoint's.
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
    """Return how many levels a value has, and how many values, counted wherever they occur.

    Raises:
        UnpicklingError: they are too many for who walks through them; it may be inside itself.
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

"""What each opcode of a pickle does. Source: `pickletools` of the standard library.

Opcodes that only protocol 0 uses are not supported; torch does not load them either.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from lldtool.checkpoint.contents import OpaqueValue
from lldtool.checkpoint.machine import Machine
from lldtool.checkpoint.rebuilding import checked_key, set_state

#: The longest integer in bytes; a seed has 16.
_LONGEST_INTEGER = 1 << 10
#: The bytes of an empty set; other empty collections take a quarter of that.
_SET_SIZE = 216
_DICTS = frozenset({dict, OrderedDict})
_UINT1, _UINT2, _UINT4 = (struct.Struct(code) for code in ("<B", "<H", "<I"))
_INT4, _UINT8, _FLOAT8 = (struct.Struct(code) for code in ("<i", "<Q", ">d"))
_Opcode = Callable[[Machine], object]


def _push(value: object) -> _Opcode:
    return lambda machine: machine.stack.append(value)


def _push_number(structure: struct.Struct) -> _Opcode:
    def run(machine: Machine) -> None:
        machine.stack.append(structure.unpack(machine.file.read(structure.size))[0])

    return run


def _push_text(size: struct.Struct) -> _Opcode:
    def run(machine: Machine) -> None:
        data = machine.data(machine.number(size), "str")
        machine.stack.append(data.decode("utf-8", "surrogatepass") if type(data) is bytes else data)

    return run


def _push_bytes(size: struct.Struct) -> _Opcode:
    return lambda machine: machine.stack.append(machine.data(machine.number(size), "bytes"))


def _push_string(size: struct.Struct) -> _Opcode:
    return lambda machine: machine.stack.append(_python2(machine.data(machine.number(size), "str")))


def _python2(data: Any) -> Any:
    """Return a `str` of Python 2 as text, or as bytes if it is not UTF-8."""
    try:
        return data.decode() if isinstance(data, bytes) else data
    except UnicodeDecodeError:
        return data


def _integer(size: struct.Struct) -> _Opcode:
    def run(machine: Machine) -> None:
        length = machine.number(size)
        if length > _LONGEST_INTEGER:
            raise pickle.UnpicklingError("its pickle has an integer that is too long")
        machine.stack.append(int.from_bytes(machine.take(length), "little", signed=True))

    return run


def _integer_line(machine: Machine) -> None:
    line = machine.line().removesuffix("L")
    if len(line) > _LONGEST_INTEGER:
        raise pickle.UnpicklingError("its pickle has an integer that is too long")
    machine.stack.append(int(line) if line not in ("00", "01") else line == "01")


def _protocol(machine: Machine) -> None:
    if (protocol := machine.number(_UINT1)) > pickle.HIGHEST_PROTOCOL:
        raise pickle.UnpicklingError(f"its pickle has protocol {protocol}")


def _mark(machine: Machine) -> None:
    machine.marked.append(machine.stack)
    machine.stack = []


def _pop(machine: Machine) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.to_mark()


def _tuple_of(length: int) -> _Opcode:
    def run(machine: Machine) -> None:
        items = machine.stack[-length:]
        if len(items) < length:
            raise IndexError
        machine.stack[-length:] = [tuple(items)]

    return run


def _from_items(make: Callable[[list[Any]], Any]) -> _Opcode:
    def run(machine: Machine) -> None:
        items = machine.to_mark()
        machine.stack.append(make(items))

    return run


def _new_set(machine: Machine) -> None:
    machine.spend(_SET_SIZE)
    machine.stack.append(set())


def _frozen(items: list[Any]) -> frozenset[Any]:
    return frozenset(map(checked_key, items))


def _set_items(target: Any, items: list[Any]) -> None:
    if isinstance(target, OpaqueValue):
        return
    if type(target) not in _DICTS or len(items) % 2:
        raise TypeError
    for i in range(0, len(items), 2):
        target[checked_key(items[i])] = items[i + 1]


def _append_items(target: Any, items: list[Any]) -> None:
    if isinstance(target, OpaqueValue):
        return
    if type(target) is not list:
        raise TypeError
    target.extend(items)


def _add_items(target: Any, items: list[Any]) -> None:
    if isinstance(target, OpaqueValue):
        return
    if type(target) is not set:
        raise TypeError
    target.update(map(checked_key, items))


def _put_in(put: Callable[[Any, list[Any]], None]) -> _Opcode:
    """Return an opcode that moves the items above the last mark into the object below it."""

    def run(machine: Machine) -> None:
        items = machine.to_mark()
        put(machine.stack[-1], items)

    return run


def _append(machine: Machine) -> None:
    item = machine.stack.pop()
    _append_items(machine.stack[-1], [item])


def _set_item(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _set_items(machine.stack[-1], [key, value])


def _put(index: Callable[[Machine], int]) -> _Opcode:
    def run(machine: Machine) -> None:
        machine.memo[index(machine)] = machine.stack[-1]

    return run


def _get(index: Callable[[Machine], int]) -> _Opcode:
    return lambda machine: machine.stack.append(machine.memo[index(machine)])


def _short_index(machine: Machine) -> int:
    return machine.file.read(1)[0]


def _index(machine: Machine) -> int:
    return int.from_bytes(machine.file.read(4), "little")


def _global(machine: Machine) -> None:
    machine.push_global(machine.line(), machine.line())


def _stack_global(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise TypeError
    machine.spend(len(module) + len(name))
    machine.push_global(module, name)


def _reduce(machine: Machine) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    machine.call(function, arguments)


def _new_with_options(machine: Machine) -> None:
    machine.stack.pop()
    _reduce(machine)


def _build(machine: Machine) -> None:
    state = machine.stack.pop()
    if isinstance(state, tuple):
        machine.spend_copies(state)
    set_state(machine.stack[-1], state)


def _persistent(machine: Machine, persistent_id: Any) -> None:
    if machine.persistent is None:
        raise pickle.UnpicklingError("its pickle refers to a storage before there are any")
    machine.stack.append(machine.persistent(persistent_id))


def _refused(machine: Machine) -> None:
    raise pickle.UnpicklingError("its pickle refers to objects outside it")


#: What each opcode does, by its byte.
OPCODES: dict[bytes, _Opcode] = {
    pickle.PROTO: _protocol,
    pickle.FRAME: lambda machine: machine.take(8),
    pickle.MARK: _mark,
    pickle.POP: _pop,
    pickle.POP_MARK: lambda machine: machine.to_mark(),
    pickle.DUP: lambda machine: machine.stack.append(machine.stack[-1]),
    pickle.NONE: _push(None),
    pickle.NEWTRUE: _push(True),
    pickle.NEWFALSE: _push(False),
    pickle.INT: _integer_line,
    pickle.LONG: _integer_line,
    pickle.LONG1: _integer(_UINT1),
    pickle.LONG4: _integer(_UINT4),
    pickle.BININT: _push_number(_INT4),
    pickle.BININT1: _push_number(_UINT1),
    pickle.BININT2: _push_number(_UINT2),
    pickle.BINFLOAT: _push_number(_FLOAT8),
    pickle.BINSTRING: _push_string(_UINT4),
    pickle.SHORT_BINSTRING: _push_string(_UINT1),
    pickle.BINUNICODE: _push_text(_UINT4),
    pickle.SHORT_BINUNICODE: _push_text(_UINT1),
    pickle.BINUNICODE8: _push_text(_UINT8),
    pickle.BINBYTES: _push_bytes(_UINT4),
    pickle.SHORT_BINBYTES: _push_bytes(_UINT1),
    pickle.BINBYTES8: _push_bytes(_UINT8),
    pickle.BYTEARRAY8: _push_bytes(_UINT8),
    pickle.EMPTY_TUPLE: _push(()),
    pickle.TUPLE: _from_items(tuple),
    pickle.TUPLE1: _tuple_of(1),
    pickle.TUPLE2: _tuple_of(2),
    pickle.TUPLE3: _tuple_of(3),
    pickle.EMPTY_LIST: lambda machine: machine.stack.append([]),
    pickle.APPEND: _append,
    pickle.APPENDS: _put_in(_append_items),
    pickle.EMPTY_DICT: lambda machine: machine.stack.append({}),
    pickle.SETITEM: _set_item,
    pickle.SETITEMS: _put_in(_set_items),
    pickle.EMPTY_SET: _new_set,
    pickle.ADDITEMS: _put_in(_add_items),
    pickle.FROZENSET: _from_items(_frozen),
    pickle.BINPUT: _put(_short_index),
    pickle.LONG_BINPUT: _put(_index),
    pickle.MEMOIZE: _put(lambda machine: len(machine.memo)),
    pickle.BINGET: _get(_short_index),
    pickle.LONG_BINGET: _get(_index),
    pickle.GLOBAL: _global,
    pickle.STACK_GLOBAL: _stack_global,
    pickle.REDUCE: _reduce,
    pickle.NEWOBJ: _reduce,
    pickle.NEWOBJ_EX: _new_with_options,
    pickle.BUILD: _build,
    pickle.BINPERSID: lambda machine: _persistent(machine, machine.stack.pop()),
    pickle.EXT1: _refused,
    pickle.EXT2: _refused,
    pickle.EXT4: _refused,
    pickle.NEXT_BUFFER: _refused,
    pickle.READONLY_BUFFER: _refused,
}

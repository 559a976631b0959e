"""What a config's file and its bases define, followed as far as the text tells.

Dicts, lists, names, merges. Of what is only known at run time, the dict that it goes in is found.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path

from lldtool.config.bases import base_imports, base_names, imported_base, named_base
from lldtool.config.entries import Container, Entry, Value, merged
from lldtool.config.files import File, read
from lldtool.config.location import Location

#: What makes a dict of its arguments.
_DICTS = ("dict", "ConfigDict", "Config", "OrderedDict")


def entries_of(path: Path, done: dict[str, dict[str, Entry]]) -> dict[str, Entry]:
    """Return the entries that a file defines and inherits; they are the caller's to change.

    Args:
        path: the file.
        done: the entries of files by identity; those of a file that inherits itself are empty.
    """
    file = read(path)
    if file is None:
        return {}
    try:
        if file.identity not in done:
            done[file.identity] = {}
            done[file.identity] = _defined(file, done)
        return Value(entries=done[file.identity]).copy().entries
    except RecursionError:
        return {}


def _defined(file: File, done: dict[str, dict[str, Entry]]) -> dict[str, Entry]:
    inherited: dict[str, Entry] = {}
    for name, _ in base_names(file):
        for base in named_base(name, file.path):
            inherited |= entries_of(base, done)
    if not isinstance(file.content, ast.Module):
        return merged(file.content or {}, inherited)
    statements = _Statements(file, inherited, done)
    statements.follow(file.statements)
    return merged(statements.names, inherited)


class _Statements:
    """What the statements of a Python file define, by the names of its variables."""

    def __init__(
        self, file: File, inherited: dict[str, Entry], done: dict[str, dict[str, Entry]]
    ) -> None:
        self._file = file
        self._base = Value(Container.mapping, inherited)
        self._done = done
        self.names: dict[str, Entry] = {}

    def follow(self, statements: Iterable[ast.AST], *, surely: bool = True) -> None:
        """Follow statements; those in an `if` or loop may not run, or more than once."""
        for statement in statements:
            match statement:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, value, surely=surely)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign(target, value, surely=surely)
                case ast.AugAssign(target=target, op=ast.BitOr(), value=value):
                    self._value(target).update(self._value(value))
                case ast.Expr(value=ast.Call(func=ast.Attribute() as method) as call):
                    self._change(method, call, surely=surely)
                case ast.With(body=body):
                    imports = list(base_imports([statement]))
                    for inherited in imports:
                        self._inherit(inherited)
                    self.follow([] if imports else body, surely=surely)
                case ast.If() | ast.For() | ast.While() | ast.Try() | ast.Match():
                    self.follow(ast.iter_child_nodes(statement), surely=False)
                case ast.ExceptHandler() | ast.match_case():
                    self.follow(statement.body, surely=False)

    def _assign(self, target: ast.expr, value: ast.expr, *, surely: bool) -> None:
        key: str | None
        match target:
            case ast.Name(id=key) if key != "_base_":
                entries, location = self.names, self._file.location(target)
            case ast.Attribute(value=inside, attr=key):
                entries = self._value(inside).entries
                location = self._file.location(target).last(len(key))
            case ast.Subscript(value=inside, slice=index):
                container = self._value(inside)
                entries, location = container.entries, self._file.location(index)
                key = self._key(index, container)
            case _:
                return
        if key is not None:
            entry = Entry(location, self._file.location(value), self._value(value))
            entries[key] = entry if surely or key not in entries else entry.over(entries[key])

    def _change(self, method: ast.Attribute, call: ast.Call, *, surely: bool) -> None:
        """Follow `optim_wrapper.update(…)` or `.merge(…)`, or `param_scheduler.append(…)`."""
        changed = self._value(method.value)
        if method.attr in ("update", "merge"):
            changed.update(self._dict(call))
        elif changed.is_list and method.attr == "append" and surely and len(call.args) == 1:
            changed.entries |= self._list(call.args, len(changed.entries)).entries
        elif changed.is_list:
            changed.kind = None  # from here on, it is not known which item is which
            if method.attr != "append":
                changed.entries.clear()

    def _inherit(self, statement: ast.ImportFrom) -> None:
        for path in imported_base(statement, self._file.path):
            entries = entries_of(path, self._done)
            for alias in statement.names:
                if alias.name == "*":
                    self.names |= entries
                elif alias.name in entries:
                    self.names[alias.asname or alias.name] = entries[alias.name]

    def _value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=constant):
                return Value(constant=constant)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
                return Value(constant=-number)
            case ast.Name(id="_base_"):
                return self._base
            case ast.Name(id=name) if name in self.names:
                return self.names[name].value
            case ast.Set(elts=[ast.Set(elts=[inner])]):  # {{_base_.x}}, which mmengine fills in
                return self._value(inner)
            case ast.Attribute(value=inside, attr=key):
                return _item(self._value(inside), key)
            case ast.Subscript(value=inside, slice=index):
                container = self._value(inside)
                return _item(container, self._key(index, container))
            case ast.Dict():
                return self._display(node)
            case ast.DictComp():
                return Value(Container.mapping)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return self._list(items)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _DICTS:
                return self._dict(node)
            case (
                ast.Call(func=ast.Attribute(value=original, attr="copy"), args=[])
                | ast.Call(func=ast.Attribute(attr="copy" | "deepcopy"), args=[original])
                | ast.Call(func=ast.Name(id="copy" | "deepcopy"), args=[original])
            ):
                return self._value(original).copy()
            case ast.BinOp(left=left, op=ast.BitOr() | ast.Add(), right=right):
                return _joined(self._value(left), self._value(right))
        return Value()

    def _key(self, node: ast.expr, container: Value | None = None) -> str | None:
        """Return the constant that a key is; -1 in a list as the index from its start."""
        constant = self._value(node).constant
        if isinstance(constant, int) and constant < 0 and container and container.is_list:
            constant += len(container.entries)
        return None if constant is None else str(constant)

    def _display(self, display: ast.Dict) -> Value:
        value = Value(Container.mapping)
        for key, item in zip(display.keys, display.values, strict=True):
            if key is None:
                value.entries |= self._unpacked(item)
            elif (name := self._key(key)) is not None:
                value.entries[name] = self._entry(self._file.location(key), item)
        return value

    def _dict(self, call: ast.Call) -> Value:
        value = Value(Container.call)
        for argument in call.args:
            value.entries |= self._unpacked(argument)
        for keyword in call.keywords:
            if keyword.arg is None:
                value.entries |= self._unpacked(keyword.value)
            else:
                location = self._file.location(keyword).first(len(keyword.arg))
                value.entries[keyword.arg] = self._entry(location, keyword.value)
        return value

    def _entry(self, location: Location, node: ast.expr) -> Entry:
        return Entry(location, self._file.location(node), self._value(node))

    def _unpacked(self, node: ast.expr) -> dict[str, Entry]:
        value = self._value(node)
        return value.entries if value.is_dict else {}

    def _list(self, nodes: Sequence[ast.expr], first: int = 0) -> Value:
        items: list[Entry] = []
        for node in nodes:
            if not isinstance(node, ast.Starred):
                items.append(self._entry(self._file.location(node), node))
            elif (unpacked := self._value(node.value)).is_list:
                items += unpacked.entries.values()
            else:
                return _list_of(items, first, None)
        return _list_of(items, first)


def _item(container: Value, key: str | None) -> Value:
    return container.entries[key].value if key in container.entries else Value()


def _list_of(
    items: Iterable[Entry], first: int = 0, kind: Container | None = Container.sequence
) -> Value:
    return Value(kind, {str(index): item for index, item in enumerate(items, first)})


def _joined(left: Value, right: Value) -> Value:
    """Return `left | right` of dicts, `left + right` of lists or strings."""
    if left.is_dict or right.is_dict:
        return Value(left.kind or right.kind, {**left.entries, **right.entries})
    if left.is_list and right.is_list:
        return _list_of([*left.entries.values(), *right.entries.values()])
    if isinstance(left.constant, str) and isinstance(right.constant, str):
        return Value(constant=left.constant + right.constant)
    return Value()

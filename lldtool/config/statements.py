"""What a config's file and its bases define, followed as far as the text tells.

Dicts, lists, names, merges. Of what is only known at run time, the dict that it goes in is found.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from pathlib import Path

from lldtool.config.bases import base_names, imported_base, named_base, reads_base
from lldtool.config.entries import Container, Item, Node, copied, merged, over, update
from lldtool.config.files import File, read
from lldtool.config.location import Location


def entries_of(path: Path, done: dict[str, dict[str, Item]]) -> dict[str, Item]:
    """What a file defines and inherits, the caller's to change.

    Args:
        path: the file.
        done: of the files that were looked at; of one that inherits itself, nothing.
    """
    file = read(path)
    if file is None:
        return {}
    try:
        if file.identity not in done:
            done[file.identity] = {}
            done[file.identity] = _defined(file, done)
        return copied(Node(entries=done[file.identity]), {}).entries
    except RecursionError:
        return {}


def _defined(file: File, done: dict[str, dict[str, Item]]) -> dict[str, Item]:
    inherited: dict[str, Item] = {}
    for name, _ in base_names(file):
        for base in named_base(name, file.path):
            inherited |= entries_of(base, done)
    if not isinstance(file.content, ast.Module):
        return merged(file.content or {}, inherited)
    statements = _Statements(file, inherited, done)
    statements.follow(file.content.body)
    return merged(statements.names, inherited)


#: What makes a dict of its arguments.
_DICTS = ("dict", "ConfigDict", "Config", "OrderedDict")


class _Statements:
    """What the statements of a Python file define, by the names of its variables."""

    def __init__(
        self, file: File, inherited: dict[str, Item], done: dict[str, dict[str, Item]]
    ) -> None:
        self._file = file
        self._base = Node(Container.mapping, inherited)
        self._done = done
        self.names: dict[str, Item] = {}

    def follow(self, statements: Iterable[ast.AST], *, surely: bool = True) -> None:
        """Go through statements; those in an `if` or loop may not run, or not just once."""
        for statement in statements:
            match statement:
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        self._assign(target, value, surely=surely)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assign(target, value, surely=surely)
                case ast.AugAssign(target=target, op=ast.BitOr(), value=value):
                    update(self._node(target), self._node(value))
                case ast.Expr(value=ast.Call(func=ast.Attribute() as method) as call):
                    self._change(method, call, surely=surely)
                case ast.With() if reads_base(statement):
                    for inner in statement.body:
                        if isinstance(inner, ast.ImportFrom):
                            self._inherit(inner)
                case ast.With(body=body):
                    self.follow(body, surely=surely)
                case ast.If() | ast.For() | ast.While() | ast.Try() | ast.Match():
                    self.follow(ast.iter_child_nodes(statement), surely=False)
                case ast.ExceptHandler() | ast.match_case():
                    self.follow(statement.body, surely=False)

    def _assign(self, target: ast.expr, value: ast.expr, *, surely: bool) -> None:
        match target:
            case ast.Name(id=key) if key != "_base_":
                entries, place = self.names, self._file.place(target)
            case ast.Attribute(value=inside, attr=key):
                entries, place = self._node(inside).entries, self._file.place(target)
                column = place.end_column - len(key)
                place = Location(
                    place.file, place.end_line, column, place.end_line, place.end_column
                )
            case ast.Subscript(value=inside, slice=index):
                entries, place = self._node(inside).entries, self._file.place(index)
                found = self._key(index, self._node(inside))
                if found is None:
                    return
                key = found
            case _:
                return
        entry = Item(place, self._file.place(value), Container.statement, self._node(value))
        entries[key] = entry if surely or key not in entries else over(entry, entries[key])

    def _change(self, method: ast.Attribute, call: ast.Call, *, surely: bool) -> None:
        """`optim_wrapper.update(…)`, `optim_wrapper.merge(…)`, `param_scheduler.append(…)`."""
        node = self._node(method.value)
        if method.attr in ("update", "merge"):
            update(node, self._dict(call))
        elif node.is_list and method.attr == "append" and surely and len(call.args) == 1:
            node.entries |= self._list(call.args, len(node.entries)).entries
        elif node.is_list:
            # From here on, it is not known which item is which.
            node.kind = None
            if method.attr != "append":
                node.entries.clear()

    def _inherit(self, statement: ast.ImportFrom) -> None:
        for path in imported_base(statement, self._file.path):
            entries = entries_of(path, self._done)
            for alias in statement.names:
                if alias.name == "*":
                    self.names |= entries
                elif alias.name in entries:
                    self.names[alias.asname or alias.name] = entries[alias.name]

    def _node(self, value: ast.expr) -> Node:
        match value:
            case ast.Constant(value=constant):
                return Node(constant=constant)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
                return Node(constant=-number)
            case ast.Name(id="_base_"):
                return self._base
            case ast.Name(id=name) if name in self.names:
                return self.names[name].node
            case ast.Set(elts=[ast.Set(elts=[inner])]):  # {{_base_.x}}, which mmengine fills in
                return self._node(inner)
            case ast.Attribute(value=inside, attr=key):
                return self._item(self._node(inside), key)
            case ast.Subscript(value=inside, slice=index):
                node = self._node(inside)
                return self._item(node, self._key(index, node))
            case ast.Dict():
                return self._display(value)
            case ast.DictComp():
                return Node(Container.mapping)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return self._list(items)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _DICTS:
                return self._dict(value)
            case (
                ast.Call(func=ast.Attribute(value=original, attr="copy"), args=[])
                | ast.Call(func=ast.Attribute(attr="copy" | "deepcopy"), args=[original])
                | ast.Call(func=ast.Name(id="copy" | "deepcopy"), args=[original])
            ):
                return copied(self._node(original), {})
            case ast.BinOp(left=left, op=ast.BitOr() | ast.Add(), right=right):
                return self._both(self._node(left), self._node(right))
        return Node()

    def _item(self, inside: Node, key: str | None) -> Node:
        return inside.entries[key].node if key in inside.entries else Node()

    def _key(self, key: ast.expr, inside: Node | None = None) -> str | None:
        """The constant that a key is; from the end of a list, counted from its start."""
        constant = self._node(key).constant
        if isinstance(constant, int) and constant < 0 and inside is not None and inside.is_list:
            constant += len(inside.entries)
        return None if constant is None else str(constant)

    def _display(self, display: ast.Dict) -> Node:
        node = Node(Container.mapping)
        for key, value in zip(display.keys, display.values, strict=True):
            if key is None:
                node.entries |= self._unpacked(value)
            elif (name := self._key(key)) is not None:
                places = self._file.place(key), self._file.place(value)
                node.entries[name] = Item(*places, Container.mapping, self._node(value))
        return node

    def _dict(self, call: ast.Call) -> Node:
        node = Node(Container.call)
        for argument in call.args:
            node.entries |= self._unpacked(argument)
        for keyword in call.keywords:
            if keyword.arg is None:
                node.entries |= self._unpacked(keyword.value)
                continue
            at, value = self._file.place(keyword), self._file.place(keyword.value)
            place = Location(at.file, at.line, at.column, at.line, at.column + len(keyword.arg))
            entry = Item(place, value, Container.call, self._node(keyword.value))
            node.entries[keyword.arg] = entry
        return node

    def _unpacked(self, value: ast.expr) -> dict[str, Item]:
        node = self._node(value)
        return node.entries if node.is_dict else {}

    def _list(self, items: Sequence[ast.expr], first: int = 0) -> Node:
        found: list[Item] = []
        kind: Container | None = Container.sequence
        for item in items:
            if not isinstance(item, ast.Starred):
                place = self._file.place(item)
                found.append(Item(place, place, Container.sequence, self._node(item)))
                continue
            unpacked = self._node(item.value)
            if not unpacked.is_list:
                kind = None
                break
            found += unpacked.entries.values()
        return Node(kind, {str(index): entry for index, entry in enumerate(found, first)})

    def _both(self, left: Node, right: Node) -> Node:
        """`left | right` of dicts, `left + right` of lists or strings."""
        if left.is_dict or right.is_dict:
            return Node(left.kind or right.kind, {**left.entries, **right.entries})
        if left.is_list and right.is_list:
            entries = [*left.entries.values(), *right.entries.values()]
            return Node(left.kind, {str(index): entry for index, entry in enumerate(entries)})
        if isinstance(left.constant, str) and isinstance(right.constant, str):
            return Node(constant=left.constant + right.constant)
        return Node()

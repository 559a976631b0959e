"""A config's file -> where its entries and the comments to ignore findings stand, bases included.

Files are parsed, never executed. What a file defines is followed as far as its text tells: dicts,
lists, names, merges. Of what is only known at run time, the dict that it goes in is found.
"""

from __future__ import annotations

import ast
import bisect
import contextlib
import functools
import importlib.util
import io
import os
import re
import stat
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from lldtool.errors import LldtoolError
from lldtool.findings import Place
from lldtool.source import locate


class Container(Enum):
    """What an entry is written in."""

    call = "dict(…)"
    mapping = "{…}"
    sequence = "[…]"
    statement = "a statement of its own"


@dataclass(frozen=True)
class Entry:
    """An entry of the finished config, where it was last written.

    `place` is the key's, of an item of a list the item's. `value` is what is written for it, be it
    the name of a dict. `kind` is what that is: a `dict(…)`, a `{…}` or a list, be it one with a
    name; None for what is not written out as one of these.
    """

    place: Place
    value: Place
    container: Container
    kind: Container | None

    @property
    def is_call(self) -> bool:
        """Whether the value is a `dict(…)`."""
        return self.kind is Container.call


@dataclass(frozen=True)
class Suppression:
    """A comment `# lldtool: ignore[…]`. Without `codes` it is about all of them."""

    file: Path
    line: int
    codes: tuple[str, ...]
    place: Place


class Sources:
    """The text of a config and of what it inherits.

    What can't be read or parsed is passed over; nothing here raises.

    Args:
        path: the config's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The config and all that it inherits, itself or by its bases, as far as they exist."""
        return tuple(file.path for file in self._files)

    @property
    def is_pure_python(self) -> bool:
        """Whether the config inherits by `with read_base():`, and so changes dicts in place."""
        return any(_imports(file) for file in self._files[:1])

    def place(self, key: Sequence[str]) -> Place | None:
        """Where an entry stands; where that can't be found, the innermost that it is in.

        Args:
            key: the keys that lead to it; items of a list by their index.
        """
        entries = (self.entry(key[:end]) for end in range(len(key), 0, -1))
        return next((entry.place for entry in entries if entry is not None), None)

    def entry(self, key: Sequence[str]) -> Entry | None:
        """The entry itself, or None where it can't be found.

        Args:
            key: the keys that lead to it; items of a list by their index.
        """
        entries, found = self._entries, None
        for part in key:
            found = entries.get(part)
            if found is None:
                return None
            entries = found.node.entries
        if found is None:
            return None
        return Entry(found.place, found.value, found.container, found.node.kind)

    def suppressions(self) -> tuple[Suppression, ...]:
        """The comments to ignore findings, in all files."""
        return tuple(one for file in self._files for one in _suppressions(file))

    @cached_property
    def _files(self) -> Sequence[_File]:
        found: dict[str, _File] = {}
        paths = [self._path]
        for path in paths:
            file = _read(path)
            if file is not None and file.identity not in found:
                found[file.identity] = file
                paths += _bases(file)
        return list(found.values())

    @cached_property
    def _entries(self) -> dict[str, _Entry]:
        return _entries(self._path, {})


@dataclass
class _Node:
    """What is known of a value: what is in it if it is a dict or list, or the constant it is.

    Without a `kind`, there may be more in it than is known.
    """

    kind: Container | None = None
    entries: dict[str, _Entry] = field(default_factory=dict)
    constant: object = None

    @property
    def is_dict(self) -> bool:
        return self.kind in (Container.call, Container.mapping)

    @property
    def is_list(self) -> bool:
        return self.kind is Container.sequence

    @property
    def replaces(self) -> bool:
        """Whether it is not to be merged with what is inherited."""
        delete = self.entries.get("_delete_")
        return delete is not None and str(delete.node.constant).lower() != "false"


class _Entry(NamedTuple):
    place: Place
    value: Place
    container: Container
    node: _Node


@dataclass(frozen=True)
class _File:
    """A file and what its text parses to: statements, a YAML file's entries, or nothing.

    `identity` is one for all paths through linked directories, so that none leads on forever.
    """

    path: Path
    identity: str
    text: str
    content: ast.Module | dict[str, _Entry] | None

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")  # as Python counts them, unlike `splitlines`


def _read(path: Path) -> _File | None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        return _parsed(path, (status.st_ino, status.st_mtime_ns, status.st_size))
    except (OSError, ValueError, LookupError, SyntaxError):  # SyntaxError: an unknown encoding
        return None


@functools.lru_cache(maxsize=1024)
def _parsed(path: Path, _version: tuple[int, ...]) -> _File:
    is_python = path.suffix == ".py"
    with tokenize.open(path) if is_python else path.open(encoding="utf-8-sig") as stream:
        text = stream.read()
    if path.suffix == ".json":
        text = text.replace("\t", " ")  # YAML knows no tabs
    identity = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118
    if is_python:
        text, module = _python(text)
        return _File(path, identity, text, module)
    return _File(path, identity, text, _yaml(path, text))


#: What mmengine fills in before it parses a file; not all of it can be parsed before.
_TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}")
_ENVIRONMENT_TEMPLATE = re.compile(r"\{\{[^{}\n]*\$[^{}\n]*\}\}")


def _zeros(template: re.Match[str]) -> str:
    return "0" * len(template[0])  # so that what follows on the line stays in its column


def _python(text: str) -> tuple[str, ast.Module | None]:
    for candidate in (text, _ENVIRONMENT_TEMPLATE.sub(_zeros, text)):
        with (
            contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            return candidate, ast.parse(candidate)
    return text, None


def _yaml(path: Path, text: str) -> dict[str, _Entry] | None:
    import yaml

    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    nodes: dict[int, _Node] = {}  # an anchor may be inside what it stands for

    def position(index: int) -> tuple[int, int]:
        line = bisect.bisect_right(starts, index)
        return line, index - starts[line - 1] + 1

    def place(part: yaml.Node) -> Place:
        start = part.start_mark.index
        written = text[start : part.end_mark.index].rstrip()  # a block lasts until the next begins
        return Place(path, *position(start), *position(start + len(written)))

    def node(part: yaml.Node) -> _Node:
        if id(part) in nodes:
            return nodes[id(part)]
        found = nodes[id(part)] = _Node()
        if isinstance(part, yaml.ScalarNode):
            found.constant = text[part.start_mark.index : part.end_mark.index].strip("'\"\n ")
        elif isinstance(part, yaml.SequenceNode):
            found.kind = Container.sequence
            for index, item in enumerate(part.value):
                at = place(item)
                found.entries[str(index)] = _Entry(at, at, Container.sequence, node(item))
        else:
            found.kind = Container.mapping
            for key, value in part.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    merged = node(value)
                    several = [e.node for e in merged.entries.values()] if merged.is_list else []
                    for other in several or [merged]:
                        found.entries = {**other.entries, **found.entries}
                elif isinstance(key, yaml.ScalarNode):
                    entry = _Entry(place(key), place(value), Container.mapping, node(value))
                    found.entries[key.value] = entry
        return found

    for candidate in (text, _TEMPLATE.sub(_zeros, text)):
        nodes.clear()
        with contextlib.suppress(yaml.YAMLError, ValueError, OverflowError, RecursionError):
            root = yaml.compose(candidate, Loader=yaml.SafeLoader)
            return node(root).entries if isinstance(root, yaml.MappingNode) else {}
    return None


def _bases(file: _File) -> Iterator[Path]:
    """The files that a file says it inherits; they may not exist."""
    for name in _base_names(file):
        yield from _named_base(name, file.path)
    for statement in _imports(file):
        yield from _imported_base(statement, file.path)


def circle_of_bases(path: Path) -> list[Path]:
    """The files of which each inherits the next, where the last is the first; empty without one."""
    done: set[Path] = set()

    def follow(path: Path, above: list[Path]) -> list[Path]:
        if path in above:
            return [*above[above.index(path) :], path]
        file = None if path in done else _read(path)
        done.add(path)
        bases = _bases(file) if file is not None else ()
        return next(filter(None, (follow(base, [*above, path]) for base in bases)), [])

    return follow(path, [])


def _base_names(file: _File) -> Iterator[str]:
    """What `_base_` is set to."""
    if isinstance(file.content, ast.Module):
        for statement in file.content.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="_base_")], value=value):
                    strings = (n.value for n in ast.walk(value) if isinstance(n, ast.Constant))
                    yield from (string for string in strings if isinstance(string, str))
    elif file.content is not None and "_base_" in file.content:
        base = file.content["_base_"].node
        for node in [base, *(entry.node for entry in base.entries.values())]:
            if isinstance(node.constant, str):
                yield node.constant


def _named_base(name: str, inheriting: Path) -> Iterator[Path]:
    """`../x.py`, `{{ fileDirname }}/x.py` or `mmpretrain::mae/x.py` -> the file."""
    absolute = Path(os.path.abspath(inheriting))  # noqa: PTH100 (as mmengine: links are kept)
    variables = {
        "fileDirname": absolute.parent.as_posix(),
        "fileBasename": absolute.name,
        "fileBasenameNoExtension": absolute.stem,
        "fileExtname": absolute.suffix,
    }
    name = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda m: variables.get(m[1], m[0]), name)
    variable_or_default = r"\{\{['\"]?\s*\$(\w+)\s*:\s*(\S*?)\s*['\"]?\}\}"
    name = re.sub(variable_or_default, lambda m: os.environ.get(m[1], m[2]), name)
    if "::" not in name:
        yield Path(os.path.normpath(inheriting.parent / name))
    elif "@" not in name:  # to `locate`, a revision
        with contextlib.suppress(LldtoolError):
            yield locate(name).path


def _imports(file: _File) -> list[ast.ImportFrom]:
    """The imports in `with read_base():`."""
    body = file.content.body if isinstance(file.content, ast.Module) else []
    return [
        statement
        for block in body
        if isinstance(block, ast.With) and _reads_base(block)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
    ]


def _reads_base(block: ast.With) -> bool:
    match block.items[0].context_expr:
        case ast.Call(func=ast.Name(id="read_base")):
            return True
    return False


def _imported_base(statement: ast.ImportFrom, inheriting: Path) -> Iterator[Path]:
    """`from .._base_.x import …` or `from mmpretrain.configs.x import …` -> the file."""
    if not statement.module:
        return
    parts = statement.module.split(".")
    if statement.level:
        up = [".."] * (statement.level - 1)
        yield Path(os.path.normpath(inheriting.parent.joinpath(*up, *parts))).with_suffix(".py")
        return
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(parts[0])  # a package itself: nothing is imported
        locations = (spec.submodule_search_locations if spec else None) or ()
        for root in map(Path, locations):
            folders = (root, root / ".mim")
            files = (folder.joinpath(*parts[1:]).with_suffix(".py") for folder in folders)
            yield from [file for file in files if file.is_file()][:1]


def _entries(path: Path, done: dict[str, dict[str, _Entry]]) -> dict[str, _Entry]:
    """What a file defines and inherits, the caller's to change.

    Args:
        path: the file.
        done: of the files that were looked at; of one that inherits itself, nothing.
    """
    file = _read(path)
    if file is None:
        return {}
    try:
        if file.identity not in done:
            done[file.identity] = {}
            done[file.identity] = _defined(file, done)
        return _copied(_Node(entries=done[file.identity]), {}).entries
    except RecursionError:
        return {}


def _defined(file: _File, done: dict[str, dict[str, _Entry]]) -> dict[str, _Entry]:
    inherited: dict[str, _Entry] = {}
    for name in _base_names(file):
        for base in _named_base(name, file.path):
            inherited |= _entries(base, done)
    if not isinstance(file.content, ast.Module):
        return _merged(file.content or {}, inherited)
    statements = _Statements(file, inherited, done)
    statements.follow(file.content.body)
    return _merged(statements.names, inherited)


def _copied(node: _Node, copies: dict[int, _Node]) -> _Node:
    """A copy, in which what was one thing in two places still is."""
    copy = copies.get(id(node))
    if copy is None:
        copy = copies[id(node)] = _Node(node.kind, constant=node.constant)
        for key, entry in node.entries.items():
            copy.entries[key] = entry._replace(node=_copied(entry.node, copies))
    return copy


def _merged(own: dict[str, _Entry], inherited: dict[str, _Entry]) -> dict[str, _Entry]:
    """Dicts in one another, as mmengine merges a config with its bases."""
    both = {key: _over(entry, inherited[key]) for key, entry in own.items() if key in inherited}
    return {**inherited, **own, **both}


def _over(own: _Entry, inherited: _Entry) -> _Entry:
    node = own.node
    if node.replaces or not (node.is_dict and inherited.node.is_dict):
        return own
    return own._replace(node=_Node(node.kind, _merged(node.entries, inherited.node.entries)))


#: What makes a dict of its arguments.
_DICTS = ("dict", "ConfigDict", "Config", "OrderedDict")


class _Statements:
    """What the statements of a Python file define, by the names of its variables."""

    def __init__(
        self, file: _File, inherited: dict[str, _Entry], done: dict[str, dict[str, _Entry]]
    ) -> None:
        self._file = file
        self._base = _Node(Container.mapping, inherited)
        self._done = done
        self.names: dict[str, _Entry] = {}

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
                    _update(self._node(target), self._node(value))
                case ast.Expr(value=ast.Call(func=ast.Attribute() as method) as call):
                    self._change(method, call, surely=surely)
                case ast.With() if _reads_base(statement):
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
                entries, place = self.names, self._place(target)
            case ast.Attribute(value=inside, attr=key):
                entries, place = self._node(inside).entries, self._place(target)
                column = place.end_column - len(key)
                place = Place(place.file, place.end_line, column, place.end_line, place.end_column)
            case ast.Subscript(value=inside, slice=index):
                entries, place = self._node(inside).entries, self._place(index)
                found = self._key(index, self._node(inside))
                if found is None:
                    return
                key = found
            case _:
                return
        entry = _Entry(place, self._place(value), Container.statement, self._node(value))
        entries[key] = entry if surely or key not in entries else _over(entry, entries[key])

    def _change(self, method: ast.Attribute, call: ast.Call, *, surely: bool) -> None:
        """`optim_wrapper.update(…)`, `optim_wrapper.merge(…)`, `param_scheduler.append(…)`."""
        node = self._node(method.value)
        if method.attr in ("update", "merge"):
            _update(node, self._dict(call))
        elif node.is_list and method.attr == "append" and surely and len(call.args) == 1:
            node.entries |= self._list(call.args, len(node.entries)).entries
        elif node.is_list:
            # From here on, it is not known which item is which.
            node.kind = None
            if method.attr != "append":
                node.entries.clear()

    def _inherit(self, statement: ast.ImportFrom) -> None:
        for path in _imported_base(statement, self._file.path):
            entries = _entries(path, self._done)
            for alias in statement.names:
                if alias.name == "*":
                    self.names |= entries
                elif alias.name in entries:
                    self.names[alias.asname or alias.name] = entries[alias.name]

    def _node(self, value: ast.expr) -> _Node:
        match value:
            case ast.Constant(value=constant):
                return _Node(constant=constant)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
                return _Node(constant=-number)
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
                return _Node(Container.mapping)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return self._list(items)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _DICTS:
                return self._dict(value)
            case (
                ast.Call(func=ast.Attribute(value=copied, attr="copy"), args=[])
                | ast.Call(func=ast.Attribute(attr="copy" | "deepcopy"), args=[copied])
                | ast.Call(func=ast.Name(id="copy" | "deepcopy"), args=[copied])
            ):
                return _copied(self._node(copied), {})
            case ast.BinOp(left=left, op=ast.BitOr() | ast.Add(), right=right):
                return self._both(self._node(left), self._node(right))
        return _Node()

    def _item(self, inside: _Node, key: str | None) -> _Node:
        return inside.entries[key].node if key in inside.entries else _Node()

    def _key(self, key: ast.expr, inside: _Node | None = None) -> str | None:
        """The constant that a key is; from the end of a list, counted from its start."""
        constant = self._node(key).constant
        if isinstance(constant, int) and constant < 0 and inside is not None and inside.is_list:
            constant += len(inside.entries)
        return None if constant is None else str(constant)

    def _display(self, display: ast.Dict) -> _Node:
        node = _Node(Container.mapping)
        for key, value in zip(display.keys, display.values, strict=True):
            if key is None:
                node.entries |= self._unpacked(value)
            elif (name := self._key(key)) is not None:
                places = self._place(key), self._place(value)
                node.entries[name] = _Entry(*places, Container.mapping, self._node(value))
        return node

    def _dict(self, call: ast.Call) -> _Node:
        node = _Node(Container.call)
        for argument in call.args:
            node.entries |= self._unpacked(argument)
        for keyword in call.keywords:
            if keyword.arg is None:
                node.entries |= self._unpacked(keyword.value)
                continue
            at, value = self._place(keyword), self._place(keyword.value)
            place = Place(at.file, at.line, at.column, at.line, at.column + len(keyword.arg))
            entry = _Entry(place, value, Container.call, self._node(keyword.value))
            node.entries[keyword.arg] = entry
        return node

    def _unpacked(self, value: ast.expr) -> dict[str, _Entry]:
        node = self._node(value)
        return node.entries if node.is_dict else {}

    def _list(self, items: Sequence[ast.expr], first: int = 0) -> _Node:
        found: list[_Entry] = []
        kind: Container | None = Container.sequence
        for item in items:
            if not isinstance(item, ast.Starred):
                place = self._place(item)
                found.append(_Entry(place, place, Container.sequence, self._node(item)))
                continue
            unpacked = self._node(item.value)
            if not unpacked.is_list:
                kind = None
                break
            found += unpacked.entries.values()
        return _Node(kind, {str(index): entry for index, entry in enumerate(found, first)})

    def _both(self, left: _Node, right: _Node) -> _Node:
        """`left | right` of dicts, `left + right` of lists or strings."""
        if left.is_dict or right.is_dict:
            return _Node(left.kind or right.kind, {**left.entries, **right.entries})
        if left.is_list and right.is_list:
            entries = [*left.entries.values(), *right.entries.values()]
            return _Node(left.kind, {str(index): entry for index, entry in enumerate(entries)})
        if isinstance(left.constant, str) and isinstance(right.constant, str):
            return _Node(constant=left.constant + right.constant)
        return _Node()

    def _place(self, node: ast.expr | ast.keyword) -> Place:
        end_line, end = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        start = self._column(node.lineno, node.col_offset)
        return Place(self._file.path, node.lineno, start, end_line, self._column(end_line, end))

    def _column(self, line: int, offset: int) -> int:
        """`ast` counts the bytes of UTF-8."""
        text = self._file.lines[line - 1]
        return 1 + (offset if text.isascii() else len(text.encode()[:offset].decode()))


def _update(node: _Node, changes: _Node) -> None:
    if changes.replaces:
        node.entries.clear()
    node.entries |= _merged(changes.entries, node.entries)


#: `# lldtool: ignore`, `# lldtool: ignore[LLD104, LLD301]`; not with brackets and no code in them.
_IGNORE = re.compile(
    r"#\s*lldtool\s*:\s*ignore(?:\s*\[([\s,]*\w[\w\s,-]*)\]|(?!\s*\[|[\w-]))", re.IGNORECASE
)


def _suppressions(file: _File) -> Iterator[Suppression]:
    if file.path.suffix == ".json" or not _IGNORE.search(file.text):
        return
    comments = _comments if file.path.suffix == ".py" else _yaml_comments
    for line, column, comment in comments(file.text):
        for match in _IGNORE.finditer(comment):
            codes = tuple(code.upper() for code in re.findall(r"[\w-]+", match[1] or ""))
            start, end = column + match.start() + 1, column + match.end() + 1
            yield Suppression(file.path, line, codes, Place(file.path, line, start, line, end))


def _comments(text: str) -> Iterator[tuple[int, int, str]]:
    """Line, column from 0, and text of each comment, up to an error."""
    with contextlib.suppress(SyntaxError, tokenize.TokenError):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield *token.start, token.string


def _yaml_comments(text: str) -> Iterator[tuple[int, int, str]]:
    """As `_comments`: a # that is in no string, at the start of a line or after a space."""
    import yaml

    spans, end = [], 0
    with contextlib.suppress(yaml.YAMLError):
        for token in yaml.scan(text):
            end = token.end_mark.index
            if isinstance(token, yaml.ScalarToken):
                spans.append((token.start_mark.index, end))
    starts = [start for start, _ in spans]
    offset = 0
    for number, line in enumerate(text.split("\n"), 1):
        for match in re.finditer(r"(?:(?<=\s)|^)#", line):
            index = offset + match.start()
            before = bisect.bisect_right(starts, index) - 1
            if index < end and (before < 0 or spans[before][1] <= index):
                yield number, match.start(), line[match.start() :]
                break
        offset += len(line) + 1

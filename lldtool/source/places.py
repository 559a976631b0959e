"""Where an entry of a config stands in its source, through its bases, without executing any.

A file is parsed into a `_Node` for each of its top-level names; what later statements change is
written into the nodes. An entry is looked for in the config first, then in its bases, the last of
them first, as mmengine merges them.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib.util
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lldtool.errors import LldtoolError
from lldtool.findings import Place
from lldtool.source import locate

#: `{{ fileDirname }}`, `{{_base_.model}}`: mmengine puts text there before it parses a file.
_PLACEHOLDER = re.compile(r"\{\{\s*([\w.:]+)\s*\}\}")
_IGNORE = re.compile(r"#\s*lldtool:\s*ignore(?:\[(?P<codes>[^\]]*)\])?", re.IGNORECASE)
#: What makes a dict of its arguments.
_DICTS = {"dict", "Dict", "ConfigDict", "Config", "OrderedDict"}


@dataclass(frozen=True)
class Entry:
    """An entry of a config: its key's place, its value's, and whether that is a `dict(…)`."""

    place: Place
    value: Place
    is_call: bool


@dataclass(frozen=True)
class Suppression:
    """A comment that ignores these codes on its line; no codes are all of them."""

    file: Path
    line: int
    codes: tuple[str, ...]
    place: Place


@dataclass
class _Node:
    """A value; of a dict or list also its entries, each by its key's place and its value."""

    place: Place | None = None
    is_call: bool = False
    children: dict[str, tuple[Place | None, _Node]] = field(default_factory=dict)

    @property
    def replaces(self) -> bool:
        """Whether mmengine takes it for what it inherits, rather than merging the two."""
        return "_delete_" in self.children


@dataclass(frozen=True)
class _Document:
    """A parsed file. `is_pure_python` says that its bases are imported."""

    names: dict[str, tuple[Place | None, _Node]] = field(default_factory=dict)
    bases: tuple[Path, ...] = ()
    is_pure_python: bool = False
    suppressions: tuple[Suppression, ...] = ()


class Sources:
    """The source of a config: its file, and those that it inherits from.

    `files` are these files, the config's own first; those that are missing are left out.
    """

    def __init__(self, path: Path) -> None:
        self.files = tuple(_with_bases(path, {}))

    @property
    def is_pure_python(self) -> bool:
        """Whether the config is written in mmengine's new style, with imports for bases."""
        return bool(self.files) and _document(self.files[0]).is_pure_python

    def entry(self, key: Sequence[str]) -> Entry | None:
        """Where exactly this entry is written, nearest to the config itself; None if nowhere.

        Args:
            key: the keys that lead to it, indices of lists as digits.
        """
        return _found(self.files[0], tuple(key), set()) if self.files and key else None

    def place(self, key: Sequence[str]) -> Place | None:
        """The place of the entry's key, or else of the innermost entry around it."""
        entries = (self.entry(key[:end]) for end in range(len(key), 0, -1))
        return next((entry.place for entry in entries if entry is not None), None)

    def suppressions(self) -> tuple[Suppression, ...]:
        """The comments in all of its files that ignore findings."""
        return tuple(one for file in self.files for one in _document(file).suppressions)


def _with_bases(path: Path, seen: dict[Path, None]) -> dict[Path, None]:
    """The file and what it inherits from, each once."""
    with contextlib.suppress(OSError, ValueError):
        if path.is_file() and path.resolve() not in {p.resolve() for p in seen}:
            seen[path] = None
            for base in _document(path).bases:
                _with_bases(base, seen)
    return seen


def _found(path: Path, key: tuple[str, ...], seen: set[Path]) -> Entry | None:
    if path in seen:
        return None
    seen.add(path)
    document = _document(path)
    inherited = True
    place, node = document.names.get(key[0], (None, None))
    if node is not None:
        inherited = not node.replaces and not (document.is_pure_python and place is not None)
        for part in key[1:]:
            place, node = node.children.get(part, (None, None)) if node else (None, None)
            inherited = inherited and not (node is not None and node.replaces)
    if node is not None and place is not None:
        return Entry(place, node.place or place, node.is_call)
    bases = reversed(document.bases) if inherited else iter(())
    return next((e for base in bases if (e := _found(base, key, seen)) is not None), None)


def _document(path: Path) -> _Document:
    """What is in a file; nothing where it can't be read or parsed."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return _Document()
    return _parsed(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=4096)
def _parsed(path: Path, _mtime: int, _size: int) -> _Document:
    try:
        if path.suffix == ".py":
            with tokenize.open(path) as file:
                return _python(path, file.read())
        return _yaml(path, path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return _Document()


# Python


def _python(path: Path, text: str) -> _Document:
    # Of the same length, so that columns stay as they are.
    blanked = _PLACEHOLDER.sub(lambda found: "_" * len(found[0]), text)
    tree = ast.parse(blanked)
    reader = _Reader(path, blanked)
    imported = [*_imported(tree, path)]
    classic = [*_named_bases(path, ast.parse(_substituted(text, path)) if "{{" in text else tree)]
    reader.bases = [base for name in classic if (base := _base(name, path)) is not None]
    reader.bases += imported
    reader.read(tree.body)
    return _Document(
        reader.names, tuple(reader.bases), bool(imported), tuple(_comments(path, text))
    )


def _substituted(text: str, path: Path) -> str:
    """The text with what mmengine knows of the file put in, as far as bases need it."""
    known = {
        "fileDirname": path.absolute().parent.as_posix(),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }
    return _PLACEHOLDER.sub(lambda found: known.get(found[1], "_"), text)


def _named_bases(path: Path, tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "_base_" for target in statement.targets
        ):
            nodes = getattr(statement.value, "elts", [statement.value])
            yield from (text for node in nodes if (text := _text(node)) is not None)


def _base(name: str, path: Path) -> Path | None:
    """The file that `_base_` names: relative to this one, or `package::x.py`."""
    if "::" not in name:
        return path.parent / Path(name).expanduser()
    with contextlib.suppress(LldtoolError):
        return locate(name).path
    return None


def _imported(tree: ast.Module, path: Path) -> Iterator[Path]:
    """The files that are imported under `with read_base()`."""
    for statement in ast.walk(tree):
        if isinstance(statement, ast.With) and "read_base" in ast.dump(statement.items[0]):
            for line in statement.body:
                if isinstance(line, ast.ImportFrom):
                    yield from (f for f in _module_files(line, path) if f.is_file())


def _module_files(line: ast.ImportFrom, path: Path) -> Iterator[Path]:
    """`from ..a.b import x` -> the files that may be `a.b`, and `x` in the package `a.b`."""
    parts = (line.module or "").split(".") if line.module else []
    if line.level:
        folders = [path.absolute().parents[line.level - 1]]
    else:
        package, *parts = parts
        spec = None
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(package)
        roots = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
        folders = [folder for root in roots for folder in (root, root / ".mim")]
    for folder in folders:
        inside = folder.joinpath(*parts)
        yield inside.with_name(f"{inside.name}.py") if parts else inside / "__init__.py"
        yield from (inside / f"{name.name}.py" for name in line.names)


class _Reader:
    """Reads statements one after the other, as Python would run them."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.split("\n")
        self.bases: list[Path] = []
        self.names: dict[str, tuple[Place | None, _Node]] = {}

    def read(self, statements: Sequence[ast.stmt]) -> None:
        """Read them, those inside `if`, `for`, `with` and `try` as well."""
        for statement in statements:
            if isinstance(statement, ast.Assign):
                for target in statement.targets:
                    self._assign(target, statement.value)
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                self._assign(statement.target, statement.value)
            elif isinstance(statement, ast.AugAssign):
                self._merge(self._reached(statement.target), self._value(statement.value))
            elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                self._call(statement.value)
            elif not isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                for part in ("body", "handlers", "orelse", "finalbody"):
                    below = getattr(statement, part, [])
                    for one in below if isinstance(below, list) else []:
                        self.read([one] if isinstance(one, ast.stmt) else one.body)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        node = self._value(value)
        if isinstance(target, ast.Name):
            self.names[target.id] = self._place(target), node
            return
        if not isinstance(target, (ast.Attribute, ast.Subscript)):
            return
        inside, key = self._reached(target.value), _key(target)
        if inside is not None and key is not None:
            inside.children[key] = self._key_place(target), node

    def _call(self, call: ast.Call) -> None:
        """`x.update(…)`, `x.merge(…)`, `x.setdefault(key, …)`."""
        if not isinstance(call.func, ast.Attribute):
            return
        method, inside = call.func.attr, call.func.value
        if method in ("update", "merge", "merge_from_dict"):
            self._merge(self._reached(inside), self._arguments(call))
        elif method == "setdefault" and len(call.args) == 2 and (key := _text(call.args[0])):
            reached = self._reached(inside)
            if reached is not None:
                entry = self._place(call.args[0]), self._value(call.args[1])
                reached.children.setdefault(key, entry)

    def _merge(self, into: _Node | None, other: _Node) -> None:
        for key, (place, node) in other.children.items() if into is not None else ():
            assert into is not None
            known = into.children.get(key)
            if known is not None and node.children and known[1].children and not node.replaces:
                self._merge(known[1], node)
                into.children[key] = place, known[1]
            else:
                into.children[key] = place, node

    def _reached(self, target: ast.expr) -> _Node | None:
        """The node that a chain of names leads to; made where this file has none of it yet."""
        if isinstance(target, ast.Name):
            if target.id == "_base_":
                return _Node(children=self.names)
            return self.names.setdefault(target.id, (None, _Node()))[1]
        if not isinstance(target, (ast.Attribute, ast.Subscript)):
            return None
        inside, key = self._reached(target.value), _key(target)
        if inside is None or key is None:
            return None
        return inside.children.setdefault(key, (None, _Node()))[1]

    def _value(self, value: ast.expr) -> _Node:
        node = _Node(self._place(value))
        if isinstance(value, ast.Dict):
            for key, item in zip(value.keys, value.values, strict=True):
                text = None if key is None else _text(key)
                if key is None:
                    node.children.update(self._value(item).children)
                elif text is not None:
                    node.children[text] = self._place(key), self._value(item)
        elif isinstance(value, (ast.List, ast.Tuple)):
            for index, item in enumerate(value.elts):
                node.children[str(index)] = self._place(item), self._value(item)
        elif isinstance(value, ast.Call):
            return self._called(value, node)
        elif isinstance(value, ast.BinOp) and isinstance(value.op, (ast.BitOr, ast.Add)):
            for side in (value.left, value.right):
                node.children.update(self._value(side).children)
        elif isinstance(value, (ast.Name, ast.Attribute, ast.Subscript)):
            return self._named(value) or node
        return node

    def _called(self, call: ast.Call, node: _Node) -> _Node:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        name = call.func.id if isinstance(call.func, ast.Name) else name
        if name in ("copy", "deepcopy"):
            inside = call.args[0] if call.args else getattr(call.func, "value", None)
            return node if inside is None else self._value(inside)
        if name not in _DICTS:
            return node
        return _Node(node.place, is_call=True, children=self._arguments(call).children)

    def _arguments(self, call: ast.Call) -> _Node:
        """What `dict(…)` or `update(…)` is given, as one dict."""
        node = _Node()
        for argument in call.args:
            node.children.update(self._value(argument).children)
        for keyword in call.keywords:
            if keyword.arg is None:
                node.children.update(self._value(keyword.value).children)
            else:
                place = self._place(keyword, length=len(keyword.arg))
                node.children[keyword.arg] = place, self._value(keyword.value)
        return node

    def _named(self, value: ast.expr) -> _Node | None:
        """What a name, or a chain of them, stands for in this file or its bases."""
        if isinstance(value, ast.Name):
            if value.id in self.names:
                return self.names[value.id][1]
            documents = (_document(base) for base in reversed(self.bases))
            return next((d.names[value.id][1] for d in documents if value.id in d.names), None)
        if not isinstance(value, (ast.Attribute, ast.Subscript)):
            return None
        key = _key(value)
        if isinstance(value.value, ast.Name) and value.value.id == "_base_" and key is not None:
            return self._named(ast.Name(key))
        inside = self._named(value.value)
        return inside.children[key][1] if inside and key in inside.children else None

    def _key_place(self, target: ast.Attribute | ast.Subscript) -> Place:
        if isinstance(target, ast.Subscript):
            return self._place(target.slice)
        place = self._place(target)
        start = place.end_column - len(target.attr)
        return Place(self.path, place.end_line, start, place.end_line, place.end_column)

    def _place(self, node: Any, length: int | None = None) -> Place:
        line, column = node.lineno, self._column(node.lineno, node.col_offset)
        if length is not None:
            return Place(self.path, line, column, line, column + length)
        end = self._column(node.end_lineno, node.end_col_offset)
        return Place(self.path, line, column, node.end_lineno, end)

    def _column(self, line: int, offset: int) -> int:
        """An offset in UTF-8 as a column in characters, from 1."""
        text = self.lines[line - 1] if line <= len(self.lines) else ""
        return 1 + (
            offset if text.isascii() else len(text.encode()[:offset].decode("utf-8", "ignore"))
        )


def _key(target: ast.Attribute | ast.Subscript) -> str | None:
    """The last key of a chain: `b` of `a.b` and of `a['b']`, `0` of `a[0]`."""
    return target.attr if isinstance(target, ast.Attribute) else _text(target.slice)


def _text(node: ast.expr) -> str | None:
    """A constant as the key that it is; None for what only running tells."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int)):
        return str(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None or right is None else left + right
    return None


def _comments(path: Path, text: str) -> Iterator[Suppression]:
    with contextlib.suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            found = _IGNORE.search(token.string) if token.type == tokenize.COMMENT else None
            if found is not None:
                yield _suppression(path, token.start[0], token.start[1] + found.start(), found)


def _suppression(path: Path, line: int, column: int, found: re.Match[str]) -> Suppression:
    codes = tuple(
        code.strip().upper() for code in (found["codes"] or "").split(",") if code.strip()
    )
    end = column + len(found[0])
    return Suppression(path, line, codes, Place(path, line, column + 1, line, end + 1))


# YAML and JSON


def _yaml(path: Path, text: str) -> _Document:
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    node = _yaml_node(path, root)
    bases = node.children.get("_base_")
    named = []
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if bases is not None and key.value == "_base_":
            items = value.value if isinstance(value, yaml.SequenceNode) else [value]
            named = [_substituted(str(item.value), path) for item in items]
    comments = (
        _suppression(path, number, found.start(), found)
        for number, line in enumerate(text.splitlines(), 1)
        if (found := _IGNORE.search(line)) is not None and path.suffix != ".json"
    )
    found_bases = (_base(name, path) for name in named)
    return _Document(
        node.children, tuple(base for base in found_bases if base), suppressions=tuple(comments)
    )


def _yaml_node(path: Path, node: Any) -> _Node:
    import yaml

    made = _Node(None if node is None else _yaml_place(path, node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            made.children[str(key.value)] = _yaml_place(path, key), _yaml_node(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            made.children[str(index)] = _yaml_place(path, item), _yaml_node(path, item)
    return made


def _yaml_place(path: Path, node: Any) -> Place:
    start, end = node.start_mark, node.end_mark
    return Place(path, start.line + 1, start.column + 1, end.line + 1, end.column + 1)

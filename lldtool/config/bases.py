"""A config's file -> the files that it inherits."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from lldtool.config import locate
from lldtool.config.files import File
from lldtool.config.location import Location
from lldtool.errors import LldtoolError


def bases_of(file: File) -> Iterator[tuple[Path, Location]]:
    """Yield the files that a file inherits, which may not exist, and where it names them."""
    for name, location in base_names(file):
        for path in named_base(name, file.path):
            yield path, location
    for statement in base_imports(file.statements):
        for path in imported_base(statement, file.path):
            yield path, file.location(statement)


def base_names(file: File) -> Iterator[tuple[str, Location]]:
    """Yield the names in `_base_`, each with its location."""
    for statement in file.statements:
        match statement:
            case ast.Assign(targets=[ast.Name(id="_base_")], value=value):
                for node in ast.walk(value):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        yield node.value, file.location(node)
    if isinstance(file.content, dict) and (base := file.content.get("_base_")):
        for entry in (base, *base.value.entries.values()):
            if isinstance(entry.value.constant, str):
                yield entry.value.constant, entry.value_location


def named_base(name: str, inheriting: Path) -> Iterator[Path]:
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


def base_imports(statements: Iterable[ast.stmt]) -> Iterator[ast.ImportFrom]:
    """Yield the imports in `with read_base():`."""
    for statement in statements:
        match statement:
            case ast.With(items=[ast.withitem(ast.Call(func=ast.Name(id="read_base"))), *_]):
                yield from (s for s in statement.body if isinstance(s, ast.ImportFrom))


def imported_base(statement: ast.ImportFrom, inheriting: Path) -> Iterator[Path]:
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
        for root in map(Path, (spec.submodule_search_locations if spec else None) or ()):
            folders = (root, root / ".mim")
            files = (folder.joinpath(*parts[1:]).with_suffix(".py") for folder in folders)
            yield from [file for file in files if file.is_file()][:1]

"""A config's file -> the files that it inherits."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import re
from collections.abc import Iterator
from pathlib import Path

from lldtool.config import locate
from lldtool.config.files import File
from lldtool.config.location import Location
from lldtool.errors import LldtoolError


def bases_of(file: File) -> Iterator[tuple[Path, Location]]:
    """The files that a file says it inherits, which may not exist, and where it says so."""
    for name, place in base_names(file):
        for path in named_base(name, file.path):
            yield path, place
    for statement in base_imports(file):
        for path in imported_base(statement, file.path):
            yield path, file.place(statement)


def base_names(file: File) -> Iterator[tuple[str, Location]]:
    """What `_base_` is set to, each name with its place."""
    if isinstance(file.content, ast.Module):
        for statement in file.content.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id="_base_")], value=value):
                    for node in ast.walk(value):
                        if isinstance(node, ast.Constant) and isinstance(node.value, str):
                            yield node.value, file.place(node)
    elif file.content is not None and "_base_" in file.content:
        base = file.content["_base_"]
        for item in [base, *base.node.entries.values()]:
            if isinstance(item.node.constant, str):
                yield item.node.constant, item.value


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


def base_imports(file: File) -> list[ast.ImportFrom]:
    """The imports in `with read_base():`."""
    body = file.content.body if isinstance(file.content, ast.Module) else []
    return [
        statement
        for block in body
        if isinstance(block, ast.With) and reads_base(block)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
    ]


def reads_base(block: ast.With) -> bool:
    """Whether it is `with read_base():`."""
    match block.items[0].context_expr:
        case ast.Call(func=ast.Name(id="read_base")):
            return True
    return False


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
        locations = (spec.submodule_search_locations if spec else None) or ()
        for root in map(Path, locations):
            folders = (root, root / ".mim")
            files = (folder.joinpath(*parts[1:]).with_suffix(".py") for folder in folders)
            yield from [file for file in files if file.is_file()][:1]

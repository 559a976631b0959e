"""A config's file -> its text and what that parses to; it is never executed."""

from __future__ import annotations

import ast
import bisect
import contextlib
import functools
import os
import re
import stat
import tokenize
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lldtool.config.entries import Container, Item, Node
from lldtool.config.location import Location


@dataclass(frozen=True)
class File:
    """A file and what its text parses to: statements, a YAML file's entries, or nothing.

    `identity` is one for all paths through linked directories, so that none leads on forever.
    """

    path: Path
    identity: str
    text: str
    content: ast.Module | dict[str, Item] | None

    @cached_property
    def lines(self) -> list[str]:
        """The lines as Python counts them, unlike `splitlines`."""
        return self.text.split("\n")

    def place(self, node: ast.expr | ast.keyword | ast.stmt) -> Location:
        """Where a part of the parsed file stands."""
        end_line, end = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        start = self._column(node.lineno, node.col_offset)
        return Location(self.path, node.lineno, start, end_line, self._column(end_line, end))

    def _column(self, line: int, offset: int) -> int:
        """`ast` counts the bytes of UTF-8."""
        text = self.lines[line - 1]
        return 1 + (offset if text.isascii() else len(text.encode()[:offset].decode()))


def read(path: Path) -> File | None:
    """The file, or None where it can't be read; once for each version of it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        return _parsed(path, (status.st_ino, status.st_mtime_ns, status.st_size))
    except (OSError, ValueError, LookupError, SyntaxError):  # SyntaxError: an unknown encoding
        return None


@functools.lru_cache(maxsize=1024)
def _parsed(path: Path, _version: tuple[int, ...]) -> File:
    is_python = path.suffix == ".py"
    with tokenize.open(path) if is_python else path.open(encoding="utf-8-sig") as stream:
        text = stream.read()
    if path.suffix == ".json":
        text = text.replace("\t", " ")  # YAML knows no tabs
    identity = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118
    if is_python:
        text, module = _python(text)
        return File(path, identity, text, module)
    return File(path, identity, text, _yaml(path, text))


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


def _yaml(path: Path, text: str) -> dict[str, Item] | None:
    import yaml

    starts = [0, *(match.end() for match in re.finditer("\n", text))]
    nodes: dict[int, Node] = {}  # an anchor may be inside what it stands for

    def position(index: int) -> tuple[int, int]:
        line = bisect.bisect_right(starts, index)
        return line, index - starts[line - 1] + 1

    def place(part: yaml.Node) -> Location:
        start = part.start_mark.index
        written = text[start : part.end_mark.index].rstrip()  # a block lasts until the next begins
        return Location(path, *position(start), *position(start + len(written)))

    def node(part: yaml.Node) -> Node:
        if id(part) in nodes:
            return nodes[id(part)]
        found = nodes[id(part)] = Node()
        if isinstance(part, yaml.ScalarNode):
            found.constant = text[part.start_mark.index : part.end_mark.index].strip("'\"\n ")
        elif isinstance(part, yaml.SequenceNode):
            found.kind = Container.sequence
            for index, item in enumerate(part.value):
                at = place(item)
                found.entries[str(index)] = Item(at, at, Container.sequence, node(item))
        else:
            found.kind = Container.mapping
            for key, value in part.value:
                if key.tag == "tag:yaml.org,2002:merge":
                    merged = node(value)
                    several = [e.node for e in merged.entries.values()] if merged.is_list else []
                    for other in several or [merged]:
                        found.entries = {**other.entries, **found.entries}
                elif isinstance(key, yaml.ScalarNode):
                    entry = Item(place(key), place(value), Container.mapping, node(value))
                    found.entries[key.value] = entry
        return found

    for candidate in (text, _TEMPLATE.sub(_zeros, text)):
        nodes.clear()
        with contextlib.suppress(yaml.YAMLError, ValueError, OverflowError, RecursionError):
            root = yaml.compose(candidate, Loader=yaml.SafeLoader)
            return node(root).entries if isinstance(root, yaml.MappingNode) else {}
    return None

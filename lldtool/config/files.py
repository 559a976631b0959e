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
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lldtool.config.entries import Container, Entry, Value
from lldtool.config.location import Location

if TYPE_CHECKING:
    import yaml

#: What mmengine fills in before it parses a file; not all of it can be parsed before.
_TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}")
_ENVIRONMENT_TEMPLATE = re.compile(r"\{\{[^{}\n]*\$[^{}\n]*\}\}")


class File:
    """A file and what its text parses to.

    `identity` is the same for all paths to it through linked directories. `content` is the module
    of a Python file, the entries of a YAML or JSON file, or None if the file is broken.
    """

    def __init__(self, path: Path) -> None:
        is_python = path.suffix == ".py"
        with tokenize.open(path) if is_python else path.open(encoding="utf-8-sig") as stream:
            text = stream.read()
        # YAML, as which JSON is read, has no tabs.
        self.text = text.replace("\t", " ") if path.suffix == ".json" else text
        self.path = path
        self.identity = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118
        self.content = self._python() if is_python else self._yaml()

    @property
    def statements(self) -> list[ast.stmt]:
        """The statements of a Python file."""
        return self.content.body if isinstance(self.content, ast.Module) else []

    def location(self, node: ast.expr | ast.keyword | ast.stmt) -> Location:
        """Return the location of a part of a Python file."""
        start = self._column(node.lineno, node.col_offset)
        end_line, end = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return Location(self.path, node.lineno, start, end_line, self._column(end_line, end))

    def span(self, start: int, end: int) -> Location:
        """Return the location of the characters from one index of the text to another."""
        return Location(self.path, *self._position(start), *self._position(end))

    @cached_property
    def _line_starts(self) -> list[int]:
        """The indices where lines begin, as Python and editors count them."""
        return [0, *(newline.end() for newline in re.finditer("\n", self.text))]

    def _position(self, index: int) -> tuple[int, int]:
        line = bisect.bisect_right(self._line_starts, index)
        return line, index - self._line_starts[line - 1] + 1

    def _column(self, line: int, offset: int) -> int:
        """Convert an offset of `ast`, which counts the bytes of UTF-8."""
        start = self._line_starts[line - 1]
        text = self.text[start : start + offset]
        return 1 + (offset if text.isascii() else len(text.encode()[:offset].decode()))

    def _python(self) -> ast.Module | None:
        for text in (self.text, _with_zeros(_ENVIRONMENT_TEMPLATE, self.text)):
            with (
                contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                module = ast.parse(text)
                self.text = text
                return module
        return None

    def _yaml(self) -> dict[str, Entry] | None:
        import yaml

        for text in (self.text, _with_zeros(_TEMPLATE, self.text)):
            with contextlib.suppress(yaml.YAMLError, ValueError, OverflowError, RecursionError):
                root = yaml.compose(text, Loader=yaml.SafeLoader)
                is_dict = isinstance(root, yaml.MappingNode)
                return self._yaml_value(root, {}).entries if is_dict else {}
        return None

    def _yaml_value(self, node: yaml.Node, known: dict[int, Value]) -> Value:
        """Convert a node; `known` are those converted, as an anchor may be inside its own value."""
        import yaml

        if id(node) in known:
            return known[id(node)]
        value = known[id(node)] = Value()
        if isinstance(node, yaml.ScalarNode):
            written = self.text[node.start_mark.index : node.end_mark.index]
            value.constant = written.strip("'\"\n ")
        elif isinstance(node, yaml.SequenceNode):
            value.kind = Container.sequence
            for index, item in enumerate(node.value):
                at = self._yaml_location(item)
                value.entries[str(index)] = Entry(at, at, self._yaml_value(item, known))
        else:
            value.kind = Container.mapping if node.flow_style else Container.block
            for key, item in node.value:
                inner = self._yaml_value(item, known)
                if key.tag == "tag:yaml.org,2002:merge":
                    for other in _merged_mappings(inner):
                        value.entries = {**other.entries, **value.entries}
                elif isinstance(key, yaml.ScalarNode):
                    locations = self._yaml_location(key), self._yaml_location(item)
                    value.entries[key.value] = Entry(*locations, inner)
        return value

    def _yaml_location(self, node: yaml.Node) -> Location:
        start = node.start_mark.index
        # A block lasts until the next begins.
        return self.span(start, start + len(self.text[start : node.end_mark.index].rstrip()))


def read(path: Path) -> File | None:
    """Return the file, or None where it can't be read; each version of it is parsed once."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        return _parsed(path, (status.st_ino, status.st_mtime_ns, status.st_size))
    except (OSError, ValueError, LookupError, SyntaxError):  # SyntaxError: an unknown encoding
        return None


@functools.lru_cache(maxsize=1024)
def _parsed(path: Path, _version: tuple[int, ...]) -> File:
    return File(path)


def _with_zeros(template: re.Pattern[str], text: str) -> str:
    """Replace templates by zeros, so that what follows on the line stays in its column."""
    return template.sub(lambda found: "0" * len(found[0]), text)


def _merged_mappings(value: Value) -> Iterator[Value]:
    """Yield what `<<:` merges, one mapping or a list of them."""
    if value.is_list:
        yield from (entry.value for entry in value.entries.values())
    else:
        yield value

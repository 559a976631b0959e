"""How mmengine reads the files of a config: plain data stays data, and none is read forever."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lldtool.dryrun.patching import patched
from lldtool.errors import LldtoolError

#: More entries than this, with aliases written out, are no config; mmengine copies them one by one.
_MOST_ENTRIES = 1_000_000
#: Deeper YAML ends the process: PyYAML's parser in C recurses.
_DEEPEST = 200
#: Tags that are Python's and plain data all the same; mmengine writes tuples as `!!python/tuple`.
_PLAIN = (
    "none", "bool", "str", "unicode", "bytes", "int", "long", "float", "complex", "list", "tuple",
    "dict",
)  # fmt: skip


class NotPlainDataError(Exception):
    """Something in a line of a YAML file is more than plain data."""

    def __init__(self, what: str, problem: str, line: int | None = None) -> None:
        super().__init__(what, problem)
        self.what = what
        self.problem = problem
        self.line = line


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Let mmengine read configs quickly and safely.

    Inside, a `NotPlainDataError` is raised for a YAML file that is more than plain data, and an
    `LldtoolError` for bases that inherit each other and for a base that is no regular file.
    """
    with _straight_to_base_configs(), _plain_yaml(), _no_circles():
        yield


@contextlib.contextmanager
def _plain_yaml() -> Iterator[None]:
    """Read YAML as data; mmengine's loader creates any Python object that a tag asks for."""
    from mmengine.fileio.handlers import yaml_handler

    with patched(yaml_handler, Loader=_plain_loader()):
        yield


@functools.cache
def _plain_loader() -> type:
    import yaml

    safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class PlainLoader(safe):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            text = stream.read() if hasattr(stream, "read") else stream
            _require_shallow(text, safe)
            super().__init__(text)

        def get_single_data(self) -> Any:
            content = super().get_single_data()
            if not isinstance(content, dict):
                raise NotPlainDataError("the top level", " is no dict")
            return content

        def construct_document(self, node: Any) -> Any:
            if _entries(node, {}) > _MOST_ENTRIES:
                problem = f" stand for more than {_MOST_ENTRIES:,} entries"
                raise NotPlainDataError("the aliases", problem)
            return super().construct_document(node)

        def refuse(self, node: Any) -> None:
            tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
            problem = " is refused: a YAML config is plain data"
            raise NotPlainDataError(f"the tag {tag}", problem, node.start_mark.line + 1)

    PlainLoader.add_constructor(None, PlainLoader.refuse)
    for name in _PLAIN:
        tag = f"tag:yaml.org,2002:python/{name}"
        PlainLoader.add_constructor(tag, yaml.FullLoader.yaml_constructors[tag])
    return PlainLoader


def _require_shallow(text: Any, loader: Any) -> None:
    import yaml

    depth = 0
    with contextlib.suppress(yaml.YAMLError):  # raised again when it is loaded
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                line = event.start_mark.line + 1
                raise NotPlainDataError("the nesting", f" is deeper than {_DEEPEST}", line)


def _entries(node: Any, known: dict[int, float]) -> float:
    """How many values a YAML node stands for with its aliases written out."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # what contains itself
        inside = node.value if isinstance(node.value, list) else []
        parts = [part for item in inside for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_entries(part, known) for part in parts)
    return known[id(node)]


@contextlib.contextmanager
def _no_circles() -> Iterator[None]:
    """Let no file inherit itself. The functions are private: where one is gone, none is changed."""
    from mmengine.config import Config

    with contextlib.ExitStack() as stack:
        for name in ("_file2dict", "_parse_lazy_import"):
            if (read := getattr(Config, name, None)) is not None:
                guarded = staticmethod(_guarded(read, []))
                stack.enter_context(patched(Config, **{name: guarded}))
        yield


def _guarded(read: Callable[..., Any], above: list[Path]) -> Callable[..., Any]:
    """A function that reads a file, and for that its bases by calling itself."""

    def read_once(filename: str, *args: Any, **kwargs: Any) -> Any:
        path = Path(filename).expanduser().absolute()
        # The same for all paths through linked directories, so that none leads on forever.
        identity = Path(os.path.realpath(path.parent), path.name)
        if identity in above:
            names = " → ".join(p.name for p in [*above[above.index(identity) :], identity])
            raise LldtoolError(f"its bases inherit each other in a circle: {names}")
        if path.exists() and not path.is_file():
            raise LldtoolError(f"{filename} is not a regular file")
        above.append(identity)
        try:
            return read(filename, *args, **kwargs)
        finally:
            above.pop()

    return read_once


@contextlib.contextmanager
def _straight_to_base_configs() -> Iterator[None]:
    """Spare mmengine the search of every metafile for a base that is a plain file.

    For `mmpretrain::_base_/x.py` mmengine first reads some 85 YAML files, in vain, then takes
    `.mim/configs/_base_/x.py`: 0.08 s for each base. The function is private: where it is gone,
    nothing is changed.
    """
    from mmengine.config import config as module

    search = getattr(module, "_get_external_cfg_path", None)
    if search is None:
        yield
        return

    def straight(package_path: str, name: str) -> Any:
        if name.startswith("_base_/") and Path(package_path, ".mim", "configs", name).is_file():
            raise ValueError(name)  # what mmengine's own search ends in
        return search(package_path, name)

    with patched(module, _get_external_cfg_path=straight):
        yield

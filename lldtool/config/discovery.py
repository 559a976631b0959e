"""CONFIG… | DIRECTORY… -> the configs that they name. Nothing is imported or executed."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lldtool.config import CONFIG_SUFFIXES, packaged_directory, split_package, split_revision
from lldtool.config.selectors import matches_path
from lldtool.errors import LldtoolError

#: What a config has, itself or from a base.
_NEEDED = frozenset({"model", "optim_wrapper"})
#: No config is as large; the annotations of a data set in JSON are.
_MOST_BYTES = 4_000_000
_SKIPPED = ("__pycache__", "node_modules")
#: What a config that can't be parsed has at the start of a line.
_CONFIG_LINE = re.compile(
    r"""^(\s*")?(optim_wrapper|_base_)"?\s*[=:]|^with read_base\(""", re.MULTILINE
)
#: What every config has, or what it inherits by.
_MENTIONED = re.compile("optim_wrapper|_base_|read_base")
#: A `_base_` that inherits nothing.
_NO_BASE = re.compile(r"^_base_\s*=\s*(\[\s*\]|\(\s*\))", re.MULTILINE)
#: Statements that define names.
_DEFINING = (ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom)
#: A key of a YAML mapping that is in no other.
_YAML_KEY = re.compile(r"""^["']?(\w+)["']?\s*:""", re.MULTILINE)


def discover(
    arguments: Sequence[str],
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    include_base: bool,
    root: Path | None,
) -> list[str]:
    """The configs that the arguments name, each once, as the user would name them.

    A directory, of files or of a package's configs, is searched for configs: what has a `model`
    and an `optim_wrapper`, itself or from its bases. Links to directories are not followed, hidden
    directories and virtual environments not entered. Everything else stays as it is, there or not.

    Args:
        arguments: files, directories, `package::directory`, and what else `locate` takes.
        include: globs of the only configs to take from directories; none for all.
        exclude: globs of what not to take from directories.
        include_base: whether to go into `_base_` directories.
        root: the directory that the globs are relative to; None for the working directory.

    Raises:
        LldtoolError: there is no config in a directory.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        folder = _directory(argument)
        if folder is None:
            configs = [argument]
        else:
            search = partial(_configs, folder, argument, root=root)
            configs = search(include=include, exclude=exclude, include_base=include_base)
            if not configs:
                hint = _why_none(search, include=include, exclude=exclude)
                raise LldtoolError(f"no configs in {argument}", hint=hint)
        for config in configs:
            found.setdefault(stable_name(config, root), config)
    return list(found.values())


def first_config(argument: str) -> str | None:
    """The first config in a directory, as the user would name it; None where there is none."""
    folder = _directory(argument)
    if folder is None:
        return None
    paths = _paths(folder, argument, include=(), exclude=(), include_base=False, root=None)
    return next((_named(path, folder, argument) for path in paths), None)


def shard(configs: Sequence[str], k: int, n: int) -> list[str]:
    """The k-th of n parts of the configs. In which one a config is depends on its name alone."""
    return [config for config in configs if _hash(config) % n == k - 1]


def parse_shard(text: str) -> tuple[int, int]:
    """`2/5` -> 2 and 5.

    Raises:
        LldtoolError: it is no K/N with 1 ≤ K ≤ N.
    """
    numbers = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    k, n = (int(number) for number in numbers.groups()) if numbers else (0, 0)
    if not 1 <= k <= n:
        raise LldtoolError(f"--shard: {text!r} is no K/N with K from 1 to N", hint="say, 2/5")
    return k, n


def stable_name(config: str, root: Path | None) -> str:
    """A config's name, wherever lldtool runs: its path from the root, or `package::x.py`.

    A revision stays. None for the root is the working directory.
    """
    if packaged := split_package(config):
        package, name = packaged
        return f"{package}::{os.path.normpath(name)}"
    try:
        path, revision = split_revision(config)
        name = _relative(Path(path).expanduser(), root or Path.cwd())
    except (OSError, ValueError, RuntimeError):  # no file can be so called
        return config
    return name if revision is None else f"{name}@{revision}"


def _relative(path: Path, root: Path) -> str:
    """The path from the root, with .. where it is not inside, neither as named nor really."""
    inside = Path(os.path.relpath(path, root))
    if ".." in inside.parts:
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            inside = path.resolve().relative_to(root.resolve())
    return inside.as_posix()


def _hash(config: str) -> int:
    name = Path(config).as_posix().encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(name).digest(), "big")


def _directory(argument: str) -> Path | None:
    """The directory that an argument names, if it names one."""
    try:
        if split_package(argument):
            return packaged_directory(argument)
        path = Path(argument).expanduser()
        return path if argument and path.is_dir() else None
    except (OSError, ValueError, RuntimeError):  # too long, with a NUL, no such ~user
        return None


def _configs(
    folder: Path,
    argument: str,
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    include_base: bool,
    root: Path | None,
) -> list[str]:
    """The configs in a directory, in the order of their paths, named as the argument is."""
    paths = _paths(
        folder, argument, include=include, exclude=exclude, include_base=include_base, root=root
    )
    return [_named(path, folder, argument) for path in sorted(paths)]


def _named(path: Path, folder: Path, argument: str) -> str:
    """A file in a directory, named as the argument is that names the directory."""
    package, separator, inside = argument.rpartition("::")
    return package + separator + str(Path(inside) / path.relative_to(folder))


def _paths(
    folder: Path,
    argument: str,
    *,
    include: Sequence[str],
    exclude: Sequence[str],
    include_base: bool,
    root: Path | None,
) -> Iterator[Path]:
    """The files of the configs in a directory."""

    def enters(path: Path) -> bool:
        skipped = path.name.startswith(".") or path.name in _SKIPPED
        name = stable_name(_named(path, folder, argument), root)
        return not (
            skipped
            or (path.name == "_base_" and not include_base)
            or _text(path / "pyvenv.cfg")  # a virtual environment
            or matches_path(exclude, name, is_directory=True)
        )

    def takes(path: Path) -> bool:
        name = stable_name(_named(path, folder, argument), root)
        wanted = matches_path(include, name) if include else True
        return wanted and not matches_path(exclude, name) and _is_config(path)

    for at, folders, files in os.walk(folder):
        folders[:] = [name for name in sorted(folders) if enters(Path(at, name))]
        yield from (path for name in sorted(files) if takes(path := Path(at, name)))


def _why_none(search: Callable[..., list[str]], **globs: Sequence[str]) -> str:
    """A hint at the configs that a directory does have."""
    if search(**globs, include_base=True):
        return "only in _base_, which include-base takes as well"
    if left_out := search(include=(), exclude=(), include_base=True):
        return f"include and exclude leave out {len(left_out)}"
    return "a config has a model and an optim_wrapper, itself or from its bases"


def _is_config(path: Path) -> bool:
    """Whether a file has what a config needs, or so looks and can't be parsed."""
    text = _text(path) if path.suffix in CONFIG_SUFFIXES else ""
    if not _MENTIONED.search(text):
        return False
    names = _names(path, text)
    if names is None:
        return _CONFIG_LINE.search(text) is not None
    if "schema_version" in names:  # what lldtool has written
        return False
    if names >= _NEEDED or "_base_" not in names:
        return names >= _NEEDED
    if _NO_BASE.search(text):
        return False
    from lldtool.config.locations import Sources

    files = Sources(path).files
    inherited = (_names(file, _text(file)) or () for file in files)
    # Without any base at hand, `check` says which is missing.
    return len(files) <= 1 or names.union(*inherited) >= _NEEDED


def _text(path: Path) -> str:
    """What a file holds; nothing where it is no file, can't be read, or is too large."""
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size <= _MOST_BYTES:
            return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _names(path: Path, text: str) -> set[str] | None:
    """The names that a file defines, `_base_` among them if it inherits; None if it is broken."""
    try:
        if path.suffix == ".py":
            return set(_python_names(text))
        if path.suffix == ".json":
            content = json.loads(text)
            return set(content) if isinstance(content, dict) else set()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return set(_YAML_KEY.findall(text))


def _python_names(text: str) -> Iterator[str]:
    """What is assigned or imported at a module's top level, and in `with read_base():`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statements = ast.parse(text).body
    for statement in statements:
        inherits = isinstance(statement, ast.With) and any(
            "read_base" in ast.unparse(item.context_expr) for item in statement.items
        )
        if inherits:
            yield "_base_"
        if inherits or isinstance(statement, _DEFINING):
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id
                elif isinstance(node, ast.alias):
                    yield node.asname or node.name

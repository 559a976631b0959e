"""What a user may name as CONFIG: a file, a config of an installed package, a plan, a checkpoint.

Each also as it was at a git revision: `configs/x.py@main`. The directory of a training stands for
its last checkpoint.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lldtool.config.request import Checkout
from lldtool.errors import LldtoolError
from lldtool.files import CHECKPOINT_SUFFIXES, is_checkpoint
from lldtool.plan import Plan, is_plan, plan_from_json
from lldtool.text import quoted

#: What mmengine's `Config.fromfile` reads.
CONFIG_SUFFIXES = (".py", ".json", ".yaml", ".yml")
#: Where mmengine notes the last checkpoint of a training, and the longest note that is read.
_LAST_CHECKPOINT, _LONGEST_PATH = "last_checkpoint", 4096

#: OpenMMLab's packages that ship configs.
_PACKAGES = (
    "mmpretrain", "mmdet", "mmseg", "mmpose", "mmaction", "mmrotate", "mmdet3d", "mmocr",
    "mmagic", "mmselfsup", "mmyolo",
)  # fmt: skip
#: `x.py@main`, `mmpretrain::x@HEAD@{1}`; no directory with an @ in its name is taken apart.
_AT_REVISION = re.compile(r"(.+(?:\.py|\.json|\.ya?ml)|.+::[^@]+?)@(.+)", re.DOTALL)


@dataclass(frozen=True)
class Located:
    """The file that a CONFIG argument names, and the tree that it is in if it has a revision."""

    path: Path
    checkout: Checkout | None = None


def locate(config: str) -> Located:
    """The file that a CONFIG argument names.

    Args:
        config: a path, or `package::path/in/its/configs.py`; with or without `@revision`.

    Raises:
        LldtoolError: there is no such file, or none that could be a config.
    """
    try:
        found = _found(config)
        if (last := last_checkpoint(found.path)) is not None:
            found = Located(last, found.checkout)
        if found.path.is_dir():
            hint = _instead_of_directory(config)
            raise LldtoolError("is a directory, not a config", config=config, hint=hint)
        if found.path.is_symlink() and not found.path.exists():
            raise LldtoolError("is a link that leads to no file", config=config)
        if not found.path.exists():
            raise LldtoolError("no such file", config=config, hint=_meant(config, found.path))
        if not found.path.is_file():
            raise LldtoolError("is not a regular file", config=config)
    except (OSError, ValueError, RuntimeError) as error:  # too long, with a NUL, no such ~user
        raise LldtoolError(f"no such file: {error}", config=config) from error
    if found.path.suffix not in CONFIG_SUFFIXES and not is_checkpoint(found.path):
        kinds = ", ".join((*CONFIG_SUFFIXES, *CHECKPOINT_SUFFIXES))
        raise LldtoolError(f"not a config: its name ends in none of {kinds}", config=config)
    return found


def last_checkpoint(path: Path) -> Path | None:
    """Return the last checkpoint of a training, given its directory or mmengine's note of it.

    None for another file or directory. A training that was moved has it beside the note.

    Raises:
        LldtoolError: there is no such file.
    """
    note = path / _LAST_CHECKPOINT if path.is_dir() else path
    if note.name != _LAST_CHECKPOINT or not note.is_file():
        return None
    with note.open(encoding="utf-8", errors="surrogateescape") as file:
        named = Path(file.read(_LONGEST_PATH).strip())
    beside = note.parent / named.name
    found = next((p for p in (beside, named) if is_checkpoint(p) and p.is_file()), None)
    if found is None:
        raise LldtoolError(f"names {quoted(str(named))}, which is not there", config=str(note))
    return found


def plan_in_file(path: Path, config: str) -> Plan | None:
    """The plan that a file holds, saved or in a checkpoint; None where a dry run has to tell it.

    That is so for a config, and for a checkpoint without the names of its parameters.

    Raises:
        LldtoolError: it is a plan or a checkpoint that can't be read.
    """
    if not is_checkpoint(path):
        return saved_plan(path, config)
    from lldtool.checkpoint import read_checkpoint
    from lldtool.checkpoint.plans import has_parameter_names, plan_of_checkpoint

    checkpoint = read_checkpoint(path, config)
    return plan_of_checkpoint(checkpoint) if has_parameter_names(checkpoint) else None


def saved_plan(path: Path, config: str) -> Plan | None:
    """The plan that the file holds, or None where it is a config.

    Raises:
        LldtoolError: it is a plan that can't be read.
    """
    if path.suffix != ".json":
        return None
    try:
        text = path.read_bytes()
    except OSError:
        return None  # mmengine reads JSON configs, and says what is wrong with this one
    try:
        return plan_from_json(text, source=config)
    except LldtoolError:
        if is_plan(text):
            raise
        return None


def split_revision(config: str) -> tuple[str, str | None]:
    """`configs/x.py@main` -> `configs/x.py` and `main`; None where a file is so called."""
    split = _AT_REVISION.fullmatch(config)
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # no file can be so called
        if Path(config).expanduser().exists():
            return config, None
    return (split[1], split[2]) if split else (config, None)


def split_package(config: str) -> tuple[str, str] | None:
    """`mmpretrain::mae/x.py` -> `mmpretrain` and `mae/x.py`; None for the path of a file."""
    package, separator, name = config.partition("::")
    if not separator or os.sep in package or "/" in package:
        return None
    with contextlib.suppress(OSError, ValueError):  # no file can be so called
        if Path(config).exists():
            return None
    return package, name


def packaged_directory(config: str) -> Path | None:
    """`mmpretrain::mae` -> the directory in the package's installed configs, if there is one."""
    package, name = split_package(config) or ("", "")
    folders = _config_folders(package)
    # A file comes first, as in `locate`.
    is_file = any((folder / f"{name}.py").is_file() for folder in folders if name)
    found = (folder / name for folder in folders if (folder / name).is_dir())
    return None if is_file else next(found, None)


def _found(config: str) -> Located:
    name, revision = split_revision(config)
    if revision is None:
        return Located(_path(config))
    from lldtool.config.git import at_revision

    return Located(*at_revision(_path(name), revision, config))


def _path(config: str) -> Path:
    packaged = split_package(config)
    return _packaged(config, *packaged) if packaged else Path(config).expanduser()


def _packaged(config: str, package: str, name: str) -> Path:
    """`mmpretrain::mae/x.py` -> the file in the package's installed configs."""
    folders = _config_folders(package)
    if not folders:
        near = difflib.get_close_matches(package, _PACKAGES, n=1)
        hint = f"did you mean {near[0]}::{name}?" if near and near[0] != package else None
        raise LldtoolError(f"the package {package!r} is not installed", config=config, hint=hint)
    candidates = [folder / name for folder in folders] + [
        folder / f"{name}.py" for folder in folders
    ]
    found = next((path for path in candidates if path.is_file()), None)
    return found or candidates[0]


def _config_folders(package: str) -> list[Path]:
    """Where a package's configs may be; nowhere if it is not installed. Nothing is imported."""
    try:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return []
    root = Path(spec.submodule_search_locations[0])
    # A wheel carries its configs in .mim; a checkout that is installed in place may not.
    return [root / ".mim" / "configs", root.parent / "configs", root / "configs"]


def _meant(config: str, path: Path) -> str | None:
    """A hint at a config of nearly this name: where it was looked for, or in the same package."""
    if packaged := split_package(config):
        package, name = packaged
        names = [n for folder in _config_folders(package) for n in _configs_below(folder)]
        same = [n for n in names if Path(n).stem == Path(name).stem]
        near = same or difflib.get_close_matches(f"{name.removesuffix('.py')}.py", names, n=1)
        return f"did you mean {package}::{near[0]}?" if near else None
    package, separator, name = config.partition(":")
    if separator and _config_folders(package):
        return f"did you mean {package}::{name}?"
    if not path.parent.is_dir():
        return f"there is no directory {path.parent} either"
    names = [p.name for p in path.parent.iterdir() if p.suffix in CONFIG_SUFFIXES]
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else None


def _configs_below(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.py"))]


def _instead_of_directory(config: str) -> str:
    """A hint at what to name in the place of a directory."""
    from lldtool.config.discovery import first_config

    first = first_config(config)
    if first is None:
        return "there is no config in it either"
    return f"name a config in it, such as {first}; lldtool check takes directories"

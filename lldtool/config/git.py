"""A file at a git revision: its whole tree, in a temporary directory, so that its bases are too.

A repository may be somebody else's, and its configuration names programs for git to run. Git is
only asked what it does without them: look up names, list trees and print blobs.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lldtool.config.request import Checkout
from lldtool.errors import LldtoolError

#: Overrides what a repository's configuration says. A bare repository that is committed inside
#: another is no repository then, and its configuration is not read.
_OVERRIDES = (
    "core.fsmonitor=false", f"core.hooksPath={os.devnull}", "safe.bareRepository=explicit",
    "protocol.allow=never",
)  # fmt: skip
#: The variables of git that stay: which configuration is the user's own, where a CI sets
#: `safe.directory`, and how far up a repository is looked for.
_KEPT_VARIABLES = (
    "GIT_CONFIG_", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM"
)  # fmt: skip
#: Nothing is fetched or written. GIT_ALLOW_PROTOCOL also overrides a `protocol.ext.allow=always`,
#: which `protocol.allow` does not.
_VARIABLES = {
    "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
}  # fmt: skip
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_EXECUTABLE, _LINK, _SUBMODULE = "100755", "120000", "160000"


@dataclass(frozen=True)
class _Entry:
    """A line of `git ls-tree`: mode, object name and path."""

    mode: str
    object_name: str
    path: str


def at_revision(path: Path, revision: str, config: str) -> tuple[Path, Checkout]:
    """The file as it was at a revision, and the tree that it is in.

    The repository is only read: neither its working tree nor its index changes, nothing is fetched,
    and no hook, filter or other program that it names runs.

    Args:
        path: the file; it need not be there any more.
        revision: what `git rev-parse` takes: a branch, a tag, a commit, `HEAD~3`.
        config: the CONFIG argument, for errors.

    Raises:
        LldtoolError: there is no git, no repository, no such revision, or no such file in it.
    """
    try:
        return _at_revision(path, revision)
    except LldtoolError as error:
        raise error.replace(config=config) from error.__cause__


def _at_revision(path: Path, revision: str) -> tuple[Path, Checkout]:
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    if shutil.which("git") is None:
        raise LldtoolError("a revision needs git, which is not installed")
    top = Path(_git(folder, "rev-parse", "--show-toplevel"))
    inside = path.absolute().relative_to(folder)
    name = _git(folder, "rev-parse", "--show-prefix") + inside.as_posix()
    commit = _commit(top, revision)
    if not _git(top, "ls-tree", "--name-only", commit, "--", f":(literal){name}"):
        hint = _why_missing(top, name, commit)
        raise LldtoolError(f"{name} is not in revision {revision}", hint=hint)
    tree = Path(_tree(top, commit).name).resolve()
    file = tree / name
    if file.is_file() and file.read_bytes().startswith(_LFS_POINTER):
        raise LldtoolError(f"{name} is stored by Git LFS, which lldtool does not run")
    return file, Checkout(top, tree)


def _commit(top: Path, revision: str) -> str:
    """The full name of the commit."""
    found, hint = _verified(top, revision), None
    if found is not None:
        return found
    if _git(top, "rev-parse", "--is-shallow-repository") == "true":
        hint = "the clone is shallow: git fetch --unshallow, or fetch-depth: 0 in CI"
    elif _verified(top, f"origin/{revision}"):
        hint = f"did you mean origin/{revision}?"
    raise LldtoolError(f"git knows no revision {revision!r}", hint=hint)


def _verified(top: Path, revision: str) -> str | None:
    if revision.startswith("-"):  # an option
        return None
    try:
        return _git(top, "rev-parse", "--verify", f"{revision}^{{commit}}")
    except LldtoolError:
        return None


def _why_missing(top: Path, name: str, commit: str) -> str | None:
    """The name that the file had there, or that git has never heard of it."""
    if not _git(top, "ls-files", "--", f":(literal){name}"):
        return "it is untracked" if (top / name).exists() else None
    # The index, as the files of the working tree would go through filters.
    options = ("--no-ext-diff", "--no-textconv", "--name-status", "-z", "-M", "--diff-filter=R")
    fields = _git(top, "diff-index", "--cached", *options, commit).split("\0")
    renamed = {new: old for old, new in zip(fields[1::3], fields[2::3], strict=False)}
    return f"there it was {renamed[name]}" if name in renamed else "it was added later"


@functools.cache
def _tree(top: Path, commit: str) -> tempfile.TemporaryDirectory[str]:
    """All files of a commit as they are stored; they go with the process."""
    folder = tempfile.TemporaryDirectory(prefix="lldtool-", ignore_cleanup_errors=True)
    tree = Path(folder.name).resolve()
    listed = _git(top, "ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
    entries = [_entry(line) for line in listed if line]
    # Links come last, so that nothing is written through one.
    entries.sort(key=lambda entry: entry.mode == _LINK)
    files = [entry for entry in entries if entry.mode != _SUBMODULE]
    for entry in entries:
        if entry.mode == _SUBMODULE:
            _write(tree, entry, b"")
    for entry, content in zip(files, _blobs(top, files), strict=True):
        _write(tree, entry, content)
    return folder


def _write(tree: Path, entry: _Entry, content: bytes) -> None:
    try:
        path = _place(tree, entry)
        if entry.mode == _SUBMODULE:
            path.mkdir()
        elif entry.mode == _LINK:
            path.symlink_to(os.fsdecode(content))
        else:
            with path.open("xb") as stream:
                stream.write(content)
            if entry.mode == _EXECUTABLE:
                path.chmod(0o755)
    except (OSError, ValueError) as error:  # two of one name, too long a name, a NUL in a link
        reason = getattr(error, "strerror", None) or error
        raise LldtoolError(f"git: can't write {entry.path!r:.80}: {reason}") from error


def _entry(line: str) -> _Entry:
    described, _, path = line.partition("\t")
    mode, _, object_name = described.split(" ")
    return _Entry(mode, object_name, path)


def _place(tree: Path, entry: _Entry) -> Path:
    """Where an entry goes, its folder made.

    Raises:
        LldtoolError: git would not write it either: it leads out of the tree.
    """
    path = tree / entry.path
    parts = entry.path.split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or ".git" in map(str.lower, parts):
        raise LldtoolError(f"git: invalid path {entry.path!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if Path(os.path.realpath(path.parent)) != path.parent:
        raise LldtoolError(f"git: invalid path {entry.path!r}, which is behind a link")
    return path


def _blobs(top: Path, entries: list[_Entry]) -> Iterator[bytes]:
    """The content of each entry as it is stored: no filter, no text conversion, no fetch."""
    with tempfile.TemporaryFile() as names, tempfile.TemporaryFile() as errors:
        names.write("".join(f"{entry.object_name}\n" for entry in entries).encode())
        names.seek(0)
        command = _command(top, "cat-file", "--batch", "--buffer")
        with subprocess.Popen(
            command, stdin=names, stdout=subprocess.PIPE, stderr=errors, env=_environment()
        ) as process:
            assert process.stdout is not None
            for entry in entries:
                yield _blob(process.stdout, entry)


def _blob(stream: IO[bytes], entry: _Entry) -> bytes:
    header = stream.readline().split()
    if len(header) != 3:
        hint = "in a partial clone, git archive REVISION > /dev/null fetches what is missing"
        raise LldtoolError(f"git has no content of {entry.path}", hint=hint)
    content = stream.read(int(header[2]))
    stream.read(1)  # an end of line
    return content


def _git(folder: Path, *arguments: str) -> str:
    """What git prints, without the last end of line.

    Raises:
        LldtoolError: git could not do it.
    """
    try:
        done = subprocess.run(
            _command(folder, *arguments),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=_environment(),
            check=False,
        )
    except (OSError, ValueError) as error:  # a NUL in the revision
        raise LldtoolError(f"git: {error}") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        fatal = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
        said = next(iter(fatal or lines), f"exit code {done.returncode}")
        raise LldtoolError(f"git: {said}")
    return os.fsdecode(done.stdout).removesuffix("\n")


def _command(folder: Path, *arguments: str) -> list[str]:
    options = [part for override in _OVERRIDES for part in ("-c", override)]
    return ["git", "-C", str(folder), "--no-pager", *options, *arguments]


def _environment() -> dict[str, str]:
    """The user's, without what git sets for a hook or what makes it run other programs."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT_VARIABLES)
    }
    return kept | _VARIABLES

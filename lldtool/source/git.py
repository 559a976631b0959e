"""A file at a git revision: its whole tree, in a temporary directory, so that its bases are too."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lldtool.errors import LldtoolError
from lldtool.request import Checkout

#: What git sets for a hook, about the repository that the hook runs for, and what would change
#: how paths are read.
_OF_A_HOOK = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR",
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
)  # fmt: skip
#: Files that a sparse checkout leaves out belong to the tree; hooks are not to run.
_WHOLE_AND_QUIET = ("-c", "core.sparseCheckout=false", "-c", f"core.hooksPath={os.devnull}")


def at_revision(path: Path, revision: str, config: str) -> tuple[Path, Checkout]:
    """The file as it was at a revision, and the tree that it is in.

    The repository is only read: neither its working tree nor its index changes, nothing is fetched.

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
        error.config = config
        raise


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
    return tree / name, Checkout(top, tree)


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
    changes = _git(top, "diff", "--name-status", "-z", "-M", "--diff-filter=R", commit)
    fields = changes.split("\0")
    renamed = {new: old for old, new in zip(fields[1::3], fields[2::3], strict=False)}
    return f"there it was {renamed[name]}" if name in renamed else "it was added later"


@functools.cache
def _tree(top: Path, commit: str) -> tempfile.TemporaryDirectory[str]:
    """All files of a commit, as a checkout would write them; they go with the process."""
    folder = tempfile.TemporaryDirectory(prefix="lldtool-", ignore_cleanup_errors=True)
    index = {"GIT_INDEX_FILE": str(Path(folder.name, ".lldtool-index"))}
    _git(top, "read-tree", commit, **index)
    _git(top, "checkout-index", "--all", f"--prefix={folder.name}/", **index)
    return folder


def _git(folder: Path, *arguments: str, **variables: str) -> str:
    """What git prints, without the last end of line.

    Raises:
        LldtoolError: git could not do it.
    """
    outside = {k: v for k, v in os.environ.items() if k not in _OF_A_HOOK}
    offline = {"GIT_NO_LAZY_FETCH": "1", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *_WHOLE_AND_QUIET, *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=outside | offline | variables,
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

"""CONFIG at a revision of a repository that somebody else made: nothing that it names runs.

Each trap is first sprung by git itself, so that it is known to be one.
"""

import os
import shutil
import subprocess

import pytest
from config.test_git import CONFIG, git, repository, write  # noqa: F401 (a fixture)

from lldtool.config import locate
from lldtool.errors import LldtoolError


def run_git(folder, command):
    """Run git as in a terminal: with a pager."""
    ours, its = os.openpty()
    subprocess.run(["git", "-C", folder, *command.split()], stdout=its, stderr=its, check=False)
    os.close(ours)
    os.close(its)


def script(folder, name="trap.sh", end="cat"):
    """A program that leaves a file `sprung` behind, and passes its input on."""
    path = folder / name
    path.write_text(f"#!/bin/sh\ntouch '{folder / 'sprung'}'\n{end}\n")
    path.chmod(0o755)
    return path


def fsmonitor(top, trap):
    git(top, "config", "core.fsmonitor", trap)
    return "status"


def smudge(top, trap):
    write(top / ".gitattributes", "*.py filter=evil\n")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "attributes")
    git(top, "tag", "-f", "old")
    git(top, "config", "filter.evil.smudge", trap)
    (top / "configs" / "x.py").unlink()
    return "checkout -- configs"


def clean(top, trap):
    smudge(top, "cat")
    git(top, "checkout", "--", "configs")
    git(top, "config", "filter.evil.clean", trap)
    write(top / "configs" / "x.py", "a = 1\n")
    return "diff --name-status old"


def external_diff(top, trap):
    git(top, "config", "diff.external", trap)
    write(top / "configs" / "x.py", "a = 1\n")
    return "diff old"


def textconv(top, trap):
    write(top / ".git" / "info" / "attributes", "*.py diff=evil\n")
    git(top, "config", "diff.evil.textconv", trap)
    write(top / "configs" / "x.py", "a = 1\n")
    return "diff old"


def hook(top, trap):
    shutil.copy(trap, top / ".git" / "hooks" / "post-index-change")
    return "read-tree HEAD"


def hooks_path(top, trap):
    write(top / ".git" / "own" / "post-index-change", trap.read_text())
    (top / ".git" / "own" / "post-index-change").chmod(0o755)
    git(top, "config", "core.hooksPath", ".git/own")
    return "read-tree HEAD"


def pager(top, trap):
    git(top, "config", "core.pager", trap)
    return "log"


def alias(top, trap):
    git(top, "config", "alias.ls", f"!{trap} < /dev/null")
    return "ls"


def included(top, trap):
    write(top / "settings", f'[core]\nfsmonitor = "{trap}"\n')
    git(top, "config", "include.path", "../settings")
    return "status"


def submodule(top, trap):
    """Whose own configuration counts when git looks whether it has changed."""
    git(top, "init", "-q", "part")
    git(top / "part", "commit", "-q", "--allow-empty", "-m", "one")
    git(top, "add", "part")
    git(top, "commit", "-q", "-m", "a submodule")
    git(top, "tag", "-f", "old")
    git(top / "part", "config", "core.fsmonitor", trap)
    return "status"


TRAPS = {
    trap.__name__: trap
    for trap in (
        fsmonitor, smudge, clean, external_diff, textconv, hook, hooks_path, pager, alias,
        included, submodule,
    )
}  # fmt: skip
#: Of a bare repository that names a folder as its working tree.
SETTINGS = """
[core]
repositoryformatversion = 0
bare = false
worktree = ..
fsmonitor = "%s"
"""


@pytest.mark.parametrize("name", TRAPS)
def test_no_program_of_a_repository_runs(name, repository, tmp_path):  # noqa: F811
    trap, sprung = script(tmp_path), tmp_path / "sprung"
    command = TRAPS[name](repository, trap)
    run_git(repository, command)
    assert sprung.exists()
    sprung.unlink()
    assert locate("configs/x.py@old").path.read_text() == CONFIG
    assert not sprung.exists()
    git(repository, "-c", "core.fsmonitor=false", "mv", "configs/x.py", "configs/y.py")
    sprung.unlink(missing_ok=True)
    with pytest.raises(LldtoolError, match=r"there it was|it was added later"):
        locate("configs/y.py@old")
    with pytest.raises(LldtoolError, match="no revision"):
        locate("configs/y.py@nowhere")
    assert not sprung.exists()


@pytest.mark.parametrize("config", ["x.py", "plan.json"])
def test_a_bare_repository_that_is_committed_is_not_asked(config, repository, tmp_path, cli):  # noqa: F811
    """A folder with HEAD, objects and refs is one to git, wherever it is from."""
    trap, sprung = script(tmp_path), tmp_path / "sprung"
    inner = repository / "vendored"
    git(repository, "init", "-q", "--bare", str(inner))
    write(inner / "config", SETTINGS % trap)
    write(inner / config, CONFIG)
    run_git(inner, "status")
    assert sprung.exists()
    sprung.unlink()
    for arguments in (
        ("diff", f"vendored/{config}", "--against", "HEAD"),
        ("inspect", f"vendored/{config}@HEAD"),
    ):
        result = cli(*arguments)
        assert (result.code, result.out) == (2, "")
        assert "safe.bareRepository" in result.err
    assert not sprung.exists()


@pytest.fixture
def partial(repository, tmp_path):  # noqa: F811
    """A clone without the blobs of the past."""
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repository}", "partial")
    return tmp_path / "partial"


@pytest.mark.parametrize("kind", ["ext", "upload-pack", "ssh", "helper"])
def test_a_partial_clone_fetches_nothing(kind, partial, tmp_path, monkeypatch):
    trap, sprung = script(tmp_path, "git-remote-evil", "exit 1"), tmp_path / "sprung"
    settings = {
        "ext": {"remote.origin.url": f"ext::{trap}", "protocol.ext.allow": "always"},
        "upload-pack": {"remote.origin.uploadpack": str(trap)},
        "ssh": {"remote.origin.url": "ssh://nowhere/x", "core.sshCommand": str(trap)},
        "helper": {"remote.origin.vcs": "evil", "protocol.evil.allow": "always"},
    }[kind]
    for key, value in settings.items():
        git(partial, "config", key, value)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    run_git(partial, "cat-file -p old:configs/_base_/schedule.py")
    assert sprung.exists()
    sprung.unlink()
    with pytest.raises(LldtoolError, match=r"no content of configs/_base_/schedule\.py"):
        locate(f"{partial}/configs/x.py@old")
    assert locate(f"{partial}/configs/x.py@HEAD").path.read_text() == CONFIG
    assert not sprung.exists()


def test_the_environment_names_no_program(repository, tmp_path, monkeypatch):  # noqa: F811
    trap, sprung = script(tmp_path), tmp_path / "sprung"
    for name in ("GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_SSH_COMMAND", "GIT_EDITOR", "GIT_ASKPASS"):
        monkeypatch.setenv(name, str(trap))
    monkeypatch.setenv("GIT_EXEC_PATH", str(tmp_path))
    monkeypatch.setenv("GIT_TRACE", str(sprung))
    assert locate("configs/x.py@old").path.read_text() == CONFIG
    assert not sprung.exists()


def test_the_users_own_configuration_counts(repository, tmp_path, monkeypatch):  # noqa: F811
    """A `safe.directory` there is what lets a container read a mounted repository."""
    write(tmp_path / "settings", "[core\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    with pytest.raises(LldtoolError, match="bad config"):
        locate("configs/x.py@old")


def test_a_file_that_lfs_stores_is_an_error_that_says_so(repository):  # noqa: F811
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    write(repository / "configs" / "large.py", pointer)
    write(repository / ".gitattributes", "large.py filter=lfs\n")
    git(repository, "-c", "filter.lfs.clean=cat", "add", "-A")
    git(repository, "commit", "-q", "-m", "a pointer")
    with pytest.raises(LldtoolError, match="Git LFS"):
        locate("configs/large.py@HEAD")
    assert locate("configs/x.py@HEAD").path.exists()


def test_links_submodules_and_odd_names_are_as_in_a_checkout(repository):  # noqa: F811
    git(repository, "init", "-q", "part")
    git(repository / "part", "commit", "-q", "--allow-empty", "-m", "one")
    (repository / "link.py").symlink_to("configs/x.py")
    (repository / "a folder").symlink_to("configs")
    write(repository / ".lldtool-index", "mine\n")
    write(repository / "odd\nname\ttab", "x")
    write(repository / "run.sh", "#!/bin/sh\n")
    (repository / "run.sh").chmod(0o755)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "odd")
    tree = locate("link.py@HEAD").checkout.tree
    assert sorted(p.name for p in tree.iterdir()) == [
        ".lldtool-index", "a folder", "configs", "link.py", "odd\nname\ttab", "part", "run.sh"
    ]  # fmt: skip
    assert (tree / "link.py").read_text() == CONFIG
    assert (tree / "a folder").is_symlink()
    assert (tree / ".lldtool-index").read_text() == "mine\n"
    assert os.access(tree / "run.sh", os.X_OK)


def made_commit(top, lines):
    """The name of a commit whose tree has these lines, as no `git add` would make them."""
    made = subprocess.run(
        ["git", "mktree"], input="".join(f"{line}\n" for line in lines), cwd=top,
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    return git(top, "commit-tree", "-m", "made", made.stdout.strip())


def test_nothing_is_written_outside_the_tree(repository, tmp_path):  # noqa: F811
    blob = git(repository, "rev-parse", "HEAD:configs/x.py")
    (tmp_path / "target").write_text(str(tmp_path / "out"))
    (tmp_path / "out").mkdir()
    link = git(repository, "hash-object", "-w", str(tmp_path / "target"))
    inner = git(repository, "rev-parse", "HEAD:configs")
    trees = {
        "a link and a folder": [f"120000 blob {link}\tx", f"040000 tree {inner}\tx"],
        "dots": [f"040000 tree {inner}\t.."],
        "git": [f"040000 tree {inner}\t.GIT"],
    }
    for lines in trees.values():
        commit = made_commit(repository, [*lines, f"100644 blob {blob}\tc.py"])
        with pytest.raises(LldtoolError, match=r"File exists|invalid path"):
            locate(f"c.py@{commit}")
    assert [*(tmp_path / "out").iterdir()] == []

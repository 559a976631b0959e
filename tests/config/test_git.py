"""CONFIG at a git revision."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TINY_VIT

from lldtool.config import locate
from lldtool.dryrun.isolation import in_checkout
from lldtool.errors import LldtoolError

BASE = "lr = 0.001\n"
CONFIG = "_base_ = ['_base_/schedule.py']\n"


def git(folder, *arguments):
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    command = ["git", *identity, "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a config and its base; the base was changed after the tag `old`."""
    top = tmp_path / "a räpo"
    write(top / "configs" / "x.py", CONFIG)
    write(top / "configs" / "_base_" / "schedule.py", BASE)
    git(top, "init", "-q", "-b", "main")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "one")
    git(top, "tag", "old")
    write(top / "configs" / "_base_" / "schedule.py", "lr = 0.002\n")
    git(top, "commit", "-q", "-a", "-m", "two")
    monkeypatch.chdir(top)
    return top


def base_of(config):
    return (locate(config).path.parent / "_base_" / "schedule.py").read_text()


@pytest.mark.parametrize("revision", ["old", "HEAD~1", "main@{0}^", "tags/old"])
def test_the_bases_are_those_of_the_revision(repository, revision):
    assert base_of(f"configs/x.py@{revision}") == BASE
    assert locate(f"configs/x.py@{revision}").path.read_text() == CONFIG


def test_from_a_folder_inside_and_by_an_absolute_path(repository, monkeypatch):
    monkeypatch.chdir(repository / "configs" / "_base_")
    assert base_of("../x.py@old") == BASE
    monkeypatch.chdir("/")
    assert base_of(f"{repository}/configs/x.py@old") == BASE


def test_the_repository_is_left_as_it_was(repository):
    write(repository / "configs" / "x.py", "changed\n")
    git(repository, "add", "-A")
    write(repository / "configs" / "x.py", "changed again\n")
    before = git(repository, "status", "--porcelain=v2"), git(repository, "worktree", "list")
    assert locate("configs/x.py@old").path.read_text() == CONFIG
    after = git(repository, "status", "--porcelain=v2"), git(repository, "worktree", "list")
    assert after == before


def test_a_file_that_is_gone_can_be_named(repository):
    git(repository, "rm", "-q", "-r", "configs")
    git(repository, "commit", "-q", "-m", "three")
    assert base_of("configs/x.py@old") == BASE


@pytest.mark.parametrize("revision", ["nope", "-h", "--help", "old:configs", "", "a b"])
def test_an_unknown_revision_is_an_error(repository, revision):
    with pytest.raises(LldtoolError) as raised:
        locate(f"configs/x.py@{revision}")
    assert "git knows no revision" in str(raised.value) or revision == ""


def test_an_untracked_file_is_an_error_that_says_so(repository):
    write(repository / "configs" / "new.py", CONFIG)
    with pytest.raises(LldtoolError, match=r"new\.py is not in revision old .it is untracked"):
        locate("configs/new.py@old")


def test_a_file_that_was_added_later_is_an_error_that_says_so(repository):
    write(repository / "configs" / "new.py", "later = 1\n")
    git(repository, "add", "-A")
    with pytest.raises(LldtoolError, match="it was added later"):
        locate("configs/new.py@old")


def test_a_renamed_file_is_an_error_that_says_what_it_was_called(repository):
    git(repository, "mv", "configs/x.py", "configs/y.py")
    with pytest.raises(LldtoolError, match=r"there it was configs/x\.py"):
        locate("configs/y.py@old")


def test_a_revision_beyond_a_shallow_clone_is_an_error_that_says_so(repository, tmp_path):
    url = f"file://{repository}"
    git(tmp_path, "clone", "-q", "--depth", "1", url, "shallow")
    with pytest.raises(LldtoolError, match="the clone is shallow: git fetch --unshallow"):
        locate(str(tmp_path / "shallow" / "configs" / "x.py@HEAD~1"))
    assert locate(str(tmp_path / "shallow" / "configs" / "x.py@HEAD")).path.exists()


def test_outside_a_repository_is_an_error(tmp_path):
    write(tmp_path / "x.py", CONFIG)
    with pytest.raises(LldtoolError, match="not a git repository"):
        locate(f"{tmp_path}/x.py@main")


def test_without_git_is_an_error(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LldtoolError, match="git, which is not installed"):
        locate("configs/x.py@old")


def test_in_a_git_hook(repository, monkeypatch):
    """Git sets these for a hook, relative to the repository that the hook is for."""
    monkeypatch.setenv("GIT_DIR", ".git")
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
    monkeypatch.chdir(repository / "configs")
    assert base_of("x.py@old") == BASE


def test_in_a_linked_worktree(repository, tmp_path):
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    assert base_of(f"{tmp_path}/linked/configs/x.py@old") == BASE


def test_a_name_with_an_at_sign_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "me@home" / "x.py", CONFIG)
    write(tmp_path / "x@1.py", CONFIG)
    assert locate("me@home/x.py").checkout is None
    assert locate("x@1.py").checkout is None


def test_a_name_with_two_colons_is_a_name(repository):
    write(repository / "a::b.py", CONFIG)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "colons")
    assert locate("a::b.py@HEAD").path.read_text() == CONFIG


def test_names_of_lldtools_own_are_files_like_others(repository):
    write(repository / "configs" / ".lldtool-index" / "x.py", CONFIG)
    write(repository / ".lldtool-index", "no index")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "names")
    assert locate("configs/.lldtool-index/x.py@HEAD").path.read_text() == CONFIG


def test_a_tree_is_written_once_and_goes_with_the_process(repository):
    script = (
        "from lldtool.config import locate\n"
        "one, two = (locate(f'configs/x.py@{r}') for r in ('old', 'HEAD~1'))\n"
        "assert one == two\n"
        "print(one.checkout.tree)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=repository, env=environment,
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert not Path(done.stdout.strip()).exists()


def test_inspect_names_the_config_as_it_was_named(repository, cli):
    write(repository / "configs" / "tiny.py", TINY_VIT)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "three")
    out = cli("inspect", "configs/tiny.py@main").out
    assert out.startswith("configs/tiny.py@main\n")


def test_errors_name_files_of_the_tree_as_the_repository_has_them(repository, cli):
    write(repository / "configs" / "_base_" / "schedule.py", "x = 1 / 0\n")
    git(repository, "commit", "-q", "-a", "-m", "three")
    result = cli("inspect", "configs/x.py@main")
    assert result.code == 2
    assert "lldtool-" not in result.err
    assert "ZeroDivisionError" in result.err


def own_path(checkout, *entries):
    """What `sys.path` has at a revision in the place of these entries."""
    before = sys.path[:]
    sys.path[:] = [str(entry) for entry in entries]
    try:
        with in_checkout(checkout):
            return sys.path[:]
    finally:
        sys.path[:] = before


def test_modules_of_the_repository_come_from_the_tree(repository, tmp_path):
    checkout = locate("configs/x.py@old").checkout
    (tmp_path / "link").symlink_to(repository)
    there = [str(checkout.tree), str(checkout.tree / "configs"), str(checkout.tree)]
    entries = (repository, repository / "configs", tmp_path / "link")
    assert own_path(checkout, *entries) == there


def test_installed_packages_stay_where_they_are(repository, monkeypatch):
    checkout = locate("configs/x.py@old").checkout
    monkeypatch.setattr(sys, "prefix", str(repository / ".venv"))
    installed = repository / ".venv" / "lib" / "site-packages"
    assert own_path(checkout, installed, "/usr/lib") == [str(installed), "/usr/lib"]

"""Any tree in a repository: its files are read as they are stored, or there is a clear error."""

import contextlib
import subprocess

import pytest
from fuzz.sweeps import NUMBERS, sweep
from hypothesis import strategies as st
from strategies import HOSTILE

from lldtool.config import git, locate
from lldtool.errors import LldtoolError

CONFIG = "config.py"
REGULAR, EXECUTABLE, LINK, FOLDER, SUBMODULE = b"100644", b"100755", b"120000", b"40000", b"160000"
#: Names that git itself would not check out, that lead elsewhere, or that mean something to it.
NAMES = [
    ".git", ".GIT", "git~1", ".gitattributes", ".gitmodules", "..", ".", "", "a", "A", "a ", "-x",
    ":(top)a", "*", "a\\b", "x" * 300, "link", "link/x", "../x", "/x", "C:x", ".lldtool-index",
]  # fmt: skip
names = st.one_of(
    st.sampled_from([*NAMES, *HOSTILE]), st.text(st.characters(codec="utf-8"), max_size=3)
).map(lambda name: name.encode(errors="surrogateescape" if name.isascii() else "surrogatepass"))
contents = st.one_of(
    st.binary(max_size=10), names, st.sampled_from([b"* filter=x\n", b"..", b"/", b"a", b"link"])
)
files = st.tuples(st.sampled_from([REGULAR, EXECUTABLE, LINK, SUBMODULE, b"100666"]), contents)
trees = st.recursive(
    st.lists(st.tuples(names, files), max_size=3),
    lambda inner: st.lists(st.tuples(names, st.one_of(files, inner)), max_size=3),
    max_leaves=6,
)


class Repository:
    """Writes objects as they are, where git would refuse to."""

    def __init__(self, top):
        self.top = top
        self._git("init", "-q")

    def commit(self, tree):
        name = self._tree(tree)
        identity = ("-c", "user.name=n", "-c", "user.email=e")
        return self._git(*identity, "commit-tree", name, "-m", "fuzz").decode()

    def _tree(self, tree):
        lines = []
        for name, content in tree:
            is_folder = isinstance(content, list)
            mode, data = (FOLDER, None) if is_folder else content
            found = self._tree(content) if is_folder else self._blob(mode, data)
            lines.append(mode + b" " + name.replace(b"\0", b"") + b"\0" + bytes.fromhex(found))
        return self._write("tree", b"".join(lines))

    def _blob(self, mode, data):
        return "12" * 20 if mode == SUBMODULE else self._write("blob", data)

    def _write(self, kind, data):
        options = ("hash-object", "-t", kind, "-w", "--stdin", "--literally")
        return self._git(*options, data=data).decode()

    def _git(self, *arguments, data=b""):
        command = ["git", "-C", self.top, *arguments]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout.strip()


@pytest.mark.parametrize("number", NUMBERS)
def test_any_tree_is_read_or_an_error(number, tmp_path, monkeypatch):
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    outside.mkdir()
    repository = Repository(top)
    monkeypatch.chdir(top)
    monkeypatch.setattr(git.tempfile, "tempdir", str(outside))

    @sweep(number, trees, st.binary(max_size=20))
    def holds(tree, content):
        commit = repository.commit([*tree, (CONFIG.encode(), (REGULAR, content))])
        with contextlib.suppress(LldtoolError):
            located = locate(f"{CONFIG}@{commit}")
            assert located.path.read_bytes() == content
            assert [located.checkout.tree] == [*outside.iterdir()]
        git._tree.cache_clear()
        assert [*outside.iterdir()] == []
        assert [path.name for path in tmp_path.iterdir()] == ["top", "outside"]
        assert [path.name for path in top.iterdir()] == [".git"]

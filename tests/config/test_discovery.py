"""Which configs `check` is about: what its arguments name, found without running anything."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lldtool.config import locate
from lldtool.config.discovery import discover, parse_shard, shard, stable_name
from lldtool.config.selectors import is_path_pattern, matches_path
from lldtool.errors import LldtoolError

BOTH = "model = dict(type='X')\noptim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n"
MODEL, SCHEDULE = BOTH.splitlines(keepends=True)


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Make files in the working directory: path -> text."""
    monkeypatch.chdir(tmp_path)

    def make(files):
        for name, text in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return make


def found(*arguments, include=(), exclude=(), include_base=False, root=None):
    return discover(
        arguments, include=include, exclude=exclude, include_base=include_base, root=root
    )


def is_found(tree, text, name="configs/x.py", **others):
    """Whether a file is taken for a config when its directory is searched."""
    tree({"configs/other.py": BOTH, name: text, **others})
    return name in found("configs")


# What is taken as it is.


def test_what_is_no_directory_stays_as_it_is_and_in_its_place(tree):
    tree({"b.py": "", "configs/a.py": BOTH, "notes.txt": ""})
    arguments = ["b.py", "plan.json", "configs/none.py", "configs", "configs/a.py@main",
                 "mmpretrain::mae/x.py", "nopackage::x", "nopackage::", "notes.txt"]  # fmt: skip
    expected = [*arguments]
    expected[3] = "configs/a.py"
    assert found(*arguments) == expected


@pytest.mark.parametrize("argument", ["a" * 5000, "a\0b", "~nobody-is-called-so/x.py", ""])
def test_what_no_file_can_be_called_is_left_to_the_error_of_locate(argument):
    assert found(argument) == [argument]
    with pytest.raises(LldtoolError):
        locate(argument)


def test_a_file_that_is_named_is_taken_even_if_excluded(tree):
    tree({"configs/_base_/a.py": "", "configs/x.py": ""})
    names = ["configs/_base_/a.py", "configs/x.py"]
    assert found(*names, exclude=["configs"], include=["none"]) == names


def test_a_config_that_is_named_twice_is_checked_once(tree):
    top = tree({"configs/a.py": BOTH, "configs/b.py": BOTH})
    assert found("configs/b.py", "./configs", f"{top}/configs/a.py") == [
        "configs/b.py",
        "configs/a.py",
    ]
    assert found("configs/a.py", "configs/a.py@main") == ["configs/a.py", "configs/a.py@main"]


# What is found in a directory.


def test_a_directory_is_searched_in_the_order_of_paths(tree):
    tree(dict.fromkeys(("c/b/x.py", "c/a-b/x.py", "c/a/y.py", "c/a/x.py", "c/z.py"), BOTH))
    expected = ["c/a/x.py", "c/a/y.py", "c/a-b/x.py", "c/b/x.py", "c/z.py"]
    assert found("c") == found("c/") == expected
    assert found(".") == expected
    assert found("c/b", "c/a") == ["c/b/x.py", "c/a/x.py", "c/a/y.py"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("configs/x.py", BOTH),
        ("configs/x.py", "from other import model, optim_wrapper\n"),
        ("configs/x.py", "model: dict = {}\noptim_wrapper: dict = {}\n"),
        ("configs/x.py", "model, optim_wrapper = {}, {}\n"),
        ("configs/x.json", '{"model": {}, "optim_wrapper": {}}'),
        ("configs/x.yaml", "model:\n  type: X\noptim_wrapper:\n  type: Y\n"),
        ("configs/x.yml", "'model' : {}\n\"optim_wrapper\": {}\n"),
        # `check` says what is wrong with these.
        ("configs/x.py", BOTH + "x = (\n"),
        ("configs/x.py", "_base_ = ['../a.py'\n"),
        ("configs/x.json", '{\n  "model": {},\n  "optim_wrapper": {},\n}'),
    ],
)
def test_what_has_a_model_and_an_optim_wrapper_is_a_config(tree, name, text):
    assert is_found(tree, text, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("configs/x.py", ""),
        ("configs/x.py", MODEL),
        ("configs/x.py", SCHEDULE),
        ("configs/x.py", "def f():\n    model = optim_wrapper = 1\n"),
        ("configs/x.py", "class A:\n    model = optim_wrapper = 1\n"),
        ("configs/x.py", "if __name__ == '__main__':\n    model = optim_wrapper = 1\n"),
        ("configs/x.py", "model['a'] = 1\noptim_wrapper.b = 2\n"),
        ("configs/x.py", "# optim_wrapper\nprint 'python 2'\n"),
        ("configs/x.py", "from mmengine.config import read_base\n"),
        ("configs/x.py", b"model = optim_wrapper = 1\n\0"),
        ("configs/x.txt", BOTH),
        ("configs/x.json", '{"schema_version": 1, "model": {}, "optim_wrapper": {}}'),
        ("configs/x.json", '["model", "optim_wrapper"]'),
        ("configs/x.json", '{"a": {"model": {}, "optim_wrapper": {}}}'),
        ("configs/x.json", '{"a": "optim_wrapper",}'),
        ("configs/x.yaml", "a:\n  model: x\n  optim_wrapper: y\n"),
        ("configs/x.py", BOTH.encode() + b"#" * 5_000_000),
    ],
)
def test_what_has_not_both_at_its_top_level_is_none(tree, name, text):
    assert not is_found(tree, text, name)


@pytest.mark.parametrize(
    ("text", "bases"),
    [
        ("_base_ = 'a.py'\n" + SCHEDULE, {"configs/a.py": MODEL}),
        ("_base_ = ['a.py', 'b/c.py']\n", {"configs/a.py": MODEL, "configs/b/c.py": SCHEDULE}),
        ("_base_ = ['a.py']\n", {"configs/a.py": "_base_ = 'b/b.py'\n", "configs/b/b.py": BOTH}),
        (
            "from mmengine.config import read_base\nwith read_base():\n    from .a import *\n",
            {"configs/a.py": BOTH},
        ),
    ],
)
def test_what_inherits_them_is_a_config(tree, text, bases):
    assert is_found(tree, text, **bases)


def test_what_inherits_only_one_of_them_is_none(tree):
    assert not is_found(tree, "_base_ = 'a.py'\n", **{"configs/a.py": MODEL})


def test_a_config_whose_base_is_gone_is_left_for_check_to_say_so(tree):
    assert is_found(tree, "_base_ = 'gone.py'\n")


def test_nothing_is_executed(tree):
    assert is_found(tree, BOTH + "open('ran', 'w')\nraise SystemExit\n")
    assert not Path("ran").exists()


def test_hidden_directories_caches_and_environments_are_not_entered(tree):
    tree(
        {f"c/{folder}/x.py": BOTH for folder in (".git", "__pycache__", "node_modules", "v", "ok")}
    )
    tree({"c/v/pyvenv.cfg": "home = /usr/bin"})
    assert found("c") == ["c/ok/x.py"]
    assert found("c/.git") == ["c/.git/x.py"]


def test_bases_are_left_out_unless_asked_for(tree):
    tree({"c/_base_/x.py": BOTH, "c/_base_/models/m.py": MODEL, "c/y.py": BOTH})
    assert found("c") == ["c/y.py"]
    assert found("c", include_base=True) == ["c/_base_/x.py", "c/y.py"]


def test_a_search_of_linked_directories_ends(tree):
    tree({"c/a/x.py": BOTH, "d/y.py": BOTH})
    Path("c/a/up").symlink_to("..")
    Path("c/d").symlink_to("../d")
    Path("c/a/gone.py").symlink_to("gone.py")
    Path("e").symlink_to("d")
    Path("c/z.py").symlink_to("../d/y.py")
    os.mkfifo("c/pipe.py")
    assert found("c", "e") == ["c/a/x.py", "c/z.py", "e/y.py"]


# What is left out.


@pytest.mark.parametrize(
    ("globs", "left"),
    [
        (["old"], ["c/a/x.py", "c/a/y.py", "c/z.py"]),
        (["x.py"], ["c/a/y.py", "c/z.py"]),
        (["c/a/"], ["c/old/x.py", "c/z.py"]),
        (["c/*.py"], ["c/a/x.py", "c/a/y.py", "c/old/x.py"]),
        (["c/**/x.py", "z*"], ["c/a/y.py"]),
        (["/c/a/?.py"], ["c/old/x.py", "c/z.py"]),
        (["z.py/"], ["c/a/x.py", "c/a/y.py", "c/old/x.py", "c/z.py"]),
    ],
)
def test_what_an_exclude_matches_is_left_out_wherever_lldtool_runs(tree, monkeypatch, globs, left):
    top = tree({f"c/{name}": BOTH for name in ("a/x.py", "a/y.py", "old/x.py", "z.py")})
    assert found("c", exclude=globs) == found("c", exclude=globs, root=top) == left
    monkeypatch.chdir("c")
    assert [f"c/{name}" for name in found(".", exclude=globs, root=top)] == left


def test_an_include_takes_nothing_else(tree):
    tree({f"{name}/x.py": BOTH for name in ("configs", "projects/a/configs", "tools")})
    assert found(".", include=["configs"]) == ["configs/x.py", "projects/a/configs/x.py"]
    assert found(".", include=["/configs", "tools/*.py"]) == ["configs/x.py", "tools/x.py"]
    assert found(".", include=["configs"], exclude=["projects"]) == ["configs/x.py"]


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        ({"c/train.py": "x = 1"}, {},
         "a config has a model and an optim_wrapper, itself or from its bases"),
        ({"c/_base_/x.py": BOTH}, {}, "only in _base_, which include-base takes as well"),
        ({"c/x.py": BOTH, "c/y.py": BOTH}, {"exclude": ["c"]}, "include and exclude leave out 2"),
        ({"c/x.py": BOTH}, {"include": ["d"]}, "include and exclude leave out 1"),
    ],
)  # fmt: skip
def test_a_directory_without_configs_is_an_error_that_says_why(tree, files, options, said):
    tree({**files, "ok.py": BOTH})
    with pytest.raises(LldtoolError) as raised:
        found("ok.py", "c", **options)
    assert str(raised.value) == f"no configs in c ({said})"


# Installed packages.


def test_a_directory_of_a_package_is_searched_and_its_configs_are_named_as_it_is():
    configs = found("mmpretrain::mae")
    assert "mmpretrain::mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py" in configs
    assert all(locate(name).path.is_file() for name in configs)
    inside = "mmpretrain::mae/benchmarks"
    assert found(f"{inside}/") == [c for c in configs if c.startswith(f"{inside}/")]
    assert found("mmpretrain::mae", exclude=["mmpretrain::mae/benchmarks"]) == [
        c for c in configs if not c.startswith(f"{inside}/")
    ]


def test_all_configs_of_a_package_are_those_that_train():
    configs = found("mmpretrain::")
    assert configs == found("mmpretrain::.")
    assert len(configs) > 300
    assert not [name for name in configs if "_base_" in name]
    root = locate("mmpretrain::_base_/default_runtime.py").path.parent.parent
    texts = {c: (root / c.removeprefix("mmpretrain::")).read_text("utf-8") for c in configs}
    missed = [
        path for path in root.rglob("*.py")
        if "_base_" not in path.parts and "optim_wrapper = dict" in path.read_text("utf-8")
        and f"mmpretrain::{path.relative_to(root).as_posix()}" not in texts
    ]  # fmt: skip
    assert missed == []


# Globs and names.


@pytest.mark.parametrize(
    ("glob", "name", "expected"),
    [
        ("x.py", "a/b/x.py", True),
        ("b", "a/b/x.py", True),
        ("b/", "a/b/x.py", True),
        ("x.py/", "a/b/x.py", False),
        ("/b", "a/b/x.py", False),
        ("a/x.py", "a/b/x.py", False),
        ("a/*/x.py", "a/b/x.py", True),
        ("a/*", "a/b/x.py", True),
        ("a*x.py", "a/b/x.py", False),
        ("a/**/x.py", "a/x.py", True),
        ("a/**/x.py", "a/b/c/x.py", True),
        ("**/b/**", "a/b/x.py", True),
        ("**/b/*.py", "a/b/c/x.py", False),
        ("**", "x.py", True),
        ("../o/*", "../o/x.py", True),
        ("./a", "a/x.py", True),
        ("./a", "b/a/x.py", False),
        ("a/.//b/", "a/b/x.py", True),
        (".", "a/x.py", True),
        ("a/[xy].py", "a/y.py", True),
        ("A", "a/x.py", False),
        ("**/" * 40 + "z", "/".join("a" * 60), False),
    ],
)
def test_a_glob_is_for_parts_of_a_name(glob, name, expected):
    assert matches_path(["none", glob], name) is expected


@given(st.text("ab*?[]!-/.\\", max_size=12), st.text("ab/.", max_size=12))
def test_no_glob_breaks_the_matching(glob, name):
    if is_path_pattern(glob):
        assert matches_path([glob], name) in (True, False)


def test_the_last_glob_that_matches_decides(tree):
    tree(dict.fromkeys(("c/old_a.py", "c/old_b.py", "c/x.py", "d/old_b.py"), BOTH))
    assert found(".", exclude=["old_*", "!/c/old_b.py"]) == ["c/old_b.py", "c/x.py"]
    assert found(".", include=["c", "!x.py"]) == ["c/old_a.py", "c/old_b.py"]


def test_a_name_is_the_same_from_everywhere(tree, monkeypatch):
    top = tree({"c/x.py": "", "d/y.py": ""})
    Path("link").symlink_to(top)
    named = {stable_name(n, top) for n in ("c/x.py", "./c/../c/x.py", f"{top}/c/x.py")}
    named.add(stable_name(f"{top}/link/c/x.py", top / "link"))
    named.add(stable_name("c/x.py", top / "link"))
    monkeypatch.chdir("d")
    named.add(stable_name("../c/x.py", top))
    assert named == {"c/x.py"}
    assert stable_name("../c/x.py", None) == "../c/x.py"
    assert stable_name("y.py@main", top) == "d/y.py@main"
    assert stable_name("p::./a//x.py", top) == "p::a/x.py"


# Shards.


@given(st.lists(st.text(), unique=True), st.integers(1, 7), st.text())
def test_shards_have_each_config_once_and_a_new_one_moves_no_other(configs, n, new):
    shards = [shard(configs, k, n) for k in range(1, n + 1)]
    assert Counter(c for part in shards for c in part) == Counter(configs)
    for k, part in enumerate(shards, 1):
        assert [c for c in shard([new, *configs], k, n) if c != new] == [
            c for c in part if c != new
        ]


def test_shards_are_about_as_large_and_the_same_on_every_machine():
    configs = [f"configs/a/x{i}.py" for i in range(1000)]
    assert all(200 < len(shard(configs, k, 4)) < 300 for k in range(1, 5))
    assert shard(configs[:9], 1, 3) == ["configs/a/x5.py"]
    assert shard(["./configs/a/x5.py"], 1, 3) == ["./configs/a/x5.py"]


def test_a_shard_is_written_k_of_n():
    assert parse_shard("2/5") == (2, 5)
    assert parse_shard("1/1") == (1, 1)


@pytest.mark.parametrize(
    "text",
    ["", "2", "0/5", "6/5", "1/0", "-1/5", "a/b", "1/5/2", "1 / 5", "٢/٥", "9" * 5000 + "/1"],
)
def test_what_is_no_shard_is_an_error(text):
    with pytest.raises(LldtoolError, match=r"--shard: .* is no K/N"):
        parse_shard(text)

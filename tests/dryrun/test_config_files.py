"""A YAML config is plain data, and so are the YAML files that a config inherits."""

import itertools

import pytest
import yaml

HEAD = "default_scope: mmpretrain\n"
#: Tags with which PyYAML's unsafe loader, mmengine's, runs code, imports or looks up a name.
TAGS = [
    "!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [ran]]",
    "!!python/object/new:pathlib.Path [x]",
    "!!python/object:pathlib.Path {}",
    "!!python/name:os.system",
    "!!python/module:antigravity",
    "!own {a: 1}",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch ran']",
]


@pytest.fixture
def refusal(cli, tmp_path, monkeypatch):
    """The line that refuses a config, one of these files."""
    monkeypatch.chdir(tmp_path)

    def refused(name, **files):
        for stem, text in files.items():
            (tmp_path / stem.replace("_", ".")).write_text(text)
        result = cli("inspect", name)
        assert (result.code, result.out) == (2, "")
        assert not (tmp_path / "ran").exists()
        (line,) = result.err.splitlines()
        return line

    return refused


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_is_refused(tag, refusal):
    line = refusal("c.yaml", c_yaml=f"{HEAD}model: {tag}\n")
    assert line.startswith("error: c.yaml: the tag !")
    assert line.endswith(" in c.yaml line 2 is refused: a YAML config is plain data")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.py", "_base_ = ['b.yml']\n"), ("c.yaml", "_base_: b.yml\n"),
        ("c.json", '{"_base_": "b.yml"}'), ("c.py", "_base_ = '{{ fileDirname }}/b.yml'\n"),
    ],
)  # fmt: skip
def test_a_tag_in_a_base_is_refused(name, text, refusal):
    line = refusal(name, **{name.replace(".", "_"): text, "b_yml": f"model: {TAGS[0]}\n"})
    assert "the tag !!python/object/apply:pathlib.Path.touch in b.yml line 1 is refused" in line


def test_tuples_and_what_else_is_data_are_as_mmengine_has_them(tmp_path):
    from mmengine import Config

    from lldtool.dryrun.config_parsing import reading

    content = {
        "a": (1, 2.5, None), "b": {"c": [True, "x", b"y", 1 + 2j]}, "d": "2020-01-01", "e": 1e-3,
    }  # fmt: skip
    path = tmp_path / "c.yaml"
    path.write_text(yaml.dump(content))
    with reading():
        ours = Config.fromfile(path)
    assert ours.to_dict() == Config.fromfile(path).to_dict()
    assert ours.a == (1, 2.5, None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x: " + "[" * 100_000 + "]" * 100_000, "the nesting in c.yaml line 1 is deeper than 200"),
        ("".join(f"{' ' * i}a:\n" for i in range(3000)), "line 201 is deeper than 200"),
        ("a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefgh")),
         "the aliases in c.yaml stand for more than 1,000,000 entries"),
        ("a: &a [*a]\n", "the aliases in c.yaml stand for more than 1,000,000 entries"),
        ("", "the top level in c.yaml is no dict"),
        ("- 1\n", "the top level in c.yaml is no dict"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
    ],
    ids=["deep", "deep dicts", "aliases", "circle", "empty", "list", "two documents"],
)  # fmt: skip
def test_what_is_no_config_is_one_line(text, problem, refusal):
    assert problem in refusal("c.yaml", c_yaml=text)

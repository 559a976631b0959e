"""Edits as text to write in a config's file."""

import pytest
import yaml

from lldtool.config.config_text import config_text
from lldtool.config.edit import DELETE, Edit
from lldtool.config.locations import Sources

OWN = "a = dict(b={'c': 1}, k=dict())\nlist_ = [dict(x=1)]\nmade = make()\n"
YAML = "a:\n  b: {c: 1}\n  k:\n    x: 1\n"


def text_of(tmp_path, content, *edits, name="config.py"):
    (tmp_path / "base.py").write_text("base = dict(x=1, y=dict())\n")
    path = tmp_path / name
    path.write_text(content)
    return config_text(edits, Sources(path))


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Edit(("a", "k", "new"), 0.5), "# in a.k\nnew=0.5,"),
        (Edit(("a", "b", "c"), 2), "# in a.b, instead of 'c'\n'c': 2,"),
        (Edit(("a", "k", "is"), 2), "# in a.k\n**{'is': 2},"),
        (Edit(("a", "b", "c"), DELETE), "# in a.b, delete 'c'"),
        (Edit(("new", "in"), [1, {"x": 2}]), "new = {'in': [1, dict(x=2)]}"),
        (Edit(("made", "x"), 1), None),
        (Edit(("list_", "1", "x"), 1), None),
        (Edit(("base", "x"), DELETE), None),
        (Edit(("base", "x"), 2), "base = dict(x=2)"),
        (Edit(("base", "y"), {"z": 2}), None),
    ],
)
def test_python(tmp_path, edit, expected):
    assert text_of(tmp_path, f"_base_ = 'base.py'\n{OWN}", edit) == expected


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (Edit(("a", "k", "new"), 0.5), "# in a.k\nnew: 0.5"),
        (Edit(("a", "b", "c"), 2), "# in a.b, instead of 'c'\nc: 2,"),
        (Edit(("new", "x"), [1, True]), "new: {x: [1, true]}"),
        (Edit(("a", "k", "lr"), 1e-5), "# in a.k\nlr: 1.0e-05"),
        (
            Edit(("a", "k", "x"), ["0.5", -2e-7]),
            "# in a.k, instead of 'x'\nx: ['0.5', -2.0e-07]",
        ),
    ],
)
def test_yaml(tmp_path, edit, expected):
    assert text_of(tmp_path, YAML, edit, name="config.yaml") == expected


@pytest.mark.parametrize("number", [1e-5, 2.5e-7, 1e16, 1e-300, 5e-324, 0.001, 3])
def test_a_number_in_yaml_reads_back_as_that_number(tmp_path, number):
    text = text_of(tmp_path, YAML, Edit(("new",), number), name="config.yaml")
    assert yaml.safe_load(text) == {"new": number}


def test_a_pure_python_config_merges_dicts_and_sets_the_rest(tmp_path):
    pure = "from mmengine.config import read_base\nwith read_base():\n    from .base import *\n"
    assert text_of(tmp_path, pure, Edit(("base", "x"), 2)) == "base.merge(dict(x=2))"
    assert text_of(tmp_path, pure, Edit(("new",), [1])) == "new = [1]"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("a", "b", "c"), "'c': 1"),
        (("a", "b", "new", "x"), "{'c': 1}"),
        (("list_", "0", "y"), "dict(x=1)"),
        (("base", "x"), None),
        (("new",), None),
    ],
)
def test_an_edit_is_located_at_what_it_replaces_or_the_dict_that_it_goes_in(
    tmp_path, path, expected
):
    (tmp_path / "base.py").write_text("base = dict(x=1)\n")
    config = tmp_path / "config.py"
    config.write_text(f"{OWN}_base_ = 'base.py'\n")
    edit = Edit(path, DELETE).located(Sources(config))
    assert edit == Edit(path, DELETE)
    at = edit.location
    lines = OWN.splitlines()
    found = at and lines[at.line - 1][at.column - 1 : at.end_column - 1]
    assert found == expected


def test_what_is_not_there_says_nothing(tmp_path):
    assert config_text([Edit(("a",), 1)], Sources(tmp_path / "nowhere.py")) is None

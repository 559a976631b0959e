"""Where the entries of a config stand in its source, and the comments to ignore findings."""

import ast
import json
import os
import textwrap
import warnings
from pathlib import Path

import mmpretrain
import pytest
import yaml
from conftest import SAMPLES
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from lldtool.config import locate
from lldtool.config.entries import Container
from lldtool.config.location import Location
from lldtool.config.locations import Sources
from lldtool.config.suppressions import Suppression

WRAPPER = ("optim_wrapper",)
OPTIONS = (*WRAPPER, "paramwise_cfg")
CUSTOM = (*OPTIONS, "custom_keys")
SHIPPED = Path(mmpretrain.__file__).parent / ".mim" / "configs"


@pytest.fixture
def write(tmp_path):
    """Make files: path -> text; a single text is `x.py`. Returns the first one's path."""

    def make(files):
        files = {"x.py": files} if isinstance(files, str) else files
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(text, str):
                text = textwrap.dedent(text).encode()
            path.write_bytes(text)
        return tmp_path / next(iter(files))

    return make


def text_at(location):
    """What stands at a location, by what a user counts: lines, and characters from 1."""
    raw = location.file.read_bytes().decode("utf-8-sig")
    lines = raw.replace("\r\n", "\n").split("\n")[location.line - 1 : location.end_line]
    lines[-1] = lines[-1][: location.end_column - 1]
    lines[0] = lines[0][location.column - 1 :]
    return "\n".join(lines)


def unquoted(text):
    return text[1:-1] if text[0] in "'\"" else text


def assert_marked(path, key, written=None, folder=None):
    """The entry is on the one line of all files with `here` in it, and is the key, quoted or not.

    Args:
        path: the config.
        key: the entry's.
        written: what stands there, if not the key.
        folder: where all files are, if not beside the config.
    """
    entry = Sources(path).entry(key)
    assert entry is not None
    marked = [
        (file, number)
        for file in sorted((folder or path.parent).rglob("*.*"))
        if file.is_file()
        for number, line in enumerate(file.read_bytes().decode(errors="replace").split("\n"), 1)
        if "here" in line
    ]
    assert [(entry.location.file, entry.location.line)] == marked
    assert unquoted(text_at(entry.location)) == (written or key[-1])
    assert Sources(path).location(key) == entry.location


def assert_only_inside(path, key, inside):
    """The entry can't be found, and what it is in is."""
    sources = Sources(path)
    assert sources.entry(key) is None
    assert sources.location(key) == sources.entry(inside).location


# In one file.


@pytest.mark.parametrize(
    ("key", "where", "text"),
    [
        (WRAPPER, (1, 1), "optim_wrapper"),
        (OPTIONS, (2, 5), "paramwise_cfg"),
        ((*OPTIONS, "norm_decay_mult"), (3, 9), "norm_decay_mult"),
        ((*CUSTOM, ".norm"), (4, 22), "'.norm'"),
        ((*CUSTOM, "b.c", "decay_mult"), (4, 61), '"decay_mult"'),
        (("param_scheduler", "1"), (5, 31), "dict(eta_min=0.0)"),
        (("param_scheduler", "1", "eta_min"), (5, 36), "eta_min"),
    ],
)
def test_a_location_is_the_keys_and_ends_after_it(write, key, where, text):
    path = write("""\
        optim_wrapper = dict(
            paramwise_cfg=dict(
                norm_decay_mult=0.0,
                custom_keys={'.norm': dict(decay_mult=0.0), "b.c": {"decay_mult": 1.0}}))
        param_scheduler = [dict(a=1), dict(eta_min=0.0)]
    """)
    location = Sources(path).location(key)
    line, column = where
    assert location == Location(path, line, column, line, column + len(text))
    assert text_at(location) == text


def test_what_is_not_there_is_where_it_would_be_in(write):
    path = write("optim_wrapper = dict(paramwise_cfg=dict(a=1))\n")
    assert_only_inside(path, (*CUSTOM, "x", "decay_mult"), OPTIONS)
    assert_only_inside(path, (*WRAPPER, "optimizer"), WRAPPER)
    assert_only_inside(path, (*OPTIONS, "a", "b"), (*OPTIONS, "a"))
    assert Sources(path).location(("param_scheduler", "0")) is None
    assert Sources(path).location(()) is None
    assert Sources(path).entry(()) is None


def test_an_entry_says_how_its_value_is_written(write):
    path = write("a = dict(b={'c': [dict(d=1), {}]})\ne = dict()\ne['f'] = dict()\n")
    kinds = {key: Sources(path).entry(key.split(".")).value.kind for key in ("a", "a.b", "a.b.c",
             "a.b.c.0", "a.b.c.0.d", "a.b.c.1", "e.f")}  # fmt: skip
    assert kinds == {
        "a": Container.call,
        "a.b": Container.mapping,
        "a.b.c": Container.sequence,
        "a.b.c.0": Container.call,
        "a.b.c.0.d": None,
        "a.b.c.1": Container.mapping,
        "e.f": Container.call,
    }


def test_a_value_has_its_location_too_and_a_named_dict_is_known_as_a_call(write):
    path = write("_b = dict(c=1)\na = dict(\n    b=_b,\n    c={\n        'd': 1})\n")
    named, written = (Sources(path).entry(("a", key)) for key in "bc")
    assert (text_at(named.value_location), named.value.kind) == ("_b", Container.call)
    assert text_at(written.value_location) == "{\n        'd': 1}"


@pytest.mark.parametrize(
    "key", ["'.ln'", '".ln"', "r'.ln'", "'.' 'ln'", "'.' + 'ln'", "('.ln')", "NORM", "u'.ln'"]
)
def test_a_key_is_found_however_the_constant_is_written(write, key):
    path = write(f"NORM = '.ln'\nx = dict(custom_keys={{\n    {key}: dict(decay_mult=0.)}})\n")
    location = Sources(path).entry(("x", "custom_keys", ".ln")).location
    assert location.line == 3
    assert text_at(location) == key.strip("()")


def test_a_number_as_a_key_is_found_by_its_text(write):
    assert_marked(write("x = {\n    0: 1,  # here\n}\n"), ("x", "0"))


@pytest.mark.parametrize(
    "value",
    [
        "{key: dict(decay_mult=0.) for key in ('.ln', '.bn')}",
        "{f'{dot}ln': dict(decay_mult=0.)}",
        "dict([('.ln', dict(decay_mult=0.))])",
        "made()",
        "{**made()}",
        "dict(**made())",
        "dict(made())",
    ],
)
def test_a_key_that_is_computed_is_not_found_but_what_it_is_in(write, value):
    path = write(f"optim_wrapper = dict(paramwise_cfg=dict(custom_keys={value}))\n")
    assert_only_inside(path, (*CUSTOM, ".ln", "decay_mult"), CUSTOM)


def test_a_key_that_a_loop_makes_is_not_found_but_what_it_is_in(write):
    path = write("""\
        keys = {}
        for name in ('.ln', '.bn'):
            keys[name] = dict(decay_mult=0.)
        optim_wrapper = dict(paramwise_cfg=dict(custom_keys=keys))
    """)
    assert_only_inside(path, (*CUSTOM, ".ln"), CUSTOM)


@pytest.mark.parametrize(
    "value",
    [
        "common",
        "{**common, '.ln': dict()}",
        "dict(**common, x=1)",
        "dict(common, x=1)",
        "common | dict(x=1)",
        "dict(x=1) | common",
        "ConfigDict(common)",
        "mmengine.ConfigDict(**common)",
        "Config(common)",
        "copy.deepcopy(common)",
        "common.copy()",
        "dict(**{**common})",
    ],
)
@pytest.mark.parametrize("common", ["dict(\n    a=1,  # here\n)", "{\n    'a': 1,  # here\n}"])
def test_a_name_is_followed_to_its_dict(write, value, common):
    path = write(f"common = {common}\nx = dict(paramwise_cfg={value})\n")
    assert_marked(path, ("x", "paramwise_cfg", "a"))


def test_a_dict_display_unpacked_in_a_call_is_found(write):
    text = "x = dict(custom_keys=dict(**{\n    '.ln': dict(\n  decay_mult=0.),  # here\n}))\n"
    assert_marked(write(text), ("x", "custom_keys", ".ln", "decay_mult"))


def test_what_comes_later_in_a_dict_wins(write):
    path = write("common = dict(a=1)\nx = {\n    'a': 2, **common,\n    'a': 3,  # here\n}\n")
    assert_marked(path, ("x", "a"))
    path = write("common = dict(\n    a=1,  # here\n)\nx = {'a': 2, **common}\n")
    assert_marked(path, ("x", "a"))


def test_items_of_lists_are_counted_through_unpacked_and_added_lists(write):
    path = write("""\
        first = [dict(a=1), dict(a=2)]
        x = [*first, dict(a=3)] + [dict(a=4)]
        x.append(dict(
            a=5,  # here
        ))
    """)
    assert_marked(path, ("x", "4", "a"))
    locations = [Sources(path).location(("x", str(index), "a")) for index in range(4)]
    assert [(location.line, location.column) for location in locations] == [
        (1, 15),
        (1, 26),
        (2, 19),
        (2, 33),
    ]


@pytest.mark.parametrize(
    "change",
    [
        "x.insert(0, dict(a=0))",
        "x.reverse()",
        "x = [*made(), *x]",
        "x = made() + x",
        "x += [1]; x.pop(0)",
    ],
)
def test_no_item_is_taken_for_another_where_their_order_is_not_known(write, change):
    path = write(f"x = [dict(a=1), dict(a=2)]\n{change}\n")
    assert_only_inside(path, ("x", "0", "a"), ("x",))


def test_an_append_that_may_not_run_does_not_shift_what_follows(write):
    path = write("x = [\n1,  # here\n]\nif made():\n    x.append(2)\nx.append(3)\n")
    assert_marked(path, ("x", "0"), "1")
    assert_only_inside(path, ("x", "1"), ("x",))


@pytest.mark.parametrize(
    "change",
    [
        "x = dict(a=dict(b=2))  # here",
        "x.a = dict(b=2)  # here",
        "x['a'] = dict(b=2)  # here",
        "x.a.b = 2  # here",
        "x['a'].b = 2  # here",
        "x['a']['b'] = 2  # here",
        "x.a['b']: int = 2  # here",
        "y = x.a.b = 2  # here",
        "x.update(a=dict(b=2))  # here",
        "x.update(dict(a=dict(b=2)))  # here",
        "x.merge(dict(a={'b': 2}))  # here",
        "x.a.update(b=2)  # here",
        "x.a.update({'b': 2})  # here",
        "x['a'] |= dict(b=2)  # here",
        "y = x['a']; y['b'] = 2  # here",
        "if made(): x.a.b = 2  # here",
        "for y in made(): x.a.b = 2  # here",
        "with made(): x.a.b = 2  # here",
        "try: x.a.b = 2  # here\nexcept KeyError: pass",
        "try: pass\nexcept KeyError: x.a.b = 2  # here",
        "if made(): pass\nelse: x.a.b = 2  # here",
        "if made():\n    if made():\n        x = dict(a=dict(b=2))  # here",
        "match made():\n    case 1: x.a.b = 2  # here",
        "while made(): x.a.b = 2  # here",
    ],
)
def test_the_last_change_of_an_entry_is_where_it_stands(write, change):
    assert_marked(write(f"x = dict(a=dict(b=1, c=1))\n{change}\n"), ("x", "a", "b"))


@pytest.mark.parametrize("change", ["x = dict(a=2)", "x.update(a=2)", "x['a'] = 2"])
def test_a_change_that_may_not_happen_hides_no_other_entry(write, change):
    path = write(f"x = dict(\n    b=1,  # here\n)\nif made():\n    {change}\n")
    assert_marked(path, ("x", "b"))


def test_an_item_of_a_list_is_changed_by_its_index_from_either_end(write):
    path = write("x = [dict(a=1), dict(a=1)]\nx[1]['a'] = 2  # here\n")
    assert_marked(path, ("x", "1", "a"))
    path = write("x = [dict(a=1), dict(a=1)]\nx[-1]['a'] = 2  # here\n")
    assert_marked(path, ("x", "1", "a"))


def test_an_assignment_replaces_what_was_there(write):
    path = write("x = dict(a=dict(b=1))\nx = dict(a=dict(c=1))\n")
    assert_only_inside(path, ("x", "a", "b"), ("x", "a"))
    assert Sources(path).location(("x", "a")).line == 2


def test_functions_and_classes_define_no_entries(write):
    path = write("def f():\n    x = dict(a=1)\nclass C:\n    x = 1\nlambda: (x := 1)\n")
    assert Sources(path).location(("x", "a")) is None


# Columns, line ends, encodings.


def test_columns_count_characters(write):
    path = write("x = {'schlüssel': '€😀', 'ключ': dict(a=1), '\U0001f600': 1, 'z': 2}\n")
    for key in (("x", "ключ"), ("x", "ключ", "a"), ("x", "\U0001f600"), ("x", "z")):
        assert unquoted(text_at(Sources(path).location(key))) == key[-1]
    assert Sources(path).location(("x", "ключ")).column == 25


def test_a_tab_counts_as_one_column(write):
    location = Sources(write("x = dict(\n\ta=1,\tb=2)\n")).location(("x", "b"))
    assert (location.line, location.column) == (2, 7)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_crlf_and_a_byte_order_mark_shift_nothing(write, start):
    path = write({"x.py": start + b"x = dict(\r\n    a=1)\r\n"})
    sources = Sources(path)
    assert sources.location(("x",)) == Location(path, 1, 1, 1, 2)
    assert sources.location(("x", "a")) == Location(path, 2, 5, 2, 6)
    path = write({"y.yaml": start + b"x:\r\n  a: 1\r\n"})
    assert Sources(path).location(("x",)) == Location(path, 1, 1, 1, 2)
    assert Sources(path).location(("x", "a")) == Location(path, 2, 3, 2, 4)


def test_what_ends_a_line_elsewhere_ends_none_in_python(write):
    path = write("x = dict(\n    a='\x0c\u2028\x85',\n    b=1,  # here\n)\n")
    assert Sources(path).location(("x", "b")) == Location(path, 3, 5, 3, 6)


def test_a_declared_encoding_is_read(write):
    path = write({"x.py": "# coding: latin-1\nx = {'ä': 1, 'b': 2}\n".encode("latin-1")})
    assert Sources(path).location(("x", "ä")) == Location(path, 2, 6, 2, 9)
    assert Sources(path).location(("x", "b")) == Location(path, 2, 14, 2, 17)


# What can't be read.


def deep(count):
    return "x = " + "[" * count + "]" * count + "\n"


BROKEN = {
    "syntax.py": b"x = (\n",
    "nul.py": b"x = 1\0\n",
    "latin.py": b"x = '\xe4'\n",
    "cookie.py": b"# coding: no-such\nx = 1\n",
    "codec.py": b"# coding: hex\nx = 1\n",
    "deep.py": deep(150).encode() + deep(5000).encode(),
    "long.py": b"x = 1" + b" + 1" * 50_000 + b"\n",
    "broken.yaml": b"x: [\n",
    "latin.yaml": b"x: \xe4\n",
    "control.yaml": b"x: \x01\n",
    "escape.yaml": b'x: "\\UFFFFFFFF"\n',
    "deep.yaml": b"x: " + b"[" * 500 + b"]" * 500,
    "several.yaml": b"---\na: 1\n---\na: 2\n",
    "broken.json": b'{"x": \n',
    "list.json": b"[1]\n",
    "empty.json": b"",
    "empty.yaml": b"",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_parsed_has_nothing_and_raises_nothing(write, name):
    sources = Sources(write({name: BROKEN[name]}))
    assert sources.location(("x", "a")) is None
    assert sources.suppressions() == ()
    assert not sources.is_pure_python


@pytest.mark.parametrize("name", BROKEN)
def test_a_base_that_cannot_be_parsed_is_passed_over(write, name):
    files = {"c.py": f"_base_ = ['{name}', 'b.py']\n", name: BROKEN[name], "b.py": "y = 1  # here"}
    assert_marked(write(files), ("y",))


def test_what_is_no_file_has_nothing_and_raises_nothing(tmp_path):
    (tmp_path / "x.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    for path in (tmp_path / "x.py", tmp_path / "none.py", tmp_path / "pipe.py",
                 Path("a\0.py"), Path("a" * 5000), tmp_path):  # fmt: skip
        sources = Sources(path)
        assert sources.files == ()
        assert sources.location(("x",)) is None
        assert sources.suppressions() == ()


def test_bases_that_are_no_files_are_passed_over(write, tmp_path):
    (tmp_path / "d.py").mkdir()
    names = ["d.py", "none.py", "a\0b.py", "", ".", "a" * 5000, "nopackage::x", "mmpretrain::none",
             "::", "mmpretrain::mae/none.py@main", "~nobody/x.py"]  # fmt: skip
    path = write(f"_base_ = {names!r}\ny = 1\n")
    assert Sources(path).files == (path,)
    assert Sources(path).location(("y",)).line == 2


def test_a_base_is_never_looked_up_in_git(write, monkeypatch):
    looked_up = []
    monkeypatch.setattr("lldtool.config.git.at_revision", lambda *_: looked_up.append(1))
    path = write("_base_ = 'mmpretrain::_base_/default_runtime.py@main'\n")
    assert Sources(path).files == (path,)
    assert not looked_up


def test_a_file_that_changed_is_read_again(write):
    assert Sources(write("x = 1\n")).location(("x",)).line == 1
    assert Sources(write("\nx = 1\n")).location(("x",)).line == 2


# Bases.


@pytest.mark.parametrize("base", [
    "'base.py'", "['base.py']", "('base.py',)", "['none.py', 'base.py']", "'./sub/../base.py'",
    "'{{ fileDirname }}/base.py'", "'{{fileDirname}}/b' 'ase.py'",
    "'{{ fileBasenameNoExtension }}-base.py'", "'{{$LLDTOOL_NO_SUCH:base}}.py'",
    "'{{ fileBasename }}.base{{fileExtname}}'", "['no' + 'ne.py'] + ['base.py']"])  # fmt: skip
def test_what_is_not_in_the_config_is_found_in_its_base(write, base):
    text = "optim_wrapper = dict(\n    paramwise_cfg=dict())\n"
    name = "base.py"
    if "Basename" in base:
        name = "c-base.py" if "NoExt" in base else "c.py.base.py"
    files = {"c.py": f"_base_ = {base}\nx = 1\n", name: text.replace("t())", "t())  # here")}
    path = write(files)
    assert_marked(path, OPTIONS)
    assert Sources(path).files == (path, path.parent / name)


def test_a_base_is_named_by_a_variable_of_the_environment(write, monkeypatch):
    monkeypatch.setenv("LLDTOOL_BASE", "b")
    path = write({"c.py": "_base_ = '{{$LLDTOOL_BASE:none}}.py'\n", "b.py": "x = 1  # here\n"})
    assert_marked(path, ("x",))


def test_a_base_may_be_an_absolute_path_and_a_config_a_relative_one(write, tmp_path, monkeypatch):
    write({"a/b.py": "x = 1\n"})
    path = write({"c/c.py": f"_base_ = ['{tmp_path}/a/b.py', '../a/d.py']\n", "a/d.py": "y = 1\n"})
    assert Sources(path).location(("x",)).file == tmp_path / "a" / "b.py"
    monkeypatch.chdir(tmp_path)
    sources = Sources(Path("c/c.py"))
    assert sources.files == (Path("c/c.py"), tmp_path / "a" / "b.py", Path("a/d.py"))
    assert sources.location(("y",)).file == Path("a/d.py")


def test_bases_of_bases_are_followed_and_the_nearest_wins(write):
    files = {
        "c.py": "_base_ = 'b.py'\nx = dict(c=1)\n",
        "b.py": "_base_ = ['a.py', 'a2.py']\nx = dict(\n    b=1,  # here\n)\n",
        "a.py": "x = dict(a=1, b=1, c=1)\n",
        "a2.py": "y = 1\n",
    }
    path = write(files)
    assert_marked(path, ("x", "b"))
    sources = Sources(path)
    files = {key: sources.location(("x", key)).file.name for key in "abc"}
    assert files == {"a": "a.py", "b": "b.py", "c": "c.py"}
    assert sources.location(("x",)).file == path
    assert [file.name for file in sources.files] == ["c.py", "b.py", "a.py", "a2.py"]


def test_where_each_file_inherits_the_next(write):
    path = write(
        {
            "c.py": "_base_ = [\n    'ä.py', 'b.yaml']\nx = 1\n",
            "ä.py": "y = 1\n",
            "b.yaml": "_base_:\n- d.json\n",
            "d.json": '{"_base_": "e.py", "z": 1}',
            "e.py": "w = 1\n",
        }
    )
    sources = Sources(path)

    def chain(key):
        return [text_at(location) for location in sources.inheriting(sources.location((key,)).file)]

    assert chain("x") == []
    assert chain("y") == ["'ä.py'"]
    assert chain("z") == ["'b.yaml'", "d.json"]
    assert chain("w") == ["'b.yaml'", "d.json", '"e.py"']
    assert sources.inheriting(path.parent / "nowhere.py") == ()


def test_where_a_pure_python_config_inherits(write):
    path = write(
        {
            "x.py": "from mmengine.config import read_base\nwith read_base():\n"
            "    from .base import *\n",
            "base.py": "y = 1\n",
        }
    )
    (location,) = Sources(path).inheriting(path.parent / "base.py")
    assert text_at(location) == "from .base import *"


@pytest.mark.parametrize("delete", ["_delete_=True", "**{'_delete_': True}", "_delete_=1"])
def test_a_dict_that_replaces_the_inherited_one_hides_it(write, delete):
    base = "x = dict(p=dict(a=1), q=dict(a=1))\n"
    path = write({"c.py": f"_base_ = 'b.py'\nx = dict(p=dict({delete}))\n", "b.py": base})
    assert_only_inside(path, ("x", "p", "a"), ("x", "p"))
    assert Sources(path).location(("x", "q", "a")).file.name == "b.py"


def test_of_two_bases_the_last_wins(write):
    files = {"c.py": "_base_ = ['a.py', 'b.py']\n", "a.py": "x = 1\n", "b.py": "x = 1  # here\n"}
    assert_marked(write(files), ("x",))


def test_a_false_delete_hides_nothing(write):
    files = {"c.py": "_base_ = 'b.py'\nx = dict(_delete_=False)\n", "b.py": "x = dict(a=1)  # here"}
    assert_marked(write(files), ("x", "a"))


def test_what_is_no_dict_hides_what_is_inherited(write):
    base = "x = dict(p=dict(a=1), q=[dict(a=1)])\n"
    path = write({"c.py": "_base_ = 'b.py'\nx = dict(p=None, q=[])\n", "b.py": base})
    assert_only_inside(path, ("x", "p", "a"), ("x", "p"))
    assert_only_inside(path, ("x", "q", "0"), ("x", "q"))


def test_an_inherited_key_is_found_beside_computed_ones(write):
    own = "_base_ = 'b.py'\nx = dict(custom_keys={key: dict() for key in 'yz'})\n"
    path = write({"c.py": own, "b.py": "x = dict(custom_keys={\n    'a': dict(),  # here\n})\n"})
    assert_marked(path, ("x", "custom_keys", "a"))


@pytest.mark.parametrize(
    "change",
    [
        "_base_.x.a.b = 2  # here",
        "_base_['x']['a']['b'] = 2  # here",
        "_base_.x.a.update(b=2)  # here",
        "y = _base_.x\ny.a.b = 2  # here\nx = y",
        "x = dict(a=dict(_base_.x.a, b=2))  # here",
    ],
)
def test_a_change_of_the_inherited_dict_is_where_an_entry_stands(write, change):
    path = write({"c.py": f"_base_ = 'b.py'\n{change}\n", "b.py": "x = dict(a=dict(b=1, c=1))\n"})
    assert_marked(path, ("x", "a", "b"))
    assert Sources(path).location(("x", "a", "c")).file.name == "b.py"


@pytest.mark.parametrize("value", ["_base_.y.z", "{{_base_.y.z}}", "{{ _base_.y.z }}"])
def test_an_inherited_value_under_another_name_is_found(write, value):
    own = f"_base_ = 'b.py'\nx = dict(a={value})\n"
    path = write({"c.py": own, "b.py": "y = dict(z=dict(b=1))  # here\n"})
    assert_marked(path, ("x", "a", "b"))


def test_a_template_that_is_no_python_leaves_columns_and_lines(write):
    path = write(
        "x = dict(n={{$N:80}}, m={{ $M:a/b }}, a=1)\ny = '{{$D:/data}}/{{ fileDirname }}'\n"
    )
    assert text_at(Sources(path).location(("x", "a"))) == "a"
    assert Sources(path).location(("y",)).line == 2


def test_a_cycle_of_bases_ends(write):
    files = {
        "a.py": "_base_ = ['b.py', 'a.py']\nx = 1\n",
        "b.py": "_base_ = ['a.py', 'c.py']\ny = 1\n",
        "c.py": "_base_ = ['a.py', 'b.py', 'c.py']\nz = dict(w=1)  # here\n",
    }
    path = write(files)
    assert_marked(path, ("z", "w"))
    assert [file.name for file in Sources(path).files] == ["a.py", "b.py", "c.py"]


def test_many_bases_of_one_another_end_soon(write):
    names = [f"f{number}.py" for number in range(40)]
    path = write({name: f"_base_ = {names!r}\n{name[:-3]} = 1\n" for name in names})
    assert len(Sources(path).files) == 40
    assert Sources(path).location(("f39",)).file.name == "f39.py"


def test_links_are_followed_as_they_are_named(write, tmp_path):
    write({"real/c.py": "_base_ = 'b.py'\n", "real/b.py": "x = 1\n", "linked/b.py": "x = 2\n"})
    (tmp_path / "linked" / "c.py").symlink_to(tmp_path / "real" / "c.py")
    location = Sources(tmp_path / "linked" / "c.py").location(("x",))
    assert location.file == tmp_path / "linked" / "b.py"
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    assert (
        Sources(tmp_path / "folder" / "c.py").location(("x",)).file == tmp_path / "folder" / "b.py"
    )


def test_a_link_to_its_own_folder_ends(write, tmp_path):
    path = write({"c.py": "_base_ = ['loop/c.py', 'b.py']\n", "b.py": "x = 1\n"})
    (tmp_path / "loop").symlink_to(tmp_path)
    assert Sources(path).location(("x",)).file == tmp_path / "b.py"
    assert len(Sources(path).files) == 2


@pytest.mark.parametrize("name", ["mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py",
                                  "mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k"])  # fmt: skip
def test_a_base_may_be_a_config_of_an_installed_package(write, name):
    path = write(f"_base_ = ['mmpretrain::{name}', 'mmpretrain::_base_/default_runtime.py']\n")
    location = Sources(path).location((*CUSTOM, "pos_embed"))
    assert location.file.is_relative_to(SHIPPED / "mae")
    assert text_at(location) == "'pos_embed'"
    # That has the model's file as a base, relative to itself.
    assert (
        Sources(path).location(("model", "backbone")).file.parent == SHIPPED / "_base_" / "models"
    )


# Pure-Python configs.

PURE = "from mmengine.config import read_base\n\nwith read_base():\n"
SCHEDULE = (
    "optim_wrapper = dict(paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys={'.bn': dict()}))"
)


@pytest.mark.parametrize(
    "change",
    [
        "optim_wrapper.update(dict(paramwise_cfg=dict(custom_keys={'.ln': dict()})))  # here",
        "optim_wrapper.update(paramwise_cfg=dict(custom_keys={'.ln': dict()}))  # here",
        "optim_wrapper.merge(dict(paramwise_cfg=dict(custom_keys={'.ln': dict()})))  # here",
        "optim_wrapper.paramwise_cfg = dict(custom_keys={'.ln': dict()})  # here",
        "optim_wrapper['paramwise_cfg']['custom_keys']['.ln'] = dict(decay_mult=0)  # here",
        "optim_wrapper.paramwise_cfg.custom_keys['.ln'] = dict(decay_mult=0)  # here",
        "optim_wrapper.paramwise_cfg.custom_keys.update({'.ln': dict()})  # here",
        "optim_wrapper.paramwise_cfg = dict(custom_keys={**keys, '.ln': dict()})  # here",
    ],
)
@pytest.mark.parametrize(
    "imported", ["*", "optim_wrapper, keys", "optim_wrapper; from .s import keys"]
)
def test_a_change_of_an_imported_dict_is_where_an_entry_stands(write, change, imported):
    files = {
        "p/c.py": f"{PURE}    from .s import {imported}\n\n{change}\n",
        "p/s.py": f"{SCHEDULE}\nkeys = dict(a=1)\n",
    }
    path = write(files)
    assert_marked(path, (*CUSTOM, ".ln"))
    assert Sources(path).is_pure_python


def test_what_is_imported_stands_in_its_file(write):
    files = {
        "p/q/c.py": f"{PURE}    from ..s.s import optim_wrapper\n    from .r import *\n",
        "p/s/s.py": f"{SCHEDULE}  # here\n",
        "p/q/r.py": f"{PURE}    from .t import y\n",
        "p/q/t.py": "y = 1\nz = 1\n",
    }
    path = write(files)
    assert_marked(path, (*CUSTOM, ".bn"), folder=path.parents[1])
    sources = Sources(path)
    assert sources.location(("y",)).file.name == "t.py"
    assert sources.location(("z",)) is None
    assert [file.name for file in sources.files] == ["c.py", "s.py", "r.py", "t.py"]


def test_an_import_under_another_name_is_followed(write):
    text = f"{PURE}    from .s import optim_wrapper as base\n\noptim_wrapper = dict(**base, a=1)\n"
    assert_marked(write({"c.py": text, "s.py": f"{SCHEDULE}  # here\n"}), (*CUSTOM, ".bn"))


def test_a_dict_that_a_pure_python_config_writes_anew_inherits_nothing(write):
    text = f"{PURE}    from .s import *\n\noptim_wrapper = dict(paramwise_cfg=dict())\n"
    path = write({"c.py": text, "s.py": SCHEDULE})
    assert_only_inside(path, (*CUSTOM, ".bn"), OPTIONS)


def test_a_merge_that_deletes_hides_what_was_there(write):
    text = f"{PURE}    from .s import *\n\noptim_wrapper.merge(dict(_delete_=True, a=1))\n"
    assert_only_inside(write({"c.py": text, "s.py": SCHEDULE}), OPTIONS, WRAPPER)


def test_two_files_that_import_one_change_each_their_own(write):
    files = {
        "c.py": f"{PURE}    from .a import x as x1\n    from .b import x as x2\n",
        "a.py": f"{PURE}    from .s import *\nx.a = 1\n",
        "b.py": f"{PURE}    from .s import *\nx.b = 1\n",
        "s.py": "x = dict(a=0, b=0)\n",
    }
    sources = Sources(write(files))
    found = {(x, key): sources.location((x, key)).file.name for x in ("x1", "x2") for key in "ab"}
    assert found == {("x1", "a"): "a.py", ("x1", "b"): "s.py",
                     ("x2", "a"): "s.py", ("x2", "b"): "b.py"}  # fmt: skip


@pytest.mark.parametrize("folder", ["configs", ".mim/configs"])
def test_a_dotted_package_is_found_and_not_imported(write, tmp_path, monkeypatch, folder):
    monkeypatch.syspath_prepend(tmp_path)
    name = f"placespackage{len(folder)}"
    files = {
        "c.py": f"{PURE}    from {name}.configs._base_.s import *\n",
        f"{name}/__init__.py": "raise SystemExit('imported')\n",
        f"{name}/{folder}/_base_/s.py": f"{SCHEDULE}  # here\n",
    }
    assert_marked(write(files), (*CUSTOM, ".bn"))


@pytest.mark.parametrize("statement", ["from . import s", "from .none import *", "from s import *",
    "from no_such_package.s import x", "from mmpretrain import x", "import s",
    "from __main__.x import y", "from ...........s import x"])  # fmt: skip
def test_an_import_of_no_file_is_passed_over(write, statement):
    path = write({"c.py": f"{PURE}    {statement}\ny = 1\n", "s.py": "x = 1\n"})
    assert Sources(path).files == (path,)
    assert Sources(path).location(("x",)) is None
    assert Sources(path).location(("y",)).line == 5


def test_a_classic_config_is_not_pure_python(write):
    path = write({"c.py": "_base_ = 'b.py'\nfrom math import pi\n", "b.py": "x = 1\n"})
    assert not Sources(path).is_pure_python


def test_a_pure_python_cycle_ends(write):
    files = {
        "a.py": f"{PURE}    from .b import *\n",
        "b.py": f"{PURE}    from .a import *\nx = 1  # here",
    }
    assert_marked(write(files), ("x",))


# YAML and JSON.


def test_entries_of_yaml_are_found(write):
    path = write({"c.yaml": """\
        optim_wrapper:
          paramwise_cfg: {norm_decay_mult: 0.0, "bias.x": 1}
          custom_keys:
            '.ln':
              decay_mult: 0
        param_scheduler:
        - a: 1
        - {b: 2}   # a comment
        """})  # fmt: skip
    at = {
        key: (location.line, location.column, text_at(location))
        for key in ("optim_wrapper", "optim_wrapper/paramwise_cfg/bias.x",
                    "optim_wrapper/custom_keys/.ln/decay_mult", "param_scheduler/0/a",
                    "param_scheduler/1")
        for location in [Sources(path).location(key.split("/"))]
    }  # fmt: skip
    assert at == {
        "optim_wrapper": (1, 1, "optim_wrapper"),
        "optim_wrapper/paramwise_cfg/bias.x": (2, 41, '"bias.x"'),
        "optim_wrapper/custom_keys/.ln/decay_mult": (5, 7, "decay_mult"),
        "param_scheduler/0/a": (7, 3, "a"),
        "param_scheduler/1": (8, 3, "{b: 2}"),
    }
    entry = Sources(path).entry(("optim_wrapper", "paramwise_cfg"))
    assert entry.value.kind is Container.mapping
    assert text_at(entry.value_location) == '{norm_decay_mult: 0.0, "bias.x": 1}'


@pytest.mark.parametrize("line", ["_base_: b.yaml", "_base_: [b.yaml]", "_base_:\n- b.yaml",
    "_base_: '{{ fileDirname }}/b.yaml'", "_base_: {{ fileDirname }}/b.yaml"])  # fmt: skip
def test_yaml_inherits(write, line):
    path = write({"c.yaml": f"{line}\nx:\n  a: 1\n", "b.yaml": "x:\n  b: 1  # here\n"})
    assert_marked(path, ("x", "b"))
    assert Sources(path).location(("x", "a")).file == path


def test_a_delete_in_yaml_hides_what_is_inherited(write):
    path = write({"c.yaml": "_base_: b.py\nx: {_delete_: true}\ny: {_delete_: false}\n",
                  "b.py": "x = dict(a=1)\ny = dict(a=1)\n"})  # fmt: skip
    assert_only_inside(path, ("x", "a"), ("x",))
    assert Sources(path).location(("y", "a")).file.name == "b.py"


def test_anchors_and_merges_of_yaml_are_followed(write):
    path = write({"c.yaml": "c: &c\n  a: 1\n  b: 1\nx:\n  <<: *c\n  b: 2\ny: *c\nz: &z [*z]\n"})
    sources = Sources(path)
    lines = [sources.location(key).line for key in (("x", "a"), ("x", "b"), ("y", "b"), ("z", "0"))]
    assert lines == [2, 6, 3, 8]


def test_entries_of_json_are_found_indented_with_tabs_or_not(write):
    for indent in ("\t", "  ", ""):
        text = (
            f'{{\n{indent}"_base_": "b.py",\n{indent}"x":\t{{"a": 1, "ü": 2,\t"b": [{{"c": 1}}]}}}}'
        )
        path = write({"c.json": text, "b.py": "y = 1\n"})
        sources = Sources(path)
        assert sources.location(("x",)) == Location(path, 3, len(indent) + 1, 3, len(indent) + 4)
        assert text_at(sources.location(("x", "b", "0", "c"))) == '"c"'
        assert sources.location(("y",)).file.name == "b.py"


# Comments.


@pytest.mark.parametrize(
    ("comment", "codes"),
    [
        ("# lldtool: ignore[LLD104]", ("LLD104",)),
        ("# lldtool: ignore[LLD104, LLD301]", ("LLD104", "LLD301")),
        ("# lldtool: ignore[LLD104,LLD301]", ("LLD104", "LLD301")),
        ("# lldtool: ignore", ()),
        ("#lldtool:ignore[LLD104]", ("LLD104",)),
        ("#  LLDtool : Ignore [ lld104 ]", ("LLD104",)),
    ],
)
@pytest.mark.parametrize(
    "around", [("", ""), ("# noqa  ", ""), ("", " as it is meant"), ("", ": ok")]
)
@pytest.mark.parametrize("name", ["x.py", "x.yaml"])
def test_a_comment_is_read(write, comment, codes, around, name):
    line = {"x.py": "x = 'ü#'  ", "x.yaml": "x: 'ü#'  "}[name]
    before, after = around
    path = write({name: f"\n{line}{before}{comment}{after}\n"})
    column = len(line) + len(before) + 1
    location = Location(path, 2, column, 2, column + len(comment))
    assert Sources(path).suppressions() == (Suppression(path, 2, codes, location),)


@pytest.mark.parametrize("text", [
    "x = '# lldtool: ignore'", "x = '''\n# lldtool: ignore\n'''", "# lldtool: ignored",
    "# lldtool: ignore[]", "# lldtool: ignore[LLD104", "# lldtool: ignore-not", "# lldtool",
    "# lldtool: ignore[, ]"])  # fmt: skip
def test_what_is_no_such_comment_is_none(write, text):
    assert Sources(write(f"{text}\ny = 1\n")).suppressions() == ()


def test_comments_of_all_files_are_read_where_they_stand(write):
    files = {
        "c.py": "_base_ = ['b.py', 'j.json', 'y.yml']  # lldtool: ignore\n",
        "b.py": "x = dict(\n    a=1,  # lldtool: ignore[A1]\n    b=2)  # lldtool: ignore[B2]\n",
        "j.json": '{"j": "# lldtool: ignore"}',
        "y.yml": "y: 1 # lldtool: ignore[Y1]\n# lldtool: ignore[Y2]\n",
    }
    found = [(s.file.name, s.line, s.codes) for s in Sources(write(files)).suppressions()]
    assert found == [("c.py", 1, ()), ("b.py", 2, ("A1",)), ("b.py", 3, ("B2",)),
                     ("y.yml", 1, ("Y1",)), ("y.yml", 2, ("Y2",))]  # fmt: skip


def test_comments_up_to_an_error_are_read(write):
    path = write("x = 1  # lldtool: ignore[A1]\ny = '''\n# lldtool: ignore[A2]\n")
    assert [one.codes for one in Sources(path).suppressions()] == [("A1",)]
    path = write({"x.yaml": "x: 1  # lldtool: ignore[A1]\ny: @z\nz: 1  # lldtool: ignore[A2]\n"})
    assert [one.codes for one in Sources(path).suppressions()] == [("A1",)]


def test_a_hash_in_yaml_is_a_comment_only_outside_of_strings(write):
    path = write({"x.yaml": """\
        a: "x # lldtool: ignore"
        b: x#lldtool:ignore
        c: |
          # lldtool: ignore
        d: don't  # lldtool: ignore[D1]
        e: 'it''s # lldtool: ignore'  # lldtool: ignore[E1]
        """})  # fmt: skip
    assert [(s.line, s.codes) for s in Sources(path).suppressions()] == [(5, ("D1",)), (6, ("E1",))]


# Against mmengine: every entry of the finished config.


def entries(value, key=()):
    """Key and value of everything in a finished config."""
    if isinstance(value, dict):
        items = [(str(name), dict.get(value, name)) for name in dict.keys(value)]
    else:
        items = [(str(i), item) for i, item in enumerate(value)] if isinstance(value, list) else []
    for name, item in items:
        yield (*key, name), item
        yield from entries(item, (*key, name))


def assert_exact(sources, key, value):
    """The key stands at its location, and there the value, as far as it is a literal."""
    entry = sources.entry(key)
    assert entry is not None, key
    if not key[-1].isdigit():
        written = text_at(entry.location)
        assert (ast.literal_eval(written) if written[0] in "'\"" else written) == key[-1]
    if not isinstance(value, (dict, list, tuple)):
        try:
            literal = ast.literal_eval(text_at(entry.value_location))
        except (ValueError, SyntaxError):
            return
        assert literal == value, key


def loaded(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Config.fromfile(str(path))._cfg_dict


@pytest.mark.parametrize("folder", ["mae", "beit", "mixmim", "simmim", "swin_transformer"])
def test_every_option_and_custom_key_of_a_shipped_config_is_exact(folder):
    counted = 0
    for path in sorted((SHIPPED / folder).rglob("*.py")):
        wrapper = dict.get(loaded(path), "optim_wrapper", {})
        sources = Sources(path)
        for key, value in entries(wrapper.get("paramwise_cfg", {}), OPTIONS):
            assert_exact(sources, key, value)
            counted += 1
    assert counted > 10


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_entry_of_a_sample_config_is_exact(path):
    sources, config = Sources(path), loaded(path)
    wanted = ("optim_wrapper", "param_scheduler", "train_cfg")
    found = list(entries({top: config[top] for top in wanted if top in config}))
    assert len(found) > 5
    for key, value in found:
        if key[-1] != "_scope_":  # mmengine's own
            assert_exact(sources, key, value)


def test_a_shipped_base_that_is_replaced_is_not_looked_into():
    path = locate("mmpretrain::beit/benchmarks/beit-base-p16_8xb128-coslr-100e_in1k.py").path
    sources = Sources(path)
    assert sources.location((*OPTIONS, "layer_decay_rate")).file == path
    assert sources.entry((*OPTIONS, "flat_decay_mult")) is None


names = st.sampled_from(["lr", "decay_mult", "a", "b", "c_d"])
keys = (
    names
    | st.sampled_from([".ln", "head.fc", "ü", "€.😀", "norm1", "0"])
    | st.text(
        st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=5
    ).filter(lambda key: not key.startswith("__") and "{{" not in key and "\\" not in key)
)
leaves = st.floats(0, 1) | st.integers(0, 9) | st.booleans() | st.none() | st.sampled_from("xü")
trees = st.recursive(
    st.dictionaries(names, leaves, max_size=3),
    lambda inner: (
        st.dictionaries(keys, leaves | inner, max_size=3)
        | st.lists(inner, max_size=2).map(lambda items: {"items_": items})
    ),
    max_leaves=8,
)


def python(value, draw, indent):
    """A value as source, in any of the styles of dicts."""
    style = draw(st.sampled_from(["call", "display", "unpacked", "lines"]))
    if isinstance(value, list):
        return f"[{', '.join(python(item, draw, indent) for item in value)}]"
    if not isinstance(value, dict):
        return repr(value)
    items = {key: python(item, draw, indent + 4) for key, item in value.items()}
    named = [f"{k}={v}" for k, v in items.items() if k.isidentifier() and k.isascii()]
    others = [f"{k!r}: {v}" for k, v in items.items() if not (k.isidentifier() and k.isascii())]
    quoted = [f"{k!r}: {v}" for k, v in items.items()]
    if style == "display":
        return f"{{{', '.join(quoted)}}}"
    if style == "lines":
        return "{" + "".join(f"\n{' ' * indent}{line}," for line in quoted) + "\n}"
    unpacked = [f"**{{{', '.join(others if style == 'call' else quoted)}}}"]
    if style == "unpacked":
        return f"dict({unpacked[0]})"
    return f"dict({', '.join(named + unpacked * bool(others))})"


@pytest.fixture(scope="module")
def new_folder(tmp_path_factory):
    """Makes a folder for each example: files written in a hurry may have one time and size."""
    return lambda: tmp_path_factory.mktemp("generated")


def types_agree(own, base):
    """Whether mmengine merges them: a dict only over a dict."""
    shared = own.keys() & base.keys()
    return all(
        types_agree(own[k], base[k])
        if isinstance(own[k], dict) and isinstance(base[k], dict)
        else not isinstance(own[k], dict)
        for k in shared
    )


@given(data=st.data())
def test_every_key_of_a_generated_config_and_base_is_where_its_value_is(new_folder, data):
    own, base = data.draw(trees), data.draw(trees)
    if not types_agree(own, base):
        base = {}
    folder = new_folder()
    path, inherited = folder / "c.py", folder / "b.py"
    own_text, base_text = (python({"z": tree}, data.draw, 4) for tree in (own, base))
    style = data.draw(st.sampled_from(["classic", "pure"]))
    if style == "classic":
        path.write_text(f"_base_ = 'b.py'\nx = {own_text}\n")
    else:
        path.write_text(f"{PURE}    from .b import *\n\nx.merge({own_text})\n")
    inherited.write_text(f"x = {base_text}\n")
    sources = Sources(path)
    config = loaded(path)
    for key, value in entries({"x": dict.get(config, "x")}):
        assert_exact(sources, key, value)


@given(tree=trees, flow=st.booleans(), as_json=st.booleans())
def test_every_key_of_a_generated_yaml_or_json_is_where_its_value_is(
    new_folder, tree, flow, as_json
):
    path = new_folder() / ("c.json" if as_json else "c.yaml")
    text = json.dumps({"x": tree}, indent="\t" if flow else None, ensure_ascii=False)
    if not as_json:
        text = yaml.safe_dump({"x": tree}, default_flow_style=flow, allow_unicode=True)
    path.write_text(text)
    sources, parsed = Sources(path), json.loads if as_json else yaml.safe_load
    for key, value in entries({"x": tree}):
        entry = sources.entry(key)
        assert entry is not None
        if not key[-1].isdigit():
            assert parsed(text_at(entry.location)) == key[-1]
        if isinstance(value, (int, float, str)):
            assert parsed(text_at(entry.value_location)) == value

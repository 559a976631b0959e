"""An entry of a config is found where it is written."""

import ast
from pathlib import Path

import pytest
from conftest import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from lldtool.source import locate
from lldtool.source.places import Sources

CALLS = """\
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            '.ln': dict(decay_mult=0.0),
            "a" '.b': dict(),
        }))
param_scheduler = [
    dict(type='LinearLR'),
    dict(type='CosineAnnealingLR', eta_min=1e-6)]
"""
OPTIONS = ("optim_wrapper", "paramwise_cfg")


def text_at(place):
    """What stands at a place, without quotes."""
    lines = place.file.read_text(encoding="utf-8").split("\n")
    assert place.line == place.end_line
    return lines[place.line - 1][place.column - 1 : place.end_column - 1].strip("'\"")


@pytest.fixture
def written(tmp_path):
    def write(text, name="config.py", encoding="utf-8", **others):
        for other, content in others.items():
            (tmp_path / f"{other}.py").write_text(content, encoding="utf-8")
        path = tmp_path / name
        path.write_text(text, encoding=encoding, newline="")
        return path

    return write


@pytest.mark.parametrize(
    ("key", "line", "column"),
    [
        ((*OPTIONS,), 3, 5),
        ((*OPTIONS, "norm_decay_mult"), 4, 9),
        ((*OPTIONS, "custom_keys", ".ln"), 6, 13),
        ((*OPTIONS, "custom_keys", ".ln", "decay_mult"), 6, 25),
        ((*OPTIONS, "custom_keys", "a.b"), 7, 13),
        (("param_scheduler", "1", "eta_min"), 11, 36),
    ],
)
def test_entry_is_found_in_calls_displays_and_lists(written, key, line, column):
    place = Sources(written(CALLS)).place(key)
    assert (place.line, place.column) == (line, column)
    assert Sources(place.file).entry(key).place == place


def test_what_is_not_written_has_the_place_of_what_is_around_it(written):
    sources = Sources(written(CALLS))
    assert sources.entry((*OPTIONS, "bias_decay_mult")) is None
    assert text_at(sources.place((*OPTIONS, "bias_decay_mult"))) == "paramwise_cfg"
    assert sources.place(("model",)) is None


def test_entry_of_a_base_is_found_there_and_the_nearest_wins(written):
    path = written(
        "_base_ = ['a.py', './b.py']\noptim_wrapper = dict(paramwise_cfg=dict(x=1))",
        a="optim_wrapper = dict(paramwise_cfg=dict(x=2, y=2))\nmodel = dict()",
        b="_base_ = 'c.py'",
        c="train_cfg = dict(z=3)",
    )
    sources = Sources(path)
    assert [p.name for p in sources.files] == ["config.py", "a.py", "b.py", "c.py"]
    assert sources.place((*OPTIONS, "x")).file == path
    assert sources.place((*OPTIONS, "y")).file.name == "a.py"
    assert sources.place(("train_cfg", "z")).file.name == "c.py"


def test_delete_hides_what_is_inherited(written):
    path = written(
        "_base_ = 'a.py'\noptim_wrapper = dict(paramwise_cfg=dict(_delete_=True, x=1))",
        a="optim_wrapper = dict(paramwise_cfg=dict(y=2))",
    )
    assert Sources(path).entry((*OPTIONS, "y")) is None
    assert text_at(Sources(path).place((*OPTIONS, "y"))) == "paramwise_cfg"


def test_cycles_and_missing_bases_end(written):
    path = written("_base_ = ['a.py', 'none.py']\nx = 1", a="_base_ = 'config.py'\ny = 2")
    assert len(Sources(path).files) == 2
    assert text_at(Sources(path).place(("y",))) == "y"


def test_package_and_placeholder_name_bases(written, tmp_path):
    (tmp_path / "base.py").write_text("y = dict(z=1)")
    path = written(
        "_base_ = ['{{ fileDirname }}/base.py', 'mmpretrain::_base_/default_runtime.py']\n"
        "x = {{_base_.y}}; optim_wrapper = dict(a=1)"
    )
    sources = Sources(path)
    assert text_at(sources.place(("y", "z"))) == "z"
    assert sources.place(("default_hooks", "timer")).file.name == "default_runtime.py"
    assert text_at(sources.place(("optim_wrapper", "a"))) == "a"


@pytest.mark.parametrize(
    "change",
    [
        "optim_wrapper.update(dict(paramwise_cfg=dict(x=1)))",
        "optim_wrapper.merge(dict(paramwise_cfg={'x': 1}))",
        "optim_wrapper.paramwise_cfg = dict(x=1)",
        "optim_wrapper['paramwise_cfg']['x'] = 1",
        "optim_wrapper.paramwise_cfg.x = 1",
        "optim_wrapper.paramwise_cfg.update(x=1)",
        "options = {'x': 1}\noptim_wrapper.update(paramwise_cfg=options)",
        "if True:\n    optim_wrapper.paramwise_cfg.x = 1",
    ],
)
def test_changes_of_an_inherited_dict_are_found(written, change):
    header = "from mmengine.config import read_base\nwith read_base():\n    from .a import *\n"
    path = written(header + change, a="optim_wrapper = dict(paramwise_cfg=dict(x=0, y=0))")
    sources = Sources(path)
    assert sources.is_pure_python
    found = sources.entry((*OPTIONS, "x"))
    assert found.place.file == path
    assert text_at(found.place) == "x"


def test_base_is_imported_by_level_name_and_package(written, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.py").write_text("b = dict(x=1)")
    path = written(
        "with read_base():\n    from .sub.b import b\n    from .a import *\n"
        "    from mmpretrain.configs._base_.default_runtime import *\n",
        a="a = dict(x=1)",
    )
    names = [p.name for p in Sources(path).files]
    assert names == ["config.py", "b.py", "a.py", "default_runtime.py"]


@pytest.mark.parametrize(
    "text",
    [
        "common = {'.x': 1}\nkeys = {**common, '.y': 2}",
        "common = dict(**{'.x': 1})\nkeys = dict(**common)",
        "common = {'.x': 1}\nkeys = dict(common, y=2)",
        "common = {'.x': 1}\nkeys = common | {'.y': 2}",
        "common = {'.x': 1}\nkeys = common",
        "common = {'.x': 1}\nkeys = copy.deepcopy(common)",
        "_base_ = 'a.py'\nkeys = _base_.common",
    ],
)
def test_names_are_followed(written, text):
    sources = Sources(written(text, a="common = {'.x': 1}"))
    assert text_at(sources.entry(("keys", ".x")).place) == ".x"


def test_columns_count_characters(written):
    path = written("x = dict(ä='Größe 日本', key=1)\r\ny = 1\r\n")
    assert text_at(Sources(path).place(("x", "key"))) == "key"
    assert text_at(Sources(path).place(("y",))) == "y"
    latin = written("# coding: latin-1\nx = dict(k='ü', key=1)\n", encoding="latin-1")
    assert Sources(latin).place(("x", "key")).column == 17


@pytest.mark.parametrize("name", ["config.yaml", "config.json"])
def test_entries_of_yaml_and_json_are_found(written, name):
    text = '{"optim_wrapper":\n  {"paramwise_cfg": {"custom_keys":\n    {".ln": {"a": [1, 2]}}}}}'
    place = Sources(written(text, name)).place((*OPTIONS, "custom_keys", ".ln"))
    assert (place.line, text_at(place)) == (3, ".ln")


@pytest.mark.parametrize(
    "content", [b"x = (", b"\x00", b"\xff\xfe", b"", b"(" * 5000, b"x = " + b"-" * 9000 + b"1"]
)
@pytest.mark.parametrize("suffix", [".py", ".yaml", ".json"])
def test_a_file_that_can_not_be_read_has_no_places(tmp_path, content, suffix):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    assert Sources(path).place(("model",)) is None
    assert Sources(path).suppressions() == ()
    assert Sources(Path("x\0.py")).files == ()


def test_comments_that_ignore_are_found_in_all_files(written):
    path = written(
        "_base_ = 'a.py'\nx = 1  # lldtool: ignore[LLD104, lld301]\ny = '# lldtool: ignore'\n",
        a="z = 1  #LLDTOOL:ignore\n",
    )
    found = Sources(path).suppressions()
    assert [(f.file.name, f.line, f.codes) for f in found] == [
        ("config.py", 2, ("LLD104", "LLD301")),
        ("a.py", 1, ()),
    ]
    assert text_at(found[0].place) == "# lldtool: ignore[LLD104, lld301]"


def shipped():
    root = locate("mmpretrain::_base_/default_runtime.py").path.parent.parent
    names = ("mae", "beit", "mixmim", "simmim", "swin_transformer", "convnext")
    return [p for name in names for p in sorted(root.glob(f"{name}/**/*.py"))]


def test_keys_of_shipped_configs_stand_where_they_are_found():
    found = 0
    for path in [*shipped(), *SAMPLES.glob("*.py")]:
        sources = Sources(path)
        for file in sources.files:
            for node in ast.walk(ast.parse(file.read_text())):
                for name in custom_keys(node):
                    key = (*OPTIONS, "custom_keys", name)
                    entry = sources.entry(key)
                    if entry is not None:
                        assert text_at(entry.place) == name
                        found += 1
    assert found > 200


def custom_keys(node):
    if isinstance(node, ast.keyword) and node.arg == "custom_keys":
        for key in getattr(node.value, "keys", []):
            if isinstance(key, ast.Constant):
                yield key.value


NAMES = st.text("abcäß_", min_size=1, max_size=4).filter(str.isidentifier)
TREES = st.recursive(
    st.integers(), lambda below: st.dictionaries(NAMES, below, max_size=3), max_leaves=12
)


def source(value, style):
    if not isinstance(value, dict):
        return repr(value)
    if style.pop(0) if style else True:
        return "dict(\n" + ",\n".join(f"{k}={source(v, style)}" for k, v in value.items()) + ")"
    return "{" + ", ".join(f"{k!r}: {source(v, style)}" for k, v in value.items()) + "}"


def paths(value, above=()):
    for key, below in value.items() if isinstance(value, dict) else ():
        yield (*above, key)
        yield from paths(below, (*above, key))


@settings(max_examples=200)
@given(st.dictionaries(NAMES, TREES, min_size=1, max_size=3), st.lists(st.booleans(), max_size=9))
def test_every_entry_of_any_config_is_found(tmp_path_factory, config, style):
    path = tmp_path_factory.getbasetemp() / "any.py"
    path.write_text("\n".join(f"{k} = {source(v, list(style))}" for k, v in config.items()))
    sources = Sources(path)
    for key in paths(config):
        assert text_at(sources.entry(key).place) == key[-1]

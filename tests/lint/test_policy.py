"""The settings: where they are found, what they mean, and what a mistake in them is told.

`LLDTOOL_UPDATE_DOCS=1 pytest -n 0 tests/test_policy.py` writes their schema and their page anew.
"""

import json
import os
import pickle
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from lldtool.errors import LldtoolError
from lldtool.lint.diagnostics import Severity
from lldtool.lint.policy import Policy, load_policy
from lldtool.lint.rules import all_rules
from lldtool.lint.settings import settings_schema

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

UPDATE = bool(os.environ.get("LLDTOOL_UPDATE_DOCS"))
SCHEMA = ROOT / "docs" / "lldtool.schema.json"
PAGE = ROOT / "docs" / "settings.md"
RULES = {rule.name: rule for rule in all_rules()}
BY_DEFAULT = {rule.code for rule in all_rules() if rule.by_default}
EVERY = {rule.code for rule in all_rules()}
DECAY = {code for code in EVERY if code.startswith("LLD1")}

VALID = b"""\
# as an example
select = ["LLD1", "unmatched-key"]
ignore = ["LLD203"]
no-decay = ["*.bias", "type:*Norm*"]
fail-on = "error"
timeout = 120
jobs = 4
[severity]
decayed-bias = "warning"
[per-config-ignores]
"configs/legacy/**" = ["LLD1"]
"""


@pytest.fixture
def load(tmp_path):
    """The policy of an lldtool.toml with this text."""

    def policy(text):
        file = tmp_path / "lldtool.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_policy(tmp_path)

    return policy


def codes(policy, config="x.py", path=None):
    return {rule.code for rule in policy.rules_for(config, path or Path(config))}


# Where the settings are found.


def test_without_settings_the_rules_are_those_that_are_on_by_default(tmp_path):
    policy = load_policy(tmp_path)
    assert policy == Policy()
    assert codes(policy) == BY_DEFAULT
    assert policy.severity_of(RULES["decayed-norm"]) is RULES["decayed-norm"].severity
    assert (policy.fail_on, policy.root) == (Severity.warning, None)


def test_the_search_goes_upwards_to_the_nearest_settings(tmp_path):
    inner = tmp_path / "a" / "b" / "c"
    inner.mkdir(parents=True)
    (tmp_path / "lldtool.toml").write_text('fail-on = "info"')
    (tmp_path / "a" / "pyproject.toml").write_text('[tool.lldtool]\nfail-on = "error"')
    assert load_policy(inner).fail_on is Severity.error
    assert load_policy(inner).root == (tmp_path / "a").resolve()
    assert load_policy(tmp_path).fail_on is Severity.info


@pytest.mark.parametrize("text", ["", "[tool.ruff]\n", "tool = 3", "[tool]\n", "[project]\n"])
def test_a_pyproject_without_the_table_is_passed_over(tmp_path, text):
    inner = tmp_path / "a"
    inner.mkdir()
    (tmp_path / "lldtool.toml").write_text("jobs = 3")
    (inner / "pyproject.toml").write_text(text)
    assert load_policy(inner).jobs == 3


def test_an_empty_table_ends_the_search(tmp_path):
    inner = tmp_path / "a"
    inner.mkdir()
    (tmp_path / "lldtool.toml").write_text("jobs = 3")
    (inner / "pyproject.toml").write_text("[tool.lldtool]")
    assert load_policy(inner).jobs is None


def test_lldtool_toml_wins_over_a_pyproject_beside_it(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.lldtool]\njobs = 1")
    (tmp_path / "lldtool.toml").write_text("jobs = 2")
    assert load_policy(tmp_path).jobs == 2


def test_a_file_that_is_named_is_the_one_read(tmp_path):
    (tmp_path / "lldtool.toml").write_text("jobs = 2")
    other = tmp_path / "a" / "strict.toml"
    other.parent.mkdir()
    other.write_text("jobs = 5")
    policy = load_policy(tmp_path, other)
    assert (policy.jobs, policy.root) == (5, other.parent.resolve())
    pyproject = other.with_name("pyproject.toml")
    pyproject.write_text("[tool.lldtool]\njobs = 6")
    assert load_policy(tmp_path, pyproject).jobs == 6


def test_a_policy_goes_to_another_process(load):
    policy = load(VALID)
    assert pickle.loads(pickle.dumps(policy)) == policy


# Which rules hold.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('select = ["ALL"]', EVERY),
        ("select = []", set()),
        ('select = ["LLD101"]', {"LLD101"}),
        ('select = ["decayed-norm"]', {"LLD101"}),
        ('select = ["LLD1"]', DECAY),
        ('extend-select = ["many-groups"]', BY_DEFAULT | {"LLD406"}),
        ('ignore = ["LLD1"]', BY_DEFAULT - DECAY),
        ('ignore = ["ALL"]', set()),
        ('select = ["LLD1"]\nignore = ["LLD101"]', DECAY - {"LLD101"}),
        ('select = ["LLD1"]\nignore = ["decayed-norm"]', DECAY - {"LLD101"}),
        ('select = ["LLD101"]\nignore = ["LLD1"]', {"LLD101"}),
        ('select = ["decayed-norm"]\nignore = ["LLD10"]', {"LLD101"}),
        ('select = ["LLD101"]\nignore = ["LLD101"]', set()),
        ('select = ["decayed-norm"]\nignore = ["LLD101"]', set()),
        ('select = ["LLD1"]\nignore = ["LLD1"]', set()),
        ('extend-select = ["LLD101"]\nignore = ["LLD1"]', BY_DEFAULT - DECAY | {"LLD101"}),
        ('select = ["LLD"]\nignore = ["ALL"]', EVERY),
    ],
)
def test_the_more_specific_selector_wins_and_ignore_among_equals(load, text, expected):
    assert codes(load(text)) == expected


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ('ignore = ["LLD101"]', {"select": ["LLD1"]}, DECAY),
        ('select = ["LLD3"]\nextend-select = ["LLD406"]', {"select": ["LLD101"]}, {"LLD101"}),
        ('select = ["LLD1"]', {"ignore": ["LLD101"]}, DECAY - {"LLD101"}),
        ('select = ["LLD101"]', {"ignore": ["LLD1"]}, set()),
        ('select = ["LLD101"]', {"extend_select": ["LLD406"]}, {"LLD101", "LLD406"}),
        ('ignore = ["LLD101"]', {"extend_select": ["LLD1"]}, BY_DEFAULT),
        ("", {"extend_select": ["LLD406"], "ignore": ["LLD4"]},
         {c for c in BY_DEFAULT if c[:4] != "LLD4"} | {"LLD406"}),
        ("", {"select": []}, set()),
        ("", {}, BY_DEFAULT),
    ],
)  # fmt: skip
def test_the_command_line_wins_over_the_file(load, text, values, expected):
    """As `ruff check --show-settings` has it for the like of these."""
    assert codes(load(text).overridden(**values)) == expected


def test_other_values_of_the_command_line_win_where_they_are_given(load):
    policy = load('fail-on = "error"\ntimeout = 5\njobs = 3\ninclude-base = true')
    assert policy.overridden() == policy.overridden(fail_on=None, timeout=None)
    assert policy.overridden().fail_on is Severity.error
    other = policy.overridden(fail_on=Severity.info, timeout=1.5, jobs=1, include_base=False)
    assert (other.fail_on, other.timeout, other.jobs) == (Severity.info, 1.5, 1)
    assert other.include_base is False


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"jobs": 0}, "--jobs: expected a whole number >= 1"),
        ({"jobs": 5000}, "--jobs: expected a whole number <= 4096"),
        ({"timeout": 0.0}, "--timeout: expected a number > 0.0"),
        ({"timeout": float("nan")}, "--timeout: expected a number > 0.0"),
        ({"timeout": float("inf")}, "--timeout: expected a number <= 1000000.0"),
        ({"exclude": ["a", ""]}, "--exclude[1]: expected a string of length >= 1"),
        ({"exclude": ["!"]}, "--exclude: '!' is not a glob"),
        ({"select": "LLD1"}, "--select: expected a list, got a string"),
        ({"fail_on": "warn"},
         "--fail-on: 'warn' is none of error, warning, info (did you mean warning?)"),
        ({"job": 1}, "unknown setting '--job' (did you mean jobs?)"),
    ],
)  # fmt: skip
def test_the_limits_of_the_file_are_those_of_the_command_line(values, said):
    with pytest.raises(LldtoolError) as raised:
        Policy().overridden(**values)
    assert str(raised.value) == said


def test_each_setting_arrives_from_the_file_and_from_the_command_line(load):
    for key, entry in settings_schema()["properties"].items():
        (example,) = entry["examples"]
        name = key.replace("-", "_")
        if not isinstance(example, dict):
            policy = load(f"{key} = {json.dumps(example)}")
            expected = tuple(example) if isinstance(example, list) else example
            assert getattr(policy, name) == expected
            assert getattr(Policy().overridden(**{name: example}), name) == expected
        else:
            entries = ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in example.items())
            policy = load(f"{key} = {{{entries}}}")
            assert list(getattr(policy, name)) == list(example)


def test_exclude_on_the_command_line_is_relative_to_the_working_directory(
    load, tmp_path, monkeypatch
):
    policy = load('exclude = ["work_dirs"]')
    (tmp_path / "configs").mkdir()
    monkeypatch.chdir(tmp_path / "configs")
    more = policy.overridden(exclude=["old/*.py", "data", "../b/", "/tmp/x"]).exclude
    assert more[:4] == ("work_dirs", "configs/old/*.py", "data", "b/")
    assert more[4].startswith("../")


def test_a_rule_ignored_for_some_configs_holds_for_others(load, tmp_path, monkeypatch):
    policy = load(
        """
        [per-config-ignores]
        "configs/legacy/**" = ["LLD1"]
        "b.py" = ["decayed-norm", "LLD102"]
        "mmpretrain::mae/*" = ["ALL"]
        """
    )
    for folder in (tmp_path, tmp_path / "configs"):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        to = os.path.relpath(tmp_path / "configs")
        assert codes(policy, f"{to}/a.py") == BY_DEFAULT
        assert codes(policy, f"{to}/legacy/a.py") == BY_DEFAULT - DECAY
        assert codes(policy, f"{to}/legacy/b/c.py") == BY_DEFAULT - DECAY
        assert codes(policy, f"{to}/b.py") == BY_DEFAULT - {"LLD101", "LLD102"}
        assert codes(policy, f"{tmp_path}/configs/legacy/a.py") == BY_DEFAULT - DECAY
    assert codes(policy, "mmpretrain::mae/benchmarks/x.py") == set()
    assert codes(policy, "mmpretrain::beit/x.py") == BY_DEFAULT


def test_a_glob_with_an_exclamation_mark_ignores_rules_for_all_other_configs(
    load, tmp_path, monkeypatch
):
    policy = load('per-config-ignores = {"!configs/new/**" = ["LLD1"]}')
    monkeypatch.chdir(tmp_path)
    assert codes(policy, "configs/new/a.py") == BY_DEFAULT
    assert codes(policy, "configs/old/a.py") == BY_DEFAULT - DECAY


def test_a_config_at_a_revision_is_known_by_its_own_path(load, tmp_path, monkeypatch):
    policy = load('per-config-ignores = {"legacy/*.py" = ["LLD1"]}')
    monkeypatch.chdir(tmp_path)
    there = Path("/tmp/lldtool-1/legacy/x.py")
    assert codes(policy, "legacy/x.py@main", there) == BY_DEFAULT - DECAY
    assert codes(policy, "new/x.py@main", Path("/tmp/lldtool-1/new/x.py")) == BY_DEFAULT


def test_the_most_specific_severity_is_the_rules(load):
    policy = load('severity = {LLD1 = "info", decayed-norm = "warning", ALL = "error"}')
    assert policy.severity_of(RULES["decayed-norm"]) is Severity.warning
    assert policy.severity_of(RULES["decayed-vector"]) is Severity.info
    assert policy.severity_of(RULES["many-groups"]) is Severity.error


def test_rules_are_named_in_any_case(load, tmp_path):
    policy = load(
        "select = ['lld1', 'Unmatched-Key']\nextend-select = ['Lld406']\nignore = ['lld103']\n"
        "severity = {lld = 'info', lld101 = 'error', All = 'warning'}\n"
        "per-config-ignores = {'a/*' = ['lLd102']}"
    )
    assert codes(policy) == {"LLD101", "LLD102", "LLD104", "LLD105", "LLD106", "LLD301", "LLD406"}
    assert "LLD102" not in codes(policy, "a/x.py", tmp_path / "a/x.py")
    assert policy.severity_of(RULES["decayed-norm"]) is Severity.error
    assert policy.severity_of(RULES["decayed-vector"]) is Severity.info
    assert codes(policy.overridden(select=["all"], ignore=["lld"])) == set()
    assert codes(Policy().overridden(select=["DECAYED-NORM"])) == {"LLD101"}


def test_lists_arrive_as_they_are_written(load):
    policy = load(
        'no-decay = ["*.bias"]\nmust-decay = ["a"]\nmay-decay = ["type:X*"]\n'
        'include = ["configs/**"]\nexclude = ["data"]\ninclude-base = true\ntimeout = 1'
    )
    assert policy.no_decay == ("*.bias",)
    assert policy.must_decay == ("a",)
    assert policy.may_decay == ("type:X*",)
    assert policy.include == ("configs/**",)
    assert policy.exclude == ("data",)
    assert policy.include_base is True
    assert policy.timeout == 1.0


# Mistakes.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fail_on = 'error'", "unknown setting 'fail_on' (did you mean fail-on?)"),
        ("selct = []", "unknown setting 'selct' (did you mean select?)"),
        ("zzz = 1", "unknown setting 'zzz'"),
        ("[tool.lldtool]", "unknown setting 'tool' (in this file, settings stand at the top level,"
         " without [tool.lldtool])"),
        ("select = 'LLD1'", "select: expected a list, got a string"),
        ("ignore = ['LLD1', 2]", "ignore[1]: expected a string, got a whole number"),
        ("select = 1979-05-27", "select: expected a list, got a date"),
        ("include-base = 1", "include-base: expected true or false, got a whole number"),
        ("exclude = ['']", "exclude[0]: expected a string of length >= 1"),
        ("exclude = ['a', '[z-a]']", "exclude: '[z-a]' is not a glob"),
        ("include = ['!']", "include: '!' is not a glob"),
        ("per-config-ignores = {'[z-a]' = ['LLD1']}",
         "per-config-ignores: '[z-a]' is not a glob"),
        ("no-decay = [['a']]", "no-decay[0]: expected a string, got a list"),
        ("severity = 'error'", "severity: expected a table, got a string"),
        ("severity = {LLD101 = 'eror'}",
         "severity.'LLD101': 'eror' is none of error, warning, info (did you mean error?)"),
        ("severity = {LLD101 = true}", "severity.'LLD101': expected a string, got true or false"),
        ("severity = {decayed-nrm = 'info'}",
         "severity: there is no rule 'decayed-nrm' (did you mean decayed-norm?)"),
        ("per-config-ignores = {'a/*' = 'LLD1'}",
         "per-config-ignores.'a/*': expected a list, got a string"),
        ("per-config-ignores = {'a/*' = ['LLD1', 'lld1o1']}",
         "per-config-ignores.'a/*': there is no rule 'lld1o1' (did you mean LLD101?)"),
        ("fail-on = 'warn'",
         "fail-on: 'warn' is none of error, warning, info (did you mean warning?)"),
        ("fail-on = 3", "fail-on: expected a string, got a whole number"),
        ("timeout = 0", "timeout: expected a number > 0.0"),
        ("timeout = nan", "timeout: expected a number > 0.0"),
        ("timeout = inf", "timeout: expected a number <= 1000000.0"),
        ("jobs = 0", "jobs: expected a whole number >= 1"),
        ("jobs = 1.5", "jobs: expected a whole number, got a number"),
        ("select = ['LLD9']", "select: there is no rule 'LLD9'"),
        ("select = ['']", "select: there is no rule ''"),
        ("select = ['L']", "select: there is no rule 'L'"),
        ("extend-select = ['al']", "extend-select: there is no rule 'al' (did you mean ALL?)"),
        ("ignore = ['decayed_norm']",
         "ignore: there is no rule 'decayed_norm' (did you mean decayed-norm?)"),
        ("jobs = 1\nselect = [", "not TOML: Invalid value (at end of document)"),
        ("jobs = 1\njobs = 2\n", "not TOML: Cannot overwrite a value (at line 2, column 9)"),
        (b"# caf\xe9", "not UTF-8 text"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_the_key_and_the_fix(load, tmp_path, text, said):
    with pytest.raises(LldtoolError) as raised:
        load(text)
    assert str(raised.value) == f"{tmp_path / 'lldtool.toml'}: {said}"


def test_a_mistake_in_a_pyproject_is_told_too(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool]\nlldtool = 3")
    with pytest.raises(LldtoolError, match="expected a table"):
        load_policy(tmp_path)


def test_a_file_that_is_named_must_have_settings(tmp_path):
    for path, said in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none.toml", "No such file"),
    ):
        with pytest.raises(LldtoolError, match=said):
            load_policy(tmp_path, path)
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text("[project]")
    with pytest.raises(LldtoolError, match=r"no \[tool.lldtool\]"):
        load_policy(tmp_path, pyproject)


@pytest.mark.parametrize("option", ["select", "extend_select", "ignore"])
def test_an_unknown_rule_on_the_command_line_names_the_option(option):
    with pytest.raises(LldtoolError) as raised:
        Policy().overridden(**{option: ["LLD101", "decayed-nrom"]})
    said = f"--{option.replace('_', '-')}: there is no rule 'decayed-nrom'"
    assert str(raised.value) == f"{said} (did you mean decayed-norm?)"


@given(data=st.data())
def test_no_damage_to_the_file_leads_to_another_exception(data, tmp_path_factory):
    text = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 5))
        text[start:end] = data.draw(st.binary(max_size=5) | st.sampled_from(_SPLICES))
    file = tmp_path_factory.getbasetemp() / "damaged.toml"
    file.write_bytes(text)
    assert "\n" not in what_is_said(file)


def what_is_said(file):
    try:
        assert codes(load_policy(file.parent, file)) <= EVERY
    except LldtoolError as error:
        return str(error)
    return ""


_SPLICES = [b"[" * 9999, b"= {", b"'", b'"""', b"\n[a]\n", b"1e999", b"0x", b"\xff", b"9" * 5000,
            b"\n[severity.a]\n", b"= 07:32:00\n"]  # fmt: skip


# The schema and the page.


def settings_page():
    """Return docs/settings.md with its table and its example as the schema has them."""
    schema = settings_schema()
    rows = [
        f"| `{key}` | {type_of(entry, schema)} | {default_of(entry)} | {entry['description']} |"
        for key, entry in schema["properties"].items()
    ]
    values = [(key, entry["examples"][0]) for key, entry in schema["properties"].items()]
    lines = [f"{key} = {json.dumps(v)}" for key, v in values if not isinstance(v, dict)]
    for key, table in values:
        if isinstance(table, dict):
            entries = [f"{json.dumps(name)} = {json.dumps(v)}" for name, v in table.items()]
            lines += ["", f"[tool.lldtool.{key}]", *entries]
    before, head, rest = PAGE.read_text("utf-8").partition("|---|---|---|---|\n")
    between = rest[rest.index("\n\n") :].partition("```toml\n")
    table, example = "\n".join(rows), "\n".join(["[tool.lldtool]", *lines])
    return f"{before}{head}{table}{between[0]}{between[1]}{example}\n```\n"


def type_of(entry, schema):
    if "$ref" in entry:
        definition = schema["$defs"][entry["$ref"].rpartition("/")[2]]
        if definition["title"] == "Severity":
            return "`error`, `warning` or `info`"
        return "string"
    if entry["type"] == "array":
        return "list of strings"
    if entry["type"] == "object":
        of = {"array": "lists", "integer": "whole numbers"}
        return f"table of {of.get(entry['additionalProperties'].get('type'), 'severities')}"
    return {"boolean": "`true` or `false`", "number": "number", "integer": "whole number"}[
        entry["type"]
    ]


def default_of(entry):
    return f"`{json.dumps(entry['default'])}`" if "default" in entry else "none"


def compare_or_update(file, text):
    if UPDATE:
        file.write_text(text, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == text, "LLDTOOL_UPDATE_DOCS=1 writes it anew"


def test_the_schema_in_the_docs_is_that_of_the_settings():
    compare_or_update(SCHEMA, json.dumps(settings_schema(), indent=2) + "\n")


def test_the_page_in_the_docs_is_that_of_the_settings():
    compare_or_update(PAGE, settings_page())


def test_the_example_of_the_page_loads_and_has_every_setting(tmp_path):
    text = settings_page().partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "pyproject.toml").write_text(text)
    load_policy(tmp_path)
    assert set(tomllib.loads(text)["tool"]["lldtool"]) == set(settings_schema()["properties"])


def test_the_schema_describes_each_setting_and_knows_every_rule():
    schema = settings_schema()
    assert all(entry["description"] for entry in schema["properties"].values())
    assert schema["additionalProperties"] is False
    words = {"ALL", "LLD", "LLD1", "LLD10", *EVERY, *RULES}
    assert words <= set(schema["$defs"]["Selector"]["enum"])
    for word in schema["$defs"]["Selector"]["enum"]:
        Policy().overridden(select=[word])

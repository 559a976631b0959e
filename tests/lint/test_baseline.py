"""Findings that are accepted: written, read back, and compared with later findings."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lldtool.errors import LldtoolError
from lldtool.lint.baseline import Accepted, baseline_json, load_baseline
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity, all_diagnostics

CODES = frozenset({"LLD101", "LLD102"})


def finding(code="LLD101", key="optim_wrapper.paramwise_cfg", parameters=("a", "b"), **fields):
    return Diagnostic(code, "a-name", Severity.error, "a message", parameters, (key,), **fields)


def report(**configs):
    """Config -> findings."""
    return [CheckResult(config, tuple(found), codes=CODES) for config, found in configs.items()]


def saved(path, of):
    path.write_text(baseline_json(of, path), encoding="utf-8")
    return load_baseline(path)


names = st.text(st.characters(), max_size=8)
findings = st.builds(
    finding, code=names, key=names, parameters=st.lists(names, max_size=3).map(tuple)
)
reports = st.dictionaries(names, st.lists(findings, max_size=4), max_size=4).map(
    lambda configs: report(**configs)
)


@given(of=reports)
def test_a_baseline_accepts_all_that_it_was_written_from(of, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "round-trip.json"
    baseline = saved(path, of)
    assert all(baseline.accepts(one.config, found) for one, found in all_diagnostics(of))
    codes = frozenset(found.code for _, found in all_diagnostics(of))
    assert baseline.unused([replace(one, codes=codes) for one in of]) == []
    assert baseline_json(of, path) == path.read_text(encoding="utf-8")


def test_a_finding_is_a_line_in_an_order_that_does_not_depend_on_the_report(tmp_path):
    one, other = finding(parameters=("b", "a")), finding(code="LLD102", key="model")
    text = baseline_json(report(**{"y.py": [other, one, one], "x.py": [one]}), Path("b.json"))
    assert text == baseline_json(report(**{"x.py": [one], "y.py": [one, other]}), Path("b.json"))
    at = '"key": "optim_wrapper.paramwise_cfg", "parameters": ["b", "a"]}'
    assert text == (
        '{\n "schema_version": 1,\n "findings": [\n'
        f'  {{"config": "x.py", "code": "LLD101", {at},\n'
        f'  {{"config": "y.py", "code": "LLD101", {at},\n'
        '  {"config": "y.py", "code": "LLD102", "key": "model", "parameters": ["a", "b"]}\n ]\n}\n'
    )


def test_an_entry_accepts_the_same_finding_of_fewer_parameters_and_no_other(tmp_path):
    baseline = saved(tmp_path / "b.json", report(**{"x.py": [finding()]}))
    assert baseline.accepts("x.py", finding())
    assert baseline.accepts("x.py", finding(parameters=("b",)))
    assert baseline.accepts("x.py", finding(parameters=("b", "a"), suggestion="x"))
    assert not baseline.accepts("x.py", finding(parameters=("a", "b", "c")))
    assert not baseline.accepts("x.py", finding(parameters=("c",)))
    assert not baseline.accepts("x.py", finding(code="LLD102"))
    assert not baseline.accepts("x.py", finding(key="model"))
    assert not baseline.accepts("y.py", finding())


def test_configs_are_named_from_the_baseline_wherever_lldtool_runs(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    path = tmp_path / "b.json"
    monkeypatch.chdir(tmp_path)
    baseline = saved(path, report(**{"configs/x.py": [finding()], "p::mae/x.py": [finding()]}))
    assert [entry.config for entry in baseline.entries] == ["configs/x.py", "p::mae/x.py"]
    monkeypatch.chdir("configs")
    for again in (baseline, load_baseline(Path("../b.json"))):
        for name in ("x.py", "../configs/x.py", f"{tmp_path}/configs/x.py", "p::mae/x.py"):
            assert again.accepts(name, finding())
        assert not again.accepts("configs/x.py", finding())


def test_an_entry_is_unused_where_its_config_was_checked_for_it_in_vain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = report(
        **{"x.py": [finding(), finding(code="LLD102")], "y.py": [finding()], "z.py": [finding()]}
    )
    baseline = saved(tmp_path / "b.json", old)
    now = report(**{"x.py": [finding(parameters=("a",))], "y.py": []})
    gone = Accepted("x.py", "LLD102", "optim_wrapper.paramwise_cfg", ("a", "b"))
    other = replace(gone, config="y.py", code="LLD101")
    assert baseline.unused(now) == [gone, other]
    fewer = [replace(one, codes=frozenset({"LLD102"})) for one in now]
    assert baseline.unused(fewer) == [gone]
    broken = [now[0], replace(now[1], error="no plan")]
    assert baseline.unused(broken) == [gone]


def test_no_findings_make_a_baseline_that_accepts_none(tmp_path):
    baseline = saved(tmp_path / "b.json", report(**{"x.py": []}))
    assert baseline.entries == ()
    assert not baseline.accepts("x.py", finding())


VALID = json.dumps(
    {
        "schema_version": 1,
        "findings": [{"config": "x.py", "code": "LLD101", "key": "a", "parameters": ["b", "c"]}],
    }
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a baseline: Expecting value"),
        ("[]", "not a baseline: Expected `object`, got `array`"),
        ("{}", "not a baseline: .*missing required field `schema_version`"),
        ('{"schema_version": 1}', "not a baseline: .*missing required field `findings`"),
        (VALID.replace("1,", "0,", 1), "not a baseline: .*schema_version"),
        (VALID.replace("1,", '"1",', 1), "not a baseline: .*schema_version"),
        (VALID.replace("1,", "2,", 1), "a baseline of schema_version 2; this lldtool reads up to 1"
         " \\(pip install --upgrade lldtool\\)"),
        ('{"schema_version": 2, "other": {}}', "a baseline of schema_version 2"),
        (VALID.replace('"b"', "3"), "not a baseline: Expected `str`, got `int`"),
        (VALID.replace('"key"', '"kee"'), "not a baseline: .*missing required field `key`"),
        ("[" * 100_000, "not a baseline"),
        (b"\xff\xfe\xff", "not a baseline"),
        ("9" * 5000, "not a baseline"),
    ],
)  # fmt: skip
def test_what_is_no_baseline_is_an_error_that_says_so(tmp_path, text, said):
    path = tmp_path / "b.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LldtoolError, match=said) as raised:
        load_baseline(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_file_that_can_not_be_read_is_an_error(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(LldtoolError, match="can't read the baseline"):
            load_baseline(path)


@given(data=st.data())
def test_no_damage_to_the_file_leads_to_another_exception(data, tmp_path_factory):
    text = bytearray(VALID.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        splice = st.binary(max_size=4) | st.sampled_from([b"[", b"{", b"null", b"1e999", b"-1"])
        text[start : start + data.draw(st.integers(0, 9))] = data.draw(splice)
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(text)
    with contextlib.suppress(LldtoolError):
        load_baseline(path).accepts("x.py", finding())

"""Whatever a config has in its names and messages, a format's reader reads the findings back."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from junitparser import JUnitXml
from markdown_it import MarkdownIt
from readers import assert_no_control_character, assert_no_more_than_text
from sarif_pydantic import Sarif
from strategies import anything

from lldtool.config.location import Location
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity, Status, all_diagnostics
from lldtool.output.diagnostics.as_json import report_json
from lldtool.output.diagnostics.github import report_github
from lldtool.output.diagnostics.junit import report_junit
from lldtool.output.diagnostics.markdown import report_markdown
from lldtool.output.diagnostics.sarif import report_sarif
from lldtool.output.diagnostics.shared import merged
from lldtool.output.diagnostics.text import report_text
from lldtool.text import printable

places = st.builds(
    lambda file, line, column, lines, columns: Location(
        Path(file), line, column, line + lines, column + columns
    ),
    anything, *[st.integers(1, 9)] * 2, st.integers(0, 2), st.integers(1, 9),
)  # fmt: skip
findings = st.builds(
    Diagnostic,
    anything, anything, st.sampled_from(Severity), anything,
    st.lists(anything, max_size=9).map(tuple), st.tuples(anything), st.none() | places,
    st.none() | anything,
)  # fmt: skip
configs = st.builds(
    CheckResult, anything, st.lists(findings, max_size=4).map(tuple), st.none() | anything
)
reports = st.lists(configs, max_size=4)
any_report = given(reports)


def told(report):
    return [one for _, several in merged(report) for one in several]


def errors(report):
    return [one for one in report if one.error is not None]


@any_report
def test_each_diagnostic_is_told(report):
    assert set(told(report)) == {finding for _, finding in all_diagnostics(report)}


@any_report
def test_json(report):
    text = report_json(report)
    assert text.isascii()
    assert_no_control_character(text)
    content = msgspec.json.decode(text)  # stricter than Python's own: no lone surrogates
    assert sum(len(config["findings"]) for config in content["configs"]) == len(
        all_diagnostics(report)
    )


@any_report
def test_sarif(report):
    text = report_sarif(report, [])
    assert text.isascii()
    assert_no_control_character(text)
    msgspec.json.decode(text)
    (run,) = Sarif.model_validate_json(text).runs
    assert len(run.results) == len(all_diagnostics(report))
    assert len(run.invocations[0].toolExecutionNotifications) == len(errors(report))
    prints = [result.partial_fingerprints["lldtool/v1"] for result in run.results]
    assert len(set(prints)) == len(prints)
    for result in run.results:
        where = result.locations[0].physical_location.artifact_location
        assert re.fullmatch(r"[A-Za-z0-9_.~%/-]*", where.uri.removeprefix("file://"))
        assert urlsplit(where.uri).scheme in ("", "file")
        assert_no_control_character(result.message.text)


@any_report
def test_junit(report):
    text = report_junit(report)
    assert text.isascii()
    assert_no_control_character(text)
    (suite,) = JUnitXml.fromstring(text.encode())
    cases = list(suite)
    assert [case.name for case in cases] == [printable(one.config) for one in report]
    for case, one in zip(cases, report, strict=True):
        texts = [r.text for r in case.result if one.status is Status.failed] + [case.system_out]
        blocks = [block for text in texts if text for block in text.split("\n\n")]
        assert len(blocks) == len(set(one.diagnostics))


@any_report
def test_markdown(report):
    text = report_markdown(report)
    assert_no_control_character(text)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    kinds = [token.type for token in tokens]
    inline = [child.type for token in tokens for child in token.children or ()]
    assert kinds.count("fence") == sum(bool(one.suggestion) for one in told(report))
    assert inline.count("strong_open") == len(told(report)) + len(errors(report))
    found = [bool(one.diagnostics or one.error is not None) for one in report]
    assert kinds.count("tr_open") == (1 + sum(found) if sum(found) > 1 else 0)
    assert kinds.count("th_open") == (5 if sum(found) > 1 else 0)
    assert kinds.count("td_open") == (5 * sum(found) if sum(found) > 1 else 0)
    assert not {"html_block", "code_block", "hr", "blockquote_open", "ordered_list_open"} & {*kinds}
    assert {*inline} <= {"text", "text_special", "strong_open", "strong_close"}


def commands_of(log):
    """The commands that GitHub's runner finds in a log, as its `ActionCommand.TryParseV2` does.

    https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs
    """
    for line in re.split(r"\r\n|\r|\n", log):
        if not line.lstrip().startswith("::"):
            # The older form may be anywhere in a line.
            assert "##[" not in line
            continue
        head, _, message = line.lstrip().removeprefix("::").partition("::")
        command, _, properties = head.partition(" ")
        given = dict(entry.split("=", 1) for entry in properties.split(",") if entry)
        yield command, {key: unescaped(value) for key, value in given.items()}, unescaped(message)


def unescaped(text):
    for escape, character in {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}.items():
        text = text.replace(escape, character)
    return text.replace("%25", "%")


@any_report
def test_github(report):
    text = report_github(report)
    assert_no_control_character(text)
    found = list(commands_of(text))
    severities = {Severity.error: "error", Severity.warning: "warning", Severity.info: "notice"}
    expected = [severities[one.severity] for one in told(report)]
    expected += ["error"] * len(errors(report))
    for command in severities.values():
        number = sum(made == command for made, *_ in found)
        assert number == min(10, expected.count(command))
    assert len(found) == sum(min(10, expected.count(c)) for c in severities.values())
    assert {key for _, properties, _ in found for key in properties} <= {
        "file", "line", "endLine", "col", "endColumn", "title"
    }  # fmt: skip
    if len(expected) <= 10:
        messages = [message for *_, message in found]
        for one in told(report):
            assert any(m.split("\n")[0] == printable(one.message) for m in messages)


@given(reports, st.sampled_from([60, 80]), st.booleans())
def test_text_in_a_terminal(report, width, color):
    assert_no_more_than_text(report_text(report, width=width, color=color))


def test_a_hostile_source_line_does_not_reach_the_terminal(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("a = '\x1b[2J\x1b]0;t\x07' \u202e # [bold]x[/]\n", encoding="utf-8")
    finding = Diagnostic("LLD101", "x", Severity.error, "y", location=Location(file, 1, 1, 1, 2))
    report = [CheckResult("x.py", (finding,))]
    for text in (report_text(report, width=80, color=False), report_junit(report)):
        assert_no_control_character(text)
        assert "[bold]x[/]" in text


def test_json_is_the_text_itself_where_it_can_be():
    finding = Diagnostic("LLD101", "x", Severity.error, "größe\x1b\ud800")
    content = json.loads(report_json([CheckResult("x.py", (finding,))]))
    assert content["configs"][0]["findings"][0]["message"] == "größe\x1b\\ud800"

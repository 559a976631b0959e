"""Workflow commands for GitHub Actions."""

import pytest

from lldtool.config.location import Location
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity
from lldtool.output.diagnostics.github import report_github


def test_annotations(report, snapshot):
    assert report_github(report) == snapshot


@pytest.mark.parametrize(
    ("severity", "command"),
    [(Severity.error, "error"), (Severity.warning, "warning"), (Severity.info, "notice")],
)
def test_ten_of_each_severity_and_the_rest_in_a_line(severity, command):
    findings = tuple(Diagnostic(f"LLD{n}", "x", severity, "y") for n in range(100, 113))
    lines = report_github([CheckResult("a.py", findings)]).splitlines()
    assert [line.startswith(f"::{command} ") for line in lines] == [True] * 10 + [False] * 2
    noun = f"more {severity.value}s"
    assert lines[10] == f"3 {noun} not annotated: GitHub shows 10 of each"


def test_configs_that_could_not_be_checked_count_among_the_ten_errors():
    configs = [CheckResult(f"{n}.py", error="no such file") for n in range(11)]
    lines = report_github(configs).splitlines()
    assert len([line for line in lines if line.startswith("::error ")]) == 10
    assert lines[-2].startswith("1 more error not annotated")


def test_the_finding_of_a_shared_base_is_one_annotation(report):
    assert report_github(report).count("LLD201") == 1


def test_a_base_outside_of_the_repository_is_annotated_at_the_config(report):
    line = next(x for x in report_github(report).splitlines() if "LLD102" in x)
    assert line.startswith("::warning file=configs/b.py,title=LLD102 decayed-bias::")
    assert "%0Ain: mmpretrain::_base_/schedules/adamw.py:3:5%0A" in line


def test_columns_are_given_within_a_line_only(here):
    place = Location(here / "configs/a.py", 2, 1, 4, 2)
    finding = Diagnostic("LLD101", "x", Severity.error, "y", location=place)
    text = report_github([CheckResult("configs/a.py", (finding,))])
    assert text.startswith("::error file=configs/a.py,line=2,endLine=4,title=LLD101 x::y\n")

"""JUnit XML, read back with a reader of others."""

from junitparser import Error, Failure, JUnitXml

from lldtool.lint.diagnostics import CheckResult, Status
from lldtool.output.diagnostics.junit import report_junit


def test_junit(report, snapshot):
    assert report_junit(report) == snapshot


def test_a_case_for_each_config_with_its_outcome(report):
    (suite,) = JUnitXml.fromstring(report_junit(report).encode())
    assert (suite.tests, suite.failures, suite.errors) == (8, 5, 1)
    kinds = {Status.failed: [Failure], Status.error: [Error], Status.passed: []}
    for case, one in zip(suite, report, strict=True):
        assert (case.name, case.classname) == (one.config, "lldtool.check")
        assert [type(result) for result in case.result] == kinds[one.status]


def test_findings_that_fail_nothing_are_output(report):
    (suite,) = JUnitXml.fromstring(report_junit(report).encode())
    output = {case.name: case.system_out for case in suite}
    assert "LLD406" in output["mmpretrain::mae/x.py"]
    assert output["configs/a.py"] is None


def test_findings_of_a_config_without_a_plan_are_kept(report):
    findings = report[0].diagnostics
    both = [CheckResult("a.py", findings, "raised")]
    ((case,),) = JUnitXml.fromstring(report_junit(both).encode())
    assert case.result[0].message == "raised"
    assert case.system_out.count("\n\n") == len(findings) - 1

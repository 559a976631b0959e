"""Report -> JUnit XML, which most CI systems read: a test case for each config."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from lldtool.lint.diagnostics import Checked, Report, Status
from lldtool.output.diagnostics.shared import severities
from lldtool.output.diagnostics.text import findings_text
from lldtool.text import printable

#: What is in it is laid out as on a terminal of this width.
_WIDTH = 80


def report_junit(report: Report) -> str:
    """The report as JUnit XML in ASCII; findings that fail no config are its `system-out`.

    All text is escaped as for a terminal, which leaves no character that XML 1.0 lacks.
    """
    totals = {
        "tests": str(len(report.configs)),
        "failures": str(report.count(Status.failed)),
        "errors": str(report.count(Status.error)),
    }
    suites = ET.Element("testsuites", {"name": "lldtool", **totals})
    suite = ET.SubElement(suites, "testsuite", {"name": "lldtool", **totals})
    for one in report.configs:
        name = printable(one.config)
        _add_outcome(ET.SubElement(suite, "testcase", name=name, classname="lldtool.check"), one)
    ET.indent(suites)
    return str(ET.tostring(suites, encoding="us-ascii", xml_declaration=True), "ascii") + "\n"


def _add_outcome(case: ET.Element, one: Checked) -> None:
    texts = findings_text(Report((Checked(one.config, one.status, one.findings),)), _WIDTH)
    findings = "\n\n".join(text.plain for text in texts)
    if one.status is Status.failed:
        codes = ", ".join(dict.fromkeys(finding.code for finding in one.findings))
        message = f"{severities(one.findings)}: {printable(codes)}"
        ET.SubElement(case, "failure", message=message, type="lldtool.finding").text = findings
        return
    if one.status is Status.error:
        message = printable(one.error or "")
        ET.SubElement(case, "error", message=message, type="lldtool.error").text = message
    if findings:
        ET.SubElement(case, "system-out").text = findings

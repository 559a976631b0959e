"""The results of `check` as JUnit XML, which most CI systems read: a test case for each config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from xml.etree import ElementTree as ET

from lldtool.lint.diagnostics import CheckResult, Status, count
from lldtool.output.diagnostics.shared import severities
from lldtool.output.diagnostics.text import diagnostics_text
from lldtool.text import printable

#: The texts in it are laid out as on a terminal of this width.
_WIDTH = 80


def report_junit(results: Sequence[CheckResult]) -> str:
    """Return JUnit XML in ASCII; findings that fail no config are its `system-out`.

    All text is escaped as for a terminal, which leaves no character that XML 1.0 lacks.
    """
    totals = {
        "name": "lldtool",
        "tests": str(len(results)),
        "failures": str(count(results, Status.failed)),
        "errors": str(count(results, Status.error)),
    }
    suites = ET.Element("testsuites", totals)
    suite = ET.SubElement(suites, "testsuite", totals)
    for one in results:
        name = printable(one.config)
        _add_result(ET.SubElement(suite, "testcase", name=name, classname="lldtool.check"), one)
    ET.indent(suites)
    return str(ET.tostring(suites, encoding="us-ascii", xml_declaration=True), "ascii") + "\n"


def _add_result(case: ET.Element, one: CheckResult) -> None:
    texts = diagnostics_text([replace(one, error=None)], _WIDTH)
    findings = "\n\n".join(text.plain for text in texts)
    if one.status is Status.failed:
        codes = ", ".join(dict.fromkeys(diagnostic.code for diagnostic in one.diagnostics))
        message = f"{severities(one.diagnostics)}: {printable(codes)}"
        ET.SubElement(case, "failure", message=message, type="lldtool.finding").text = findings
        return
    if one.error is not None:
        message = printable(one.error)
        ET.SubElement(case, "error", message=message, type="lldtool.error").text = message
    if findings:
        ET.SubElement(case, "system-out").text = findings

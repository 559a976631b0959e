"""Report -> JSON for a script."""

from __future__ import annotations

from typing import Any

from lldtool.lint.diagnostics import Checked, Finding, Report, Status
from lldtool.output.diagnostics.shared import encodable, file_name
from lldtool.plan import dump_by_line


def report_json(report: Report) -> str:
    """The report for a script, a config to a line, in ASCII."""
    content = {
        "schema_version": 1,
        "configs": [_config(one) for one in report.configs],
        "summary": {
            "configs": len(report.configs),
            "passed": report.count(Status.passed),
            "failed": report.count(Status.failed),
            "errors": report.count(Status.error),
            "findings": len(report.findings),
        },
    }
    return dump_by_line(encodable(content))


def _config(one: Checked) -> dict[str, Any]:
    return {
        "config": one.config,
        "status": one.status.value,
        "error": one.error,
        "findings": [_finding(one, finding) for finding in one.findings],
    }


def _finding(one: Checked, finding: Finding) -> dict[str, Any]:
    place = finding.place
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "message": finding.message,
        "parameters": finding.parameters,
        "key": finding.key,
        "file": place and file_name(place.file),
        "line": place and place.line,
        "column": place and place.column,
        "end_line": place and place.end_line,
        "end_column": place and place.end_column,
        "suggestion": finding.suggestion,
        "fingerprint": finding.fingerprint(one.config),
    }

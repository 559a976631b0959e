"""The results of `check` as JSON for a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lldtool.lint.diagnostics import CheckResult, Diagnostic, Status, count
from lldtool.output.diagnostics.shared import encodable, file_name
from lldtool.plan import dump_by_line


def report_json(results: Sequence[CheckResult]) -> str:
    """Return the results for a script, a config to a line, in ASCII."""
    content = {
        "schema_version": 1,
        "configs": [
            {
                "config": result.config,
                "status": result.status.value,
                "error": result.error,
                "findings": [_finding(result, one) for one in result.diagnostics],
            }
            for result in results
        ],
        "summary": {
            "configs": len(results),
            "passed": count(results, Status.passed),
            "failed": count(results, Status.failed),
            "errors": count(results, Status.error),
            "findings": sum(len(result.diagnostics) for result in results),
        },
    }
    return dump_by_line(encodable(content))


def _finding(result: CheckResult, diagnostic: Diagnostic) -> dict[str, Any]:
    at = diagnostic.location
    numbers = ("line", "column", "end_line", "end_column")
    return {
        "code": diagnostic.code,
        "name": diagnostic.name,
        "severity": diagnostic.severity.value,
        "message": diagnostic.message,
        "parameters": diagnostic.parameters,
        "key": diagnostic.key,
        "file": at and file_name(at.file),
        **{name: getattr(at, name, None) for name in numbers},
        "suggestion": diagnostic.suggestion,
        "fingerprint": diagnostic.fingerprint(result.config),
    }

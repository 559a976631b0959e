"""Report -> SARIF 2.1.0, which GitHub's code scanning and editors read.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lldtool.config.location import Location
from lldtool.lint.diagnostics import Checked, Finding, Report, Severity
from lldtool.lint.rules import Rule
from lldtool.output.diagnostics.shared import (
    config_file,
    encodable,
    file_name,
    is_in,
    is_installed,
    place_shown,
    place_to_annotate,
)
from lldtool.text import printable, strict_json
from lldtool.versions import lldtool_version

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://github.com/lldtool/lldtool"
_ROOT = "%SRCROOT%"
_LEVELS = {Severity.error: "error", Severity.warning: "warning", Severity.info: "note"}
#: More parameters of a finding than this are cut.
_MOST_PARAMETERS = 100


def report_sarif(report: Report, rules: Sequence[Rule]) -> str:
    """The report for code scanning, in ASCII, with a result for each finding of each config.

    Args:
        report: what to show.
        rules: the rules to describe.
    """
    known = {rule.code: index for index, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "lldtool",
                "version": lldtool_version(),
                "informationUri": _HOME,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "invocations": [
            {
                "executionSuccessful": all(one.error is None for one in report.configs),
                "toolExecutionNotifications": [
                    {
                        "level": "error",
                        "message": _message(f"{one.config}: {one.error}"),
                        "locations": [{"physicalLocation": _physical(one, None)}],
                    }
                    for one in report.configs
                    if one.error is not None
                ],
            }
        ],
        # No path: that would be one of this machine.
        "originalUriBaseIds": {
            _ROOT: {"description": {"text": "The directory that lldtool was run in."}}
        },
        "columnKind": "unicodeCodePoints",
        "results": _results(report.findings, known),
    }
    content = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return strict_json(encodable(content), indent=2) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    _, _, rest = rule.page.partition("\n\n")
    why, _, _ = rest.partition("\n\n")
    return {
        "id": rule.code,
        "name": rule.name.title().replace("-", ""),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": " ".join(why.split()) or rule.summary},
        "help": {"text": rule.page, "markdown": rule.page},
        "defaultConfiguration": {"level": _LEVELS[rule.severity], "enabled": rule.by_default},
        "properties": {"tags": ["optimizer"]},
    }


def _results(findings: Iterable[tuple[Checked, Finding]], known: dict[str, int]) -> list[Any]:
    """A result for each; the second with the same fingerprint has `:2` after it, and so on.

    GitHub drops results whose fingerprints are the same.
    """
    results, seen = [], Counter[str]()
    for one, finding in findings:
        result = _result(one, finding)
        if finding.code in known:
            result["ruleIndex"] = known[finding.code]
        fingerprint = finding.fingerprint(one.config)
        seen[fingerprint] += 1
        again = f":{seen[fingerprint]}" if seen[fingerprint] > 1 else ""
        results.append(result | {"partialFingerprints": {"lldtool/v1": fingerprint + again}})
    return results


def _result(one: Checked, finding: Finding) -> dict[str, Any]:
    place = place_to_annotate(finding, lambda file: not is_installed(file)) or finding.place
    location: dict[str, Any] = {"physicalLocation": _physical(one, place)}
    if finding.parameters:
        location["logicalLocations"] = [
            {"fullyQualifiedName": name, "kind": "member"}
            for name in finding.parameters[:_MOST_PARAMETERS]
        ]
    text = finding.message
    about = []
    if finding.place is not None and finding.place != place:
        about.append(f"in {place_shown(finding.place)}")
    if place is None or not is_in(one, place):
        about.append(one.config)
    text += f" ({', '.join(about)})" if about else ""
    if finding.suggestion:
        text += f"\nwrite instead:\n{finding.suggestion}"
    return {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity],
        "message": _message(text),
        "locations": [location],
        "properties": {
            "config": one.config,
            "key": finding.key,
            "suggestion": finding.suggestion,
            "parameters": len(finding.parameters),
        },
    }


def _message(text: str) -> dict[str, str]:
    """A message whose `[text](link)` is no link."""
    return {"text": "\n".join(map(printable, text.split("\n"))).replace("](", "] (")}


def _physical(one: Checked, place: Location | None) -> dict[str, Any]:
    """The place, or the config's file: GitHub rejects a whole report for one without a file.

    A config that is no file, `mmpretrain::mae/x.py` say, is a file of that name.
    """
    file = place.file if place else config_file(one.config)
    if file is None:
        return {"artifactLocation": {"uri": _quoted(one.config)}}
    name = file_name(file)
    if Path(name).is_absolute():
        artifact = {"uri": f"file://{_quoted(name)}"}
    else:
        artifact = {"uri": _quoted(name), "uriBaseId": _ROOT}
    if place is None:
        return {"artifactLocation": artifact}
    region = {
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }
    return {"artifactLocation": artifact, "region": region}


def _quoted(name: str) -> str:
    return quote(name, errors="backslashreplace")

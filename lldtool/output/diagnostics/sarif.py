"""The results of `check` as SARIF 2.1.0, which GitHub's code scanning and editors read.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lldtool.config.location import Location
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity, all_diagnostics
from lldtool.lint.rules import Rule, all_rules
from lldtool.output.diagnostics.shared import (
    config_file,
    encodable,
    file_name,
    is_in,
    is_installed,
    location_shown,
    location_to_annotate,
)
from lldtool.text import printable, strict_json
from lldtool.versions import lldtool_version

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://github.com/lldtool/lldtool"
_ROOT = "%SRCROOT%"
_LEVELS = {Severity.error: "error", Severity.warning: "warning", Severity.info: "note"}
#: More parameters of a finding than this are cut.
_MOST_PARAMETERS = 100


def report_sarif(results: Sequence[CheckResult], rules: Sequence[Rule] | None = None) -> str:
    """Return a report for code scanning, in ASCII, with a result for each diagnostic.

    Args:
        results: of the configs.
        rules: the rules to describe; None for all.
    """
    rules = all_rules() if rules is None else rules
    known = {rule.code: index for index, rule in enumerate(rules)}
    driver = {
        "name": "lldtool",
        "version": lldtool_version(),
        "informationUri": _HOME,
        "rules": [_rule(rule) for rule in rules],
    }
    errors = [
        {
            "level": "error",
            "message": _message(f"{one.config}: {one.error}"),
            "locations": [{"physicalLocation": _physical(one, None)}],
        }
        for one in results
        if one.error is not None
    ]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": not errors, "toolExecutionNotifications": errors}],
        # No path: that would be one of this machine.
        "originalUriBaseIds": {
            _ROOT: {"description": {"text": "The directory that lldtool was run in."}}
        },
        "columnKind": "unicodeCodePoints",
        "results": _results(results, known),
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


def _results(results: Sequence[CheckResult], known: dict[str, int]) -> list[Any]:
    """Return a result for each; the second with the same fingerprint ends with `:2`, and so on.

    GitHub drops results whose fingerprints are the same.
    """
    made, seen = [], Counter[str]()
    for result, diagnostic in all_diagnostics(results):
        content = _result(result, diagnostic)
        if diagnostic.code in known:
            content["ruleIndex"] = known[diagnostic.code]
        fingerprint = diagnostic.fingerprint(result.config)
        seen[fingerprint] += 1
        again = f":{seen[fingerprint]}" if seen[fingerprint] > 1 else ""
        made.append(content | {"partialFingerprints": {"lldtool/v1": fingerprint + again}})
    return made


def _result(result: CheckResult, one: Diagnostic) -> dict[str, Any]:
    at = location_to_annotate(one, lambda file: not is_installed(file)) or one.location
    location: dict[str, Any] = {"physicalLocation": _physical(result, at)}
    if one.parameters:
        location["logicalLocations"] = [
            {"fullyQualifiedName": name, "kind": "member"}
            for name in one.parameters[:_MOST_PARAMETERS]
        ]
    text, about = one.message, []
    if one.location is not None and one.location != at:
        about.append(f"in {location_shown(one.location)}")
    if at is None or not is_in(result, at):
        about.append(result.config)
    text += f" ({', '.join(about)})" if about else ""
    if one.suggestion:
        text += f"\nsuggested fix:\n{one.suggestion}"
    return {
        "ruleId": one.code,
        "level": _LEVELS[one.severity],
        "message": _message(text),
        "locations": [location],
        "properties": {
            "config": result.config,
            "key": one.key,
            "suggestion": one.suggestion,
            "parameters": len(one.parameters),
        },
    }


def _message(text: str) -> dict[str, str]:
    """A message whose `[text](link)` is no link."""
    return {"text": "\n".join(map(printable, text.split("\n"))).replace("](", "] (")}


def _physical(one: CheckResult, place: Location | None) -> dict[str, Any]:
    """The place, or the config's file: GitHub rejects a whole report for one without a file.

    A config that is no file, `mmpretrain::mae/x.py` say, is a file of that name.
    """
    file = place.file if place else config_file(one.config)
    name = one.config if file is None else file_name(file)
    artifact = {"uri": _quoted(name)}
    if file is not None and Path(name).is_absolute():
        artifact = {"uri": f"file://{_quoted(name)}"}
    elif file is not None:
        artifact["uriBaseId"] = _ROOT
    if place is None:
        return {"artifactLocation": artifact}
    numbers = ("line", "column", "end_line", "end_column")
    names = ("startLine", "startColumn", "endLine", "endColumn")
    region = {name: getattr(place, number) for name, number in zip(names, numbers, strict=True)}
    return {"artifactLocation": artifact, "region": region}


def _quoted(name: str) -> str:
    return quote(name, errors="backslashreplace")

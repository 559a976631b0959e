"""The results of `check` as workflow commands: GitHub Actions shows them as annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lldtool.config.location import Location
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity
from lldtool.output.diagnostics.shared import (
    config_file,
    details,
    file_name,
    fix_label,
    is_installed,
    location_shown,
    location_to_annotate,
    merged,
    summary,
)
from lldtool.text import plural, printable

_COMMANDS = {Severity.error: "error", Severity.warning: "warning", Severity.info: "notice"}
#: GitHub shows so many annotations of each kind that a step makes, and drops the rest.
#: https://github.com/orgs/community/discussions/26680
_MOST = 10


def report_github(results: Sequence[CheckResult]) -> str:
    """Return annotations, how many are more than GitHub shows, and the summary.

    No line begins with text from a config, so that none can be a command of its own.
    """
    lines: list[str] = []
    made: Counter[Severity] = Counter()
    for severity, line in _annotations(results):
        made[severity] += 1
        if made[severity] <= _MOST:
            lines.append(line)
    more = [plural(made[s] - _MOST, f"more {s.value}") for s in Severity if made[s] > _MOST]
    if more:
        lines.append(f"{', '.join(more)} not annotated: GitHub shows {_MOST} of each")
    return "".join(f"{line}\n" for line in [*lines, summary(results)])


def _annotations(results: Sequence[CheckResult]) -> Iterator[tuple[Severity, str]]:
    for result, diagnostics in merged(results):
        if result.error is not None:
            message = f"{printable(result.config)}: {printable(result.error)}"
            about = _properties(result, None) | {"title": "lldtool could not check this"}
            yield Severity.error, _command(Severity.error, about, message)
        for one, heirs in diagnostics.items():
            about = _properties(result, location_to_annotate(one, _is_here))
            message = _message(result, one, heirs, has_place=bool(about))
            about["title"] = printable(f"{one.code} {one.name}")
            yield one.severity, _command(one.severity, about, message)


def _properties(result: CheckResult, at: Location | None) -> dict[str, str]:
    """Return where GitHub shows it: a location in the repository, or the config's file there."""
    if at is None:
        file = config_file(result.config)
        return {"file": printable(file_name(file))} if file and _is_here(file) else {}
    lines = {"line": str(at.line), "endLine": str(at.end_line)}
    # Columns may be given within a line only.
    columns = {"col": str(at.column), "endColumn": str(at.end_column)}
    within = columns if at.line == at.end_line else {}
    return {"file": printable(file_name(at.file)), **lines, **within}


def _is_here(file: Path) -> bool:
    return not Path(file_name(file)).is_absolute() and not is_installed(file)


def _message(
    result: CheckResult, diagnostic: Diagnostic, heirs: Sequence[str], *, has_place: bool
) -> str:
    """Return the text of the annotation; with the location, if the annotation's is another."""
    lines = [printable(diagnostic.message)]
    if diagnostic.location and not _is_here(diagnostic.location.file):
        lines.append(f"in: {location_shown(diagnostic.location)}")
    elif not has_place:
        lines.append(f"in: {printable(result.config)}")
    lines += [f"{label}: {', '.join(items)}" for label, items in details(diagnostic, heirs)]
    if diagnostic.suggestion:
        code = diagnostic.suggestion.strip("\n").split("\n")
        lines += [f"{fix_label(heirs)}:", *(f"  {printable(line)}" for line in code)]
    return "\n".join(lines)


def _command(severity: Severity, properties: Mapping[str, str], message: str) -> str:
    """Return a command, escaped as GitHub's own toolkit does.

    https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
    """
    escaped = {
        k: _escaped(v).replace(":", "%3A").replace(",", "%2C") for k, v in properties.items()
    }
    given = ",".join(f"{key}={value}" for key, value in escaped.items())
    return f"::{_COMMANDS[severity]} {given}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

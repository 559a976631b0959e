"""Report -> workflow commands, which GitHub Actions shows as annotations of the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from lldtool.config.location import Location
from lldtool.lint.diagnostics import Checked, Report, Severity
from lldtool.output.diagnostics.shared import (
    Told,
    config_file,
    file_name,
    is_installed,
    place_shown,
    place_to_annotate,
    summary,
    told_once,
)
from lldtool.text import plural, printable

_COMMANDS = {Severity.error: "error", Severity.warning: "warning", Severity.info: "notice"}

#: GitHub shows so many annotations of each kind that a step makes, and drops the rest.
#: https://github.com/orgs/community/discussions/26680
_MOST = 10


def report_github(report: Report) -> str:
    """Annotations, how many are more than GitHub shows, and the summary.

    No line begins with text from a config, so that none can be a command of its own.
    """
    lines: list[str] = []
    made: Counter[Severity] = Counter()
    for severity, line in _annotations(report):
        made[severity] += 1
        if made[severity] <= _MOST:
            lines.append(line)
    more = [plural(made[s] - _MOST, f"more {s.value}") for s in Severity if made[s] > _MOST]
    if more:
        lines.append(f"{', '.join(more)} not annotated: GitHub shows {_MOST} of each")
    return "".join(f"{line}\n" for line in [*lines, summary(report)])


def _annotations(report: Report) -> Iterator[tuple[Severity, str]]:
    for one, several in told_once(report):
        if one.error is not None:
            message = f"{printable(one.config)}: {printable(one.error)}"
            about = _file(one) | {"title": "lldtool could not check this"}
            yield Severity.error, _command(Severity.error, about, message)
        for told in several:
            finding = told.finding
            title = printable(f"{finding.code} {finding.name}")
            place = _place(one, place_to_annotate(finding, _is_here))
            message = _message(one, told, place)
            yield finding.severity, _command(finding.severity, place | {"title": title}, message)


def _file(one: Checked) -> dict[str, str]:
    """The config's file, if it is in the repository."""
    file = config_file(one.config)
    return {"file": printable(file_name(file))} if file and _is_here(file) else {}


def _place(one: Checked, place: Location | None) -> dict[str, str]:
    """Where GitHub shows it: a place in the repository, or the config's file."""
    if place is None:
        return _file(one)
    lines = {"line": str(place.line), "endLine": str(place.end_line)}
    # Columns may be given within a line only.
    columns = {"col": str(place.column), "endColumn": str(place.end_column)}
    within = columns if place.line == place.end_line else {}
    return {"file": printable(file_name(place.file)), **lines, **within}


def _is_here(file: Path) -> bool:
    return not Path(file_name(file)).is_absolute() and not is_installed(file)


def _message(one: Checked, told: Told, place: Mapping[str, str]) -> str:
    """What the annotation says; also where, if the annotation's own place does not."""
    finding = told.finding
    lines = [printable(finding.message)]
    if finding.place and not _is_here(finding.place.file):
        lines.append(f"in: {place_shown(finding.place)}")
    elif not place:
        lines.append(f"in: {printable(one.config)}")
    lines += [f"{label}: {', '.join(items)}" for label, items in told.about]
    if finding.suggestion:
        code = finding.suggestion.strip("\n").split("\n")
        lines += [f"{told.to_write}:", *(f"  {printable(line)}" for line in code)]
    return "\n".join(lines)


def _command(severity: Severity, properties: Mapping[str, str], message: str) -> str:
    """Escaped as GitHub's own toolkit does.

    https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
    """
    given = ",".join(f"{key}={_escaped_property(value)}" for key, value in properties.items())
    return f"::{_COMMANDS[severity]} {given}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")

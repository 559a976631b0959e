"""The results of `check` as Markdown, for the summary of a CI job or a comment."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from lldtool.config import split_revision
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity
from lldtool.output.diagnostics.shared import (
    details,
    fix_label,
    location_shown,
    merged,
    summary,
)  # fmt: skip
from lldtool.output.markdown import markdown, markdown_table
from lldtool.text import plural, printable

#: Suffix of a config's file -> what a block of its language is called; Python's is not here.
_LANGUAGES = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}
#: Room for the line that says how much is left out, in bytes.
_NOTE = 100


def report_markdown(results: Sequence[CheckResult], *, limit: int | None = None) -> str:
    """Return a heading, a table of the configs with findings, and each finding.

    Args:
        results: of the configs.
        limit: bytes in UTF-8 that it may have; what comes last is left out, with a count.
    """
    heading = f"### lldtool check: {markdown(summary(results))}\n"
    entries = [entry for one, several in merged(results) for entry in _entries(one, several)]
    parts = [heading, *_table(results), *entries]
    lengths = list(accumulate(len(f"{part}\n".encode()) for part in parts))
    if limit is not None and lengths[-1] > limit:
        del parts[max(1, bisect_right(lengths, limit - _NOTE)) :]
        left = plural(min(len(entries), len(lengths) - len(parts)), "more entry")
        parts.append(f"{left} left out: the report may not be longer than {limit:,} bytes.\n")
    return "\n".join(parts)


def _table(results: Sequence[CheckResult]) -> list[str]:
    """Return a table of the configs that have findings or an error, if there are several."""
    rows = []
    for one in results:
        counts = Counter(diagnostic.severity for diagnostic in one.diagnostics)
        if counts or one.error is not None:
            numbers = [str(counts[severity] or "") for severity in Severity]
            rows.append((printable(one.config), one.status.value, *numbers))
    severities = [f"{severity.value}s" for severity in Severity]
    lines = markdown_table(("config", "status", *severities), rows, right=severities)
    return ["".join(f"{line}\n" for line in lines)] if len(rows) > 1 else []


def _entries(one: CheckResult, several: dict[Diagnostic, list[str]]) -> Iterator[str]:
    """Yield the error and each finding; the first under the config's name."""
    heading = f"#### {markdown(one.config)}\n\n"
    if one.error is not None:
        yield f"{heading}**error** {markdown(one.error)}\n"
        heading = ""
    for diagnostic, heirs in several.items():
        yield heading + _finding(one, diagnostic, heirs)
        heading = ""


def _finding(result: CheckResult, one: Diagnostic, heirs: Sequence[str]) -> str:
    rule = f"**{one.severity.value}** {markdown(f'{one.code} {one.name}')}"
    lines = [f"{rule}: {markdown(one.message)}", ""]
    about = [("at", [location_shown(one.location)])] if one.location else []
    about += details(one, heirs)
    points = [f"- {label}: {markdown(', '.join(items))}" for label, items in about]
    lines += [*points, ""] if points else []
    if one.suggestion:
        file, _ = split_revision(heirs[0] if heirs else result.config)
        language = _LANGUAGES.get(Path(file).suffix, "python")
        lines += [f"{markdown(fix_label(heirs))}:", "", *_suggestion(one.suggestion, language), ""]
    return "\n".join(lines)


def _suggestion(code: str, language: str) -> list[str]:
    """Blocks of code, and between them the lines that say where it goes, which JSON can't hold."""
    lines = code.strip("\n").split("\n")
    if language != "json":
        return _fenced(lines, language)
    blocks: list[list[str]] = []
    for is_comment, group in itertools.groupby(lines, lambda line: line.startswith("# ")):
        together = list(group)
        comments = [[markdown(line[2:])] for line in together]
        blocks += comments if is_comment else [_fenced(together, language)]
    return "\n\n".join("\n".join(block) for block in blocks).split("\n")


def _fenced(lines: Sequence[str], language: str) -> list[str]:
    """A block of code; its fence is longer than any that is in it."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", "\n".join(lines))), 3)
    return [f"{fence}{language}", *map(printable, lines), fence]

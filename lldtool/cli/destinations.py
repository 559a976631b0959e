"""The formats of `lldtool check`, and where the result goes in each: `--format FORMAT[=FILE]`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lldtool.cli.streams import Color, say, use_color, width
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from lldtool.lint.diagnostics import CheckResult

#: What GitHub takes of a step's summary, in bytes.
_GITHUB_SUMMARY = 1024 * 1024


#: Format -> the module with its writer, and the function; imported when it is asked for.
WRITERS = {
    "json": ("lldtool.output.diagnostics.as_json", "report_json"),
    "github": ("lldtool.output.diagnostics.github", "report_github"),
    "sarif": ("lldtool.output.diagnostics.sarif", "report_sarif"),
    "junit": ("lldtool.output.diagnostics.junit", "report_junit"),
    "markdown": ("lldtool.output.diagnostics.markdown", "report_markdown"),
}
#: What `--format` accepts.
FORMATS = ("text", *WRITERS)


@dataclass(frozen=True)
class Destination:
    """A format of the result, and the file that it is written to; None for stdout."""

    form: str
    file: Path | None
    option: str = "--output"


def destinations(formats: Sequence[str], output: Path | None) -> list[Destination]:
    """Parse `text`, `sarif=out.sarif`.

    Raises:
        LldtoolError: there is no such format, or two would go to the same place.
    """
    found = []
    for text in formats or ["text"]:
        name, _, file = text.partition("=")
        if name not in FORMATS:
            raise LldtoolError(f"--format {text}: {', '.join(FORMATS)} are known")
        found.append(Destination(name, Path(file) if file else None, f"--format {text}"))
    if output is not None:
        first = next((i for i, one in enumerate(found) if one.file is None), None)
        if first is None:
            raise LldtoolError("--output: every --format has a file already")
        found[first] = Destination(found[first].form, output, "--output")
    to_stdout = [f"--format {one.form}" for one in found if one.file is None]
    if len(to_stdout) > 1:
        message = f"{' and '.join(to_stdout)} would both go to stdout"
        raise LldtoolError(message, hint="write FORMAT=FILE for one")
    files = [one.file.absolute() for one in found if one.file is not None]
    if len({*files}) < len(files):
        raise LldtoolError("two --format would both go to one file")
    return found


def rendered(results: Sequence[CheckResult], destination: Destination, color: Color) -> str:
    """Return the results in a destination's format."""
    if destination.form == "text":
        from lldtool.output.diagnostics.text import report_text

        return report_text(results, width=width(), color=use_color(color, destination.file))
    module, function = WRITERS[destination.form]
    written: str = getattr(importlib.import_module(module), function)(results)
    return written


def append_github_summary(results: Sequence[CheckResult], to: Sequence[Destination]) -> None:
    """With `--format github` the report also goes where GitHub shows it beside the run."""
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if not file or all(destination.form != "github" for destination in to):
        return
    from lldtool.output.diagnostics.markdown import report_markdown

    try:
        with Path(file).open("a", encoding="utf-8", errors="backslashreplace") as summary:
            summary.write(report_markdown(results, limit=_GITHUB_SUMMARY))
    except OSError as error:
        say(f"warning: can't write the step summary: {error.strerror}")

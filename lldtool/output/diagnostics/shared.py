"""What the formats of `check` have in common: names of files, totals, findings told once."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lldtool.config.location import Location
from lldtool.lint.diagnostics import Checked, Finding, Report, Severity, Status
from lldtool.output.contents import patterns
from lldtool.text import plural, printable, shortened

#: More patterns of parameters, or names of configs, than this are cut.
_MOST_PATTERNS, _MOST_CONFIGS = 4, 3

_PACKAGED = re.compile(r".*/([^/]+)/\.mim/configs/(.+)", re.DOTALL)


def file_name(file: Path) -> str:
    """A file for a machine: relative to the working directory if it is in it, else absolute."""
    here = Path.cwd()
    path = Path(os.path.normpath(here / file))
    return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()


def file_shown(file: Path) -> str:
    """A file for a person: one of an installed package's configs as `mmpretrain::mae/x.py`."""
    packaged = _PACKAGED.fullmatch(os.path.normpath(Path.cwd() / file))
    return printable("::".join(packaged.groups()) if packaged else file_name(file))


def is_installed(file: Path) -> bool:
    """Whether a file is one of an installed package, and so of no repository of the user's."""
    return not {"site-packages", "dist-packages", ".mim"}.isdisjoint(file.parts)


def place_to_annotate(finding: Finding, annotates: Callable[[Path], bool]) -> Location | None:
    """Return the place of a finding, or the nearest where a file of the user's inherits that file.

    Args:
        finding: what to annotate.
        annotates: whether a file can be annotated.
    """
    places = [finding.place, *reversed(finding.inheriting)] if finding.place else []
    return next((place for place in places if place and annotates(place.file)), None)


def config_file(config: str) -> Path | None:
    """The file of this name, where there is one; a CONFIG argument may name other things."""
    with contextlib.suppress(OSError, ValueError):  # too long, or not to be encoded
        if Path(config).is_file():
            return Path(config)
    return None


def place_shown(place: Location) -> str:
    """`configs/x.py:12:9`."""
    return f"{file_shown(place.file)}:{place.line}:{place.column}"


@dataclass(frozen=True)
class Told:
    """A finding, told once for all configs that have it.

    `heirs` are those of them that have it from a base, the file it is in; escaped, as the rest
    of what is shown.
    """

    finding: Finding
    heirs: tuple[str, ...] = ()

    @property
    def about(self) -> Iterator[tuple[str, list[str]]]:
        """What else there is to say, a label and its items; not the suggestion."""
        if self.finding.key and not self.finding.place:
            yield "key", [printable(self.finding.key)]
        if names := self.finding.parameters:
            yield "parameters", patterns(names, names, _MOST_PATTERNS)
        yield from self.inherited

    @property
    def inherited(self) -> Iterator[tuple[str, list[str]]]:
        """Which configs have it from a base, a label and its items; nothing where none has."""
        if self.heirs:
            yield "a base of", shortened(self.heirs, _MOST_CONFIGS)

    @property
    def to_write(self) -> str:
        """What to do with the suggestion: what is inherited is mended in the config itself."""
        if not self.heirs:
            return "write instead"
        return f"write in {self.heirs[0] if len(self.heirs) == 1 else 'each of them'}"


def told_once(report: Report) -> list[tuple[Checked, list[Told]]]:
    """Each config with its findings, less those told at an earlier config that shares the base.

    Those of a config as a whole come first, then those in its own file, then those in its bases.
    """
    heirs: dict[tuple[Finding, str], list[str]] = {}
    for one, finding in report.findings:
        of_base = finding.place is not None and not is_in(one, finding.place)
        heirs.setdefault(_identity(one, finding), []).extend([printable(one.config)] * of_base)
    told = []
    for one in report.configs:
        new = [f for f in one.findings if _identity(one, f) in heirs]
        once = {f: heirs.pop(_identity(one, f)) for f in dict.fromkeys(new)}
        findings = sorted(once, key=functools.partial(_order, one))
        told.append((one, [Told(f, tuple(dict.fromkeys(once[f]))) for f in findings]))
    return told


def _identity(one: Checked, finding: Finding) -> tuple[Finding, str]:
    """The same for findings that need to be told once only: same place, same words."""
    return finding, "" if finding.place else one.config


def _order(one: Checked, finding: Finding) -> tuple[int, str, int, int, str]:
    place = finding.place
    if place is None:
        return 0, "", 0, 0, finding.code
    is_base = not is_in(one, place)
    file = file_shown(place.file) if is_base else ""
    return 1 + is_base, file, place.line, place.column, finding.code


def is_in(one: Checked, place: Location) -> bool:
    """Whether a place is in the config's own file, not in a base of it."""
    return file_shown(place.file) in (printable(one.config), file_shown(Path(one.config)))


def severities(findings: Iterable[Finding]) -> str:
    """`3 errors, 4 warnings`; nothing for none."""
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(plural(counts[s], s.value) for s in Severity if counts[s])


def summary(report: Report) -> str:
    """The last line: `Found 7 findings (3 errors, 4 warnings) in 2 of 21 configs`.

    What is told once counts once. Findings that fail no config do not keep it from passing.
    """
    findings = [told.finding for _, several in told_once(report) for told in several]
    configs, failed = len(report.configs), report.count(Status.failed)
    errors, number = report.count(Status.error), severities(findings)
    if not failed and not errors:
        return f"All checks passed ({', '.join(filter(None, [plural(configs, 'config'), number]))})"
    among = sum(bool(one.findings) for one in report.configs)
    found = f"Found {plural(len(findings), 'finding')}"
    if findings:
        found += f" ({number}) in {among} of {plural(configs, 'config')}"
    return found + (f"; {plural(errors, 'config')} could not be checked" if errors else "")


def encodable(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's content with lone surrogates, which no strict reader takes, written as escapes."""
    return {key: _encodable(value) for key, value in content.items()}


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return encodable(value)
    return [_encodable(item) for item in value] if isinstance(value, (list, tuple)) else value

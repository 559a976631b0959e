"""Findings that are known and accepted: written from a report, read back, held against another."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated

import msgspec

from lldtool.config.discovery import stable_name
from lldtool.errors import LldtoolError
from lldtool.files import read_bytes
from lldtool.lint.diagnostics import Finding, Report, Status
from lldtool.plan import dump_by_line

SCHEMA_VERSION = 1


@dataclass(frozen=True, order=True)
class Accepted:
    """A finding that is accepted: of a config, named from the baseline's directory."""

    config: str
    code: str
    key: str
    parameters: tuple[str, ...]


class _File(msgspec.Struct):
    """What is in a baseline's file."""

    schema_version: Annotated[int, msgspec.Meta(ge=1)]
    findings: tuple[Accepted, ...]


@dataclass(frozen=True)
class Baseline:
    """The findings that are accepted, and the directory that their configs are named from."""

    findings: tuple[Accepted, ...]
    root: Path = field(default_factory=Path.cwd)

    def accepts(self, config: str, finding: Finding) -> bool:
        """Whether there is an entry for a finding of a config, named as the user did.

        It is of the same config, code and key, and has all of the finding's parameters.
        """
        return bool(self._entries_for(config, finding))

    def unused(
        self, report: Report, rules_for: Callable[[str], Collection[str]]
    ) -> tuple[Accepted, ...]:
        """The entries that no finding needs, of the configs that have a plan.

        Args:
            report: all findings, those that are accepted as well.
            rules_for: the codes of the rules that were held against a config of the report.
        """
        used = {
            entry
            for one, finding in report.findings
            for entry in self._entries_for(one.config, finding)
        }
        checked = {
            (stable_name(one.config, self.root), code)
            for one in report.configs
            if one.status is not Status.error
            for code in rules_for(one.config)
        }
        return tuple(
            entry
            for entry in self.findings
            if (entry.config, entry.code) in checked and entry not in used
        )

    def _entries_for(self, config: str, finding: Finding) -> list[Accepted]:
        about = stable_name(config, self.root), finding.code, finding.key
        wanted = set(finding.parameters)
        return [
            entry for entry in self._by_place.get(about, ()) if wanted.issubset(entry.parameters)
        ]

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str], list[Accepted]]:
        entries: dict[tuple[str, str, str], list[Accepted]] = defaultdict(list)
        for entry in self.findings:
            entries[entry.config, entry.code, entry.key].append(entry)
        return entries


def baseline_json(report: Report, path: Path) -> str:
    """The JSON of a baseline that accepts all findings of a report, a finding to a line.

    Args:
        report: what was found, without a baseline.
        path: the file that this will be in.
    """
    entries = {
        Accepted(stable_name(one.config, path.parent), f.code, f.key, f.parameters)
        for one, f in report.findings
    }
    content = {"schema_version": SCHEMA_VERSION, "findings": sorted(entries)}
    return dump_by_line(msgspec.to_builtins(content))


def load_baseline(path: Path) -> Baseline:
    """Read what `baseline_json` wrote.

    Raises:
        LldtoolError: the file can't be read, is no baseline, or from a newer lldtool.
    """
    config = str(path)
    try:
        text = read_bytes(path)
    except OSError as error:
        reason = error.strerror or error
        raise LldtoolError(f"can't read the baseline: {reason}", config=config) from error
    try:
        content = json.loads(text)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise LldtoolError(
                f"a baseline of schema_version {version}; "
                f"this lldtool reads up to {SCHEMA_VERSION}",
                config=config,
                hint="pip install --upgrade lldtool",
            )
        file = msgspec.convert(content, _File)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        hint = "lldtool check --write-baseline writes one"
        raise LldtoolError(f"not a baseline: {error}", config=config, hint=hint) from error
    return Baseline(file.findings, path.parent)

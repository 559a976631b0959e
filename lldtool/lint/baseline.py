"""Diagnostics that are known and accepted: written to a file, read back, compared with others."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated

import msgspec

from lldtool.config.discovery import stable_name
from lldtool.errors import LldtoolError
from lldtool.files import read_bytes
from lldtool.lint.diagnostics import CheckResult, Diagnostic, all_diagnostics
from lldtool.plan import dump_by_line

SCHEMA_VERSION = 1


@dataclass(frozen=True, order=True)
class Accepted:
    """A diagnostic that is accepted, of a config that is named from the baseline's directory."""

    config: str
    code: str
    key: str
    parameters: tuple[str, ...]


class _File(msgspec.Struct):
    """The content of a baseline's file."""

    schema_version: Annotated[int, msgspec.Meta(ge=1)]
    findings: tuple[Accepted, ...]


@dataclass(frozen=True)
class Baseline:
    """The diagnostics that are accepted, and the directory that their configs are named from."""

    entries: tuple[Accepted, ...]
    root: Path = field(default_factory=Path.cwd)

    def accepts(self, config: str, diagnostic: Diagnostic) -> bool:
        """Whether there is an entry for a diagnostic of a config, named as the user did.

        It is of the same config, code and key, and has all of the diagnostic's parameters.
        """
        return bool(self._entries_for(config, diagnostic))

    def unused(self, results: Sequence[CheckResult]) -> list[Accepted]:
        """Return the entries that no diagnostic needs, of the configs that have a plan.

        Args:
            results: with all diagnostics, those that are accepted as well.
        """
        used = {
            entry
            for result, diagnostic in all_diagnostics(results)
            for entry in self._entries_for(result.config, diagnostic)
        }
        checked = {
            (stable_name(result.config, self.root), code)
            for result in results
            if result.error is None
            for code in result.codes
        }
        return [e for e in self.entries if (e.config, e.code) in checked and e not in used]

    def _entries_for(self, config: str, diagnostic: Diagnostic) -> list[Accepted]:
        about = stable_name(config, self.root), diagnostic.code, diagnostic.key
        wanted = set(diagnostic.parameters)
        return [e for e in self._by_key.get(about, ()) if wanted.issubset(e.parameters)]

    @cached_property
    def _by_key(self) -> dict[tuple[str, str, str], list[Accepted]]:
        entries: dict[tuple[str, str, str], list[Accepted]] = defaultdict(list)
        for entry in self.entries:
            entries[entry.config, entry.code, entry.key].append(entry)
        return entries


def baseline_json(results: Sequence[CheckResult], path: Path) -> str:
    """Return the JSON of a baseline that accepts all diagnostics, one to a line.

    Args:
        results: of the configs, without a baseline.
        path: the file that this will be in.
    """
    entries = {
        Accepted(stable_name(result.config, path.parent), d.code, d.key, d.parameters)
        for result, d in all_diagnostics(results)
    }
    content = {"schema_version": SCHEMA_VERSION, "findings": sorted(entries)}
    return dump_by_line(msgspec.to_builtins(content))


def load_baseline(path: Path) -> Baseline:
    """Read what `baseline_json` wrote.

    Raises:
        LldtoolError: the file can't be read, is no baseline, or is from a newer lldtool.
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

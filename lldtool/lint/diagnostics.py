"""What the rules of `check` have against configs, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from lldtool.config.location import Location


class Severity(str, Enum):
    """How bad a finding is; the worst first."""

    error = "error"
    warning = "warning"
    info = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Finding:
    """One thing that a rule has against a config.

    `message` is one sentence without a full stop. `parameters` are the full names that it is
    about, in the model's order. `key` is the dotted key of the config's entry concerned. `place`
    is where that stands, None where no source of the config is at hand. `inheriting` are the places
    where each file inherits the next, from the config's own to the file of `place`. `suggestion`
    is config text to write instead, which was tried: with it, the finding goes.
    """

    code: str
    name: str
    severity: Severity
    message: str
    parameters: tuple[str, ...] = ()
    key: str = ""
    place: Location | None = None
    suggestion: str | None = None
    inheriting: tuple[Location, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        """`configs/x.py:12:9: error LLD101 decayed-norm: 5 norm tensors are decayed, at 0.05`."""
        place = self.place
        where = f"{place.file}:{place.line}:{place.column}: " if place is not None else ""
        return f"{where}{self.severity.value} {self.code} {self.name}: {self.message}"

    def fingerprint(self, config: str) -> str:
        """Tells this finding of a config from others; the same when lines are moved."""
        import hashlib

        parts = (config, self.code, self.key, *self.parameters)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


class Status(str, Enum):
    """What became of one config; `failed` where a finding is as bad as the policy's `fail-on`."""

    passed = "passed"
    failed = "failed"
    error = "error"


@dataclass(frozen=True)
class Checked:
    """One config, named as the user did, and what was found.

    `error` is one line on why there is no plan; there may be findings on that, too.
    """

    config: str
    status: Status
    findings: tuple[Finding, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Report:
    """What `check` found in all configs, in the order of the configs."""

    configs: tuple[Checked, ...]

    def count(self, status: Status) -> int:
        """How many configs came to this."""
        return sum(one.status is status for one in self.configs)

    @property
    def findings(self) -> Sequence[tuple[Checked, Finding]]:
        """Every finding with its config."""
        return [(one, finding) for one in self.configs for finding in one.findings]

    @property
    def exit_code(self) -> int:
        """2 where a config had no plan, 1 where one failed, else 0."""
        return 2 if self.count(Status.error) else int(self.count(Status.failed) > 0)

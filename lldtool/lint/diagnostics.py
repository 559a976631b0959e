"""`Diagnostic`, what a rule reports, and `CheckResult`, the result of checking one config."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from lldtool.config.edit import Edit
from lldtool.config.location import Location
from lldtool.config.suppressions import Suppression


class Severity(str, Enum):
    """The severity of a diagnostic, the worst first."""

    error = "error"
    warning = "warning"
    info = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Fix:
    """Edits that may fix a diagnostic; they are suggested only if a trial shows that they do.

    `hint` is added to the diagnostic's message where they are suggested. `must_change` is true
    where they are useful only if some parameter gets other settings; `may_retrain` where they may
    change which parameters train, which the message then says. No other fix may. `is_noop` is true
    where they are known to leave the plan as it is, and need no trial.
    """

    edits: Sequence[Edit]
    hint: str = ""
    must_change: bool = False
    may_retrain: bool = False
    is_noop: bool = False


#: Possible fixes, best first, or a function that returns them, called only if fixes are tried.
Fixes = Sequence[Fix | Sequence[Edit]] | Callable[[], Sequence[Fix | Sequence[Edit]]]


@dataclass(frozen=True)
class Diagnostic:
    """One problem that a rule found in a config.

    `message` is one sentence without a full stop. `parameters` are the full names that it is
    about, in the model's order. `entry` are the keys that lead to the config's entry concerned;
    if it is missing, to what it would be in. `location` is where that entry is, None where the
    config's source is not at hand. `inheriting` are the locations where each file inherits the
    next, from the config's own to the file of `location`. `suggestion` is config text that was
    tried: with it, the diagnostic goes.

    The other fields are for the engine. `fixes` are possible fixes. `is_capped` is true where the
    config makes it less severe than the rule's own severity, whatever the settings say. `of_decay`
    is true where a fix must change the weight decay of these parameters and nothing else;
    `may_uncover` where a fix is right though other diagnostics come up, as they do once a misspelt
    option takes effect. `see` are the keys that lead to another entry, whose location is added to
    the message.
    """

    code: str
    name: str
    severity: Severity
    message: str
    parameters: tuple[str, ...] = ()
    entry: tuple[str, ...] = ()
    location: Location | None = None
    suggestion: str | None = None
    inheriting: tuple[Location, ...] = field(default=(), compare=False)
    fixes: Fixes = field(default=(), compare=False, repr=False)
    is_capped: bool = field(default=False, compare=False, repr=False)
    of_decay: bool = field(default=False, compare=False, repr=False)
    may_uncover: bool = field(default=False, compare=False, repr=False)
    see: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        """`configs/x.py:12:9: error LLD101 decayed-norm: 5 norm tensors get weight decay 0.05`."""
        at = self.location
        where = f"{at.file}:{at.line}:{at.column}: " if at is not None else ""
        return f"{where}{self.severity.value} {self.code} {self.name}: {self.message}"

    @property
    def key(self) -> str:
        """The dotted key of the config's entry concerned."""
        return ".".join(self.entry)

    @property
    def place(self) -> Location | None:
        """The location, by its name in lldtool 0.1."""
        return self.location

    @property
    def possible_fixes(self) -> list[Fix]:
        """The possible fixes, best first."""
        fixes = self.fixes() if callable(self.fixes) else self.fixes
        return [one if isinstance(one, Fix) else Fix(one) for one in fixes]

    def fingerprint(self, config: str) -> str:
        """Return an id of this diagnostic of a config that stays the same when lines move."""
        parts = (config, self.code, self.key, *self.parameters)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


class Status(str, Enum):
    """The status of one config; `failed` if a diagnostic is as severe as the setting `fail-on`."""

    passed = "passed"
    failed = "failed"
    error = "error"


@dataclass(frozen=True)
class CheckResult:
    """The result of checking one config, named as the user did.

    `error` is one line on why there is no plan; there may be diagnostics on that, too. `fail_on`
    is the least severity that makes the config fail. `path` is the config's file, None for a saved
    plan. `codes` are those of the rules that were checked. `suppressed` has for each comment
    `# lldtool: ignore` of its files the codes that it suppressed.
    """

    config: str
    diagnostics: tuple[Diagnostic, ...] = ()
    error: str | None = None
    fail_on: Severity = Severity.warning
    path: Path | None = None
    codes: frozenset[str] = frozenset()
    suppressed: Mapping[Suppression, frozenset[str]] = field(default_factory=dict)

    @property
    def status(self) -> Status:
        """Whether the config passed."""
        if self.error is not None:
            return Status.error
        return Status.failed if self.failing else Status.passed

    @property
    def failing(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are as severe as `fail_on`."""
        return tuple(d for d in self.diagnostics if d.severity.rank <= self.fail_on.rank)


def count(results: Iterable[CheckResult], status: Status) -> int:
    """Return how many configs have a status."""
    return sum(result.status is status for result in results)


def all_diagnostics(results: Iterable[CheckResult]) -> list[tuple[CheckResult, Diagnostic]]:
    """Return every diagnostic with the result that it is in."""
    return [(result, one) for result in results for one in result.diagnostics]


def exit_code(results: Sequence[CheckResult]) -> int:
    """Return 2 if a config has no plan, else 1 if one failed, else 0."""
    return 2 if count(results, Status.error) else int(count(results, Status.failed) > 0)

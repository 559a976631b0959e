"""The user's settings, found, read and merged into a `Policy`.

What enters is TOML and the command line's values; a mistake in either is one `LldtoolError`.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from lldtool.config import split_package, split_revision
from lldtool.config.discovery import stable_name
from lldtool.config.request import IN_SETTINGS, Request
from lldtool.config.selectors import from_root, matches_path, specificity
from lldtool.config.settings_files import settings_files
from lldtool.errors import LldtoolError
from lldtool.files import read_bytes
from lldtool.lint.diagnostics import Diagnostic, Severity
from lldtool.lint.rules import Rule, all_rules, codes_of
from lldtool.lint.settings import Settings, checked

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def _by_default() -> frozenset[str]:
    return frozenset(rule.code for rule in all_rules() if rule.by_default)


class Policy(Settings, frozen=True):
    """The settings of the file and the command line together; `Policy()` is without either.

    `codes` are those of the selected rules. `root` is the directory of the settings' file, which
    the globs of paths are relative to; None for the working directory.
    """

    codes: frozenset[str] = msgspec.field(default_factory=_by_default)
    root: Path | None = None

    def rules_for(self, config: str, path: Path) -> list[Rule]:
        """The rules that hold for a config.

        Args:
            config: the config as the user named it.
            path: its file, in a temporary tree if it is named at a revision.
        """
        codes = self.codes
        if self.per_config_ignores:
            name = self._stable_name(config, path)
            ignored = [
                codes_of(selector)
                for glob, selectors in self.per_config_ignores.items()
                # As ruff has it, `!` is for all configs but these.
                if matches_path([glob.removeprefix("!")], name) != glob.startswith("!")
                for selector in selectors
            ]
            codes = codes.difference(*ignored)
        return [rule for rule in all_rules() if rule.code in codes]

    def _stable_name(self, config: str, path: Path) -> str:
        """Return the name of a config that globs match."""
        named, revision = split_revision(config)
        is_path = revision is None and split_package(config) is None
        return stable_name(str(path) if is_path else named, self.root)

    def with_dataset_size(self, request: Request) -> Request:
        """Return the request with the size that the settings give, unless it has a length."""
        given = request.length
        if not self.dataset_size or given.epoch_length or given.dataset_size:
            return request
        name = self._stable_name(request.name, request.path)
        sizes = [size for glob, size in self.dataset_size.items() if matches_path([glob], name)]
        if not sizes:
            return request
        length = replace(given, dataset_size=sizes[-1], dataset_size_from=IN_SETTINGS)
        return replace(request, length=length)

    def severity_of(self, one: Rule | Diagnostic) -> Severity:
        """Return the user's most specific severity for a rule or a diagnostic, else its own."""
        given = [selector for selector in self.severity if one.code in codes_of(selector)]
        return self.severity[max(given, key=specificity)] if given else one.severity

    def overridden(self, **given: object) -> Policy:
        """Return the policy with settings of the command line, which win; None is not given.

        The globs of `exclude` are relative to the working directory.

        Raises:
            LldtoolError: there is a mistake in them.
        """
        table = {name.replace("_", "-"): x for name, x in given.items() if x is not None}
        settings = checked(table, "--")
        exclude = tuple(from_root(glob, self.root) for glob in settings.exclude)
        return self.merged(structs.replace(settings, exclude=exclude), table)

    def merged(self, settings: Settings, given: Collection[str]) -> Policy:
        """Return the policy with those of the settings that are given.

        They replace what was there, but for `exclude`, which adds to it, and the selection of
        rules, which goes on from it unless `select` starts anew.
        """
        values = {
            setting.name: getattr(settings, setting.name)
            for setting in structs.fields(Settings)
            if setting.encode_name in given
        }
        values["exclude"] = (*self.exclude, *settings.exclude)
        return structs.replace(self, **values, codes=_selected(self.codes, settings))


def _selected(codes: frozenset[str], settings: Settings) -> frozenset[str]:
    """Return the codes that are selected by settings, if these were before."""
    steps = [(selector, True) for selector in (*(settings.select or ()), *settings.extend_select)]
    steps += [(selector, False) for selector in settings.ignore]
    chosen = codes if settings.select is None else frozenset[str]()
    for selector, is_on in sorted(steps, key=lambda step: specificity(step[0])):
        chosen = chosen | codes_of(selector) if is_on else chosen - codes_of(selector)
    return chosen


def load_policy(start: Path, explicit: Path | None = None) -> Policy:
    """The policy of the nearest settings, or of the file that the user named.

    Args:
        start: the directory where the search begins; it goes on upwards.
        explicit: lldtool.toml, a pyproject.toml, or what is written as lldtool.toml is.

    Raises:
        LldtoolError: the settings can't be read, or there is a mistake in them.
    """
    for path in settings_files(start, explicit):
        if explicit is None and not path.is_file():
            continue
        if (table := _table(path)) is not None:
            settings = checked(table, config=str(path))
            return Policy(root=path.parent.resolve()).merged(settings, table)
        if explicit is not None:
            raise LldtoolError("there is no [tool.lldtool] in it", config=str(path))
    return Policy()


def _table(path: Path) -> Mapping[str, Any] | None:
    """The settings in a file; None if it is a pyproject.toml without any."""
    content = _toml(path)
    if path.name != "pyproject.toml":
        return content
    tool = content.get("tool")
    table = tool.get("lldtool") if isinstance(tool, dict) else None
    if table is None or isinstance(table, dict):
        return table
    raise LldtoolError("tool.lldtool: expected a table", config=str(path))


def _toml(path: Path) -> dict[str, Any]:
    try:
        content = read_bytes(path)
    except OSError as error:
        reason = error.strerror or error
        raise LldtoolError(f"can't read the settings: {reason}", config=str(path)) from error
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise LldtoolError("not UTF-8 text", config=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise LldtoolError(f"not TOML: {error}", config=str(path)) from error

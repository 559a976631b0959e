"""The user's settings, `[tool.lldtool]` or lldtool.toml, read and held as a `Policy`.

What enters is TOML and the command line's values; a mistake in either is one `LldtoolError`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from lldtool.errors import LldtoolError
from lldtool.files import read_bytes
from lldtool.findings import Severity
from lldtool.rules import Rule, all_rules, codes_of
from lldtool.selectors import (
    did_you_mean,
    from_root,
    is_path_pattern,
    matches_path,
    selector_words,
    specificity,
)
from lldtool.source import split_package, split_revision
from lldtool.source.discovery import stable_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: The names of the files with settings, in the order in which a directory is searched for them.
_SETTINGS_FILES = ("lldtool.toml", "pyproject.toml")

_Glob = Annotated[str, Meta(min_length=1)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The settings of lldtool: [tool.lldtool] of pyproject.toml, or all of lldtool.toml."""

    select: (
        Annotated[
            tuple[str, ...],
            Meta(
                description="The rules to check, by code, prefix of codes or name; "
                "`ALL` for every one. Without it, those that are on by default. "
                "What is more specific wins.",
                examples=[["LLD1", "LLD2", "unmatched-key"]],
            ),
        ]
        | UnsetType
    ) = UNSET
    extend_select: Annotated[
        tuple[str, ...],
        Meta(description="Rules besides those of select.", examples=[["many-groups"]]),
    ] = ()
    ignore: Annotated[
        tuple[str, ...],
        Meta(
            description="Rules to leave out. What is more specific wins over select, and so does "
            "what is as specific.",
            examples=[["LLD203"]],
        ),
    ] = ()
    severity: Annotated[
        dict[str, Severity],
        Meta(
            description="How bad what a rule finds is, by code, prefix or name.",
            examples=[{"decayed-bias": "warning"}],
        ),
    ] = {}
    per_config_ignores: Annotated[
        dict[_Glob, tuple[str, ...]],
        Meta(
            description="Rules to leave out for some configs, by globs of their paths, relative "
            "to this file's directory, or of names such as `mmpretrain::mae/x.py`.",
            examples=[{"configs/legacy/**": ["LLD1"], "mmpretrain::beit/*": ["LLD102"]}],
        ),
    ] = {}
    no_decay: Annotated[
        tuple[_Glob, ...],
        Meta(
            description="Parameters that must not be decayed: globs of their full names, or "
            "`type:` and a glob of module classes.",
            examples=[["*.bias", "type:*Norm*"]],
        ),
    ] = ()
    must_decay: Annotated[
        tuple[_Glob, ...],
        Meta(description="Parameters that must be decayed.", examples=[["head.*.weight"]]),
    ] = ()
    may_decay: Annotated[
        tuple[_Glob, ...],
        Meta(
            description="Parameters that LLD101 to LLD105 leave in peace.",
            examples=[["*.layer_scale"]],
        ),
    ] = ()
    include: Annotated[
        tuple[_Glob, ...],
        Meta(
            description="Where a directory is searched, only these configs: globs relative to "
            "this file's directory; one without a slash is for any part of a path.",
            examples=[["configs/**"]],
        ),
    ] = ()
    exclude: Annotated[
        tuple[_Glob, ...],
        Meta(
            description="Files and directories that a search leaves out: globs as in include.",
            examples=[["work_dirs", "data", "configs/**/old_*.py"]],
        ),
    ] = ()
    include_base: Annotated[
        bool,
        Meta(description="Whether a search goes into `_base_` directories.", examples=[False]),
    ] = False
    fail_on: Annotated[
        Severity,
        Meta(
            description="The least severity that makes check fail, with exit code 1.",
            examples=["error"],
        ),
    ] = Severity.warning
    timeout: (
        Annotated[
            float,
            Meta(
                gt=0,
                le=1_000_000,
                description="How many seconds a config may take; 120 where it is not given.",
                examples=[120],
            ),
        ]
        | UnsetType
    ) = UNSET
    jobs: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=4096,
                description="How many configs run at a time; one for each core where not given.",
                examples=[4],
            ),
        ]
        | UnsetType
    ) = UNSET


@dataclass(frozen=True)
class Selection:
    """What the file, or the command line, says on rules. `select` drops what was said before."""

    select: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def applied_to(self, codes: frozenset[str]) -> frozenset[str]:
        """The codes that are selected after it, if these were before."""
        steps = [(selector, True) for selector in (*(self.select or ()), *self.extend_select)]
        steps += [(selector, False) for selector in self.ignore]
        chosen = codes if self.select is None else frozenset()
        for selector, is_on in sorted(steps, key=lambda step: specificity(step[0])):
            chosen = chosen | codes_of(selector) if is_on else chosen - codes_of(selector)
        return chosen


@dataclass(frozen=True)
class Policy:
    """What the user wants checked, and how; a `Policy()` is what there is without settings.

    `root` is the directory of the settings' file, which the globs of paths are relative to; None
    for the working directory. `timeout` is in seconds; it and `jobs` are None where not given.
    """

    selections: tuple[Selection, ...] = ()
    severity: Mapping[str, Severity] = field(default_factory=dict)
    per_config_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    no_decay: tuple[str, ...] = ()
    must_decay: tuple[str, ...] = ()
    may_decay: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_base: bool = False
    fail_on: Severity = Severity.warning
    timeout: float | None = None
    jobs: int | None = None
    root: Path | None = None

    def rules_for(self, config: str, path: Path) -> list[Rule]:
        """The rules that hold for a config.

        Args:
            config: the config as the user named it.
            path: its file, in a temporary tree if it is named at a revision.
        """
        codes = frozenset(rule.code for rule in all_rules() if rule.by_default)
        for selection in self.selections:
            codes = selection.applied_to(codes)
        if self.per_config_ignores:
            named, revision = split_revision(config)
            is_path = revision is None and split_package(config) is None
            name = stable_name(str(path) if is_path else named, self.root)
            ignored = [
                codes_of(selector)
                for glob, selectors in self.per_config_ignores.items()
                # As ruff has it, `!` is for all configs but these.
                if matches_path([glob.removeprefix("!")], name) != glob.startswith("!")
                for selector in selectors
            ]
            codes = codes.difference(*ignored)
        return [rule for rule in all_rules() if rule.code in codes]

    def severity_of(self, rule: Rule) -> Severity:
        """The user's severity of a rule, the most specific one, or else the rule's own."""
        given = [selector for selector in self.severity if rule.code in codes_of(selector)]
        return self.severity[max(given, key=specificity)] if given else rule.severity

    def overridden(
        self,
        *,
        select: Sequence[str] | None = None,
        extend_select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        exclude: Sequence[str] = (),
        include_base: bool | None = None,
        fail_on: Severity | None = None,
        timeout: float | None = None,
        jobs: int | None = None,
    ) -> Policy:
        """The same with the command line's values, which win; None is for what is not given.

        `select` replaces; `extend_select`, `ignore` and `exclude` add. The globs of `exclude` are
        relative to the working directory.

        Raises:
            LldtoolError: there is no such rule.
        """
        _require_rules(select or (), "--select")
        _require_rules(extend_select, "--extend-select")
        _require_rules(ignore, "--ignore")
        _require_globs(exclude, "--exclude")
        chosen = None if select is None else tuple(select)
        said = Selection(chosen, tuple(extend_select), tuple(ignore))
        values: dict[str, Any] = {
            "include_base": include_base, "fail_on": fail_on, "timeout": timeout, "jobs": jobs,
        }  # fmt: skip
        return replace(
            self,
            selections=(*self.selections, said),
            exclude=(*self.exclude, *(from_root(glob, self.root) for glob in exclude)),
            **{name: value for name, value in values.items() if value is not None},
        )


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
            return _policy(table, path)
        if explicit is not None:
            raise LldtoolError("there is no [tool.lldtool] in it", config=str(path))
    return Policy()


def settings_files(start: Path, explicit: Path | None = None) -> list[Path]:
    """Where the settings are looked for, in this order; arguments as above."""
    if explicit is not None:
        return [explicit.expanduser()]
    start = start.resolve()
    return [folder / name for folder in (start, *start.parents) for name in _SETTINGS_FILES]


def settings_schema() -> dict[str, Any]:
    """The JSON schema of the settings, for editors."""
    _, components = msgspec.json.schema_components([Settings], ref_template="#/$defs/{name}")
    schema = components.pop("Settings")
    words = selector_words(all_rules())
    components["Selector"] = {"description": "A rule, or several.", "enum": words}
    selector = {"$ref": "#/$defs/Selector"}
    properties = schema["properties"]
    for key in ("select", "extend-select", "ignore"):
        properties[key]["items"] = selector
    properties["severity"]["propertyNames"] = selector
    properties["per-config-ignores"]["additionalProperties"]["items"] = selector
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, **schema, "title": "lldtool", "$defs": components}


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


def _policy(table: Mapping[str, Any], path: Path) -> Policy:
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise _mistake(table, str(path)) from error
    select = None if settings.select is UNSET else settings.select
    _require_rules(select or (), "select", str(path))
    _require_rules(settings.extend_select, "extend-select", str(path))
    _require_rules(settings.ignore, "ignore", str(path))
    _require_rules(settings.severity, "severity", str(path))
    for name, globs in (
        ("include", settings.include),
        ("exclude", settings.exclude),
        ("per-config-ignores", settings.per_config_ignores),
    ):
        _require_globs(globs, name, str(path))
    for glob, selectors in settings.per_config_ignores.items():
        _require_rules(selectors, f"per-config-ignores.{glob!r}", str(path))
    return Policy(
        (Selection(select, settings.extend_select, settings.ignore),),
        severity=settings.severity,
        per_config_ignores=settings.per_config_ignores,
        no_decay=settings.no_decay,
        must_decay=settings.must_decay,
        may_decay=settings.may_decay,
        include=settings.include,
        exclude=settings.exclude,
        include_base=settings.include_base,
        fail_on=settings.fail_on,
        timeout=None if settings.timeout is UNSET else settings.timeout,
        jobs=None if settings.jobs is UNSET else settings.jobs,
        root=path.parent.resolve(),
    )


#: msgspec's words for types, in TOML's.
_WORDS = {
    "array": "a list", "str": "a string", "object": "a table", "int": "a whole number",
    "float": "a number", "bool": "true or false",
}  # fmt: skip


def _mistake(table: Mapping[str, Any], config: str) -> LldtoolError:
    """The first thing that is wrong in settings that msgspec refuses."""
    known = [setting.encode_name for setting in msgspec.structs.fields(Settings)]
    for key in table:
        if key not in known:
            outer = "in this file, settings stand at the top level, without [tool.lldtool]"
            hint = outer if key == "tool" else did_you_mean(key, known)
            return LldtoolError(f"unknown setting {key!r}", config=config, hint=hint)
    # An entry at a time, as msgspec does not say which entry of a table it is about.
    entries = [
        (f"{key}.{name!r}", {key: {name: entry}}, entry)
        for key, value in table.items()
        if isinstance(value, dict)
        for name, entry in value.items()
    ]
    entries += [(key, {key: value}, value) for key, value in table.items()]
    name, value, refusal = next(
        (name, entry, said) for name, one, entry in entries if (said := _refusal(one))
    )
    problem, _, where = refusal.partition(" - at ")
    if problem.startswith("Invalid enum value"):
        words = [severity.value for severity in Severity]
        message = f"{name}: {value!r} is none of {', '.join(words)}"
        return LldtoolError(message, config=config, hint=did_you_mean(str(value), words))
    index = re.search(r"\[\d+\]", where)
    problem = re.sub(r"`(\w+)`", lambda word: _WORDS.get(word[1], f"a {word[1]}"), problem)
    place = f"{name}{index[0] if index else ''}"
    return LldtoolError(f"{place}: {problem[0].lower()}{problem[1:]}", config=config)


def _refusal(settings: Mapping[str, Any]) -> str:
    """What msgspec has against settings; nothing where it takes them."""
    try:
        msgspec.convert(settings, Settings)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _require_rules(selectors: Iterable[str], place: str, config: str | None = None) -> None:
    """See to it that each names some rule.

    Raises:
        LldtoolError: one does not; with the rule that may have been meant.
    """
    unknown = next((selector for selector in selectors if not codes_of(selector)), None)
    if unknown is not None:
        # The beginning of a code means several rules.
        codes = [rule.code for rule in all_rules() if len(rule.code) == len(unknown)]
        hint = did_you_mean(unknown, ["ALL", *codes, *(rule.name for rule in all_rules())])
        raise LldtoolError(f"{place}: there is no rule {unknown!r}", config=config, hint=hint)


def _require_globs(globs: Iterable[str], place: str, config: str | None = None) -> None:
    """See to it that each is a path pattern.

    Raises:
        LldtoolError: one is not.
    """
    broken = next((glob for glob in globs if not is_path_pattern(glob)), None)
    if broken is not None:
        raise LldtoolError(f"{place}: {broken!r} is not a glob", config=config)

"""The settings that a user may give, each declared once: `Settings`.

The JSON schema, docs/settings.md, the checks and the merging in `Policy` derive from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, structs

from lldtool.config.selectors import did_you_mean, is_path_pattern, selector_words
from lldtool.errors import LldtoolError
from lldtool.lint.diagnostics import Severity
from lldtool.lint.rules import all_rules, codes_of

_Glob = Annotated[str, Meta(min_length=1)]
_SELECTOR = {"$ref": "#/$defs/Selector"}
_Globs = tuple[_Glob, ...]
_Rules = tuple[Annotated[str, Meta(extra_json_schema=_SELECTOR)], ...]


def _about(description: str, example: object, **schema: Any) -> Meta:  # noqa: ANN401
    """Return what the schema and the docs say of a setting."""
    return Meta(description=description, examples=[example], extra_json_schema=schema or None)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The settings of lldtool: [tool.lldtool] of pyproject.toml, or all of lldtool.toml."""

    # fmt: off
    # Each is declared here and nowhere else. None is for what has no default: it is not in the
    # schema, as TOML has no null.

    select: Annotated[_Rules | None, _about(
        "The rules to check, by code, prefix of codes or name; `ALL` for every one. Default: the "
        "rules that are on by default. A more specific selector wins.",
        ["LLD1", "LLD2", "unmatched-key"],
    )] = None
    extend_select: Annotated[_Rules, _about("Rules to add to select.", ["many-groups"])] = ()
    ignore: Annotated[_Rules, _about(
        "Rules not to check. A more specific selector wins over select, and so does one that is "
        "as specific.", ["LLD203"],
    )] = ()
    severity: Annotated[dict[str, Severity], _about(
        "The severity of what a rule finds, by code, prefix or name.",
        {"decayed-bias": "warning"},
        propertyNames=_SELECTOR,  # of keys, msgspec < 0.20 tells none
    )] = {}
    per_config_ignores: Annotated[dict[_Glob, _Rules], _about(
        "Rules not to check in some configs, by globs of their paths, relative to this file's "
        "directory, or of names such as `mmpretrain::mae/x.py`.",
        {"configs/legacy/**": ["LLD1"], "mmpretrain::beit/*": ["LLD102"]},
    )] = {}
    no_decay: Annotated[_Globs, _about(
        "Parameters that must get no weight decay: globs of their full names, or `type:` and a "
        "glob of module classes.", ["*.bias", "type:*Norm*"],
    )] = ()
    must_decay: Annotated[_Globs, _about(
        "Parameters that must get weight decay.", ["head.*.weight"],
    )] = ()
    may_decay: Annotated[_Globs, _about(
        "Parameters that LLD101 to LLD105 do not report.", ["*.layer_scale"],
    )] = ()
    include: Annotated[_Globs, _about(
        "The only configs that are checked in a directory: globs relative to this file's "
        "directory; a glob without a slash matches any part of a path.", ["configs/**"],
    )] = ()
    exclude: Annotated[_Globs, _about(
        "Files and directories that are not searched for configs: globs as in include.",
        ["work_dirs", "data", "configs/**/old_*.py"],
    )] = ()
    include_base: Annotated[bool, _about(
        "Whether `_base_` directories are searched, too.", False,
    )] = False
    fail_on: Annotated[Severity, _about(
        "The least severity that makes check fail, with exit code 1.", "error",
    )] = Severity.warning
    dataset_size: Annotated[dict[_Glob, Annotated[int, Meta(ge=1)]], _about(
        "Samples in an epoch of some configs, by globs as in per-config-ignores; the last one that "
        "matches counts.", {"configs/imagenet/**": 1281167},
    )] = {}
    timeout: Annotated[Annotated[float, Meta(gt=0, le=1_000_000)] | None, _about(
        "Seconds that a config may take. Default: 120.", 120,
    )] = None
    jobs: Annotated[Annotated[int, Meta(ge=1, le=4096)] | None, _about(
        "Number of configs that run at the same time. Default: the number of cores.", 4,
    )] = None
    # fmt: on


def settings_schema() -> dict[str, Any]:
    """The JSON schema of the settings, for editors."""
    _, components = msgspec.json.schema_components([Settings], ref_template="#/$defs/{name}")
    schema = components.pop("Settings")
    words = selector_words(all_rules())
    components["Selector"] = {"description": "A rule, or several.", "enum": words}
    for entry in schema["properties"].values():
        if entry["default"] is None:
            del entry["default"]
            entry |= entry.pop("anyOf")[0]
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, **schema, "title": "lldtool", "$defs": components}


def checked(table: Mapping[str, Any], prefix: str = "", config: str | None = None) -> Settings:
    """Check what was given.

    Args:
        table: setting -> value.
        prefix: of the settings' names in messages.
        config: the file that they are from.

    Raises:
        LldtoolError: there is a mistake; with what may have been meant.
    """
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise _mistake(table, prefix, config) from error
    ignores = settings.per_config_ignores
    for place, selectors in (
        ("select", settings.select or ()),
        ("extend-select", settings.extend_select),
        ("ignore", settings.ignore),
        ("severity", settings.severity),
        *((f"per-config-ignores.{glob!r}", selectors) for glob, selectors in ignores.items()),
    ):
        unknown = next((selector for selector in selectors if not codes_of(selector)), None)
        if unknown is not None:
            message = f"{prefix}{place}: there is no rule {unknown!r}"
            raise LldtoolError(message, config=config, hint=_near_rule(unknown))
    for place, globs in (
        ("include", settings.include),
        ("exclude", settings.exclude),
        ("per-config-ignores", ignores),
        ("dataset-size", settings.dataset_size),
    ):
        broken = next((glob for glob in globs if not is_path_pattern(glob)), None)
        if broken is not None:
            raise LldtoolError(f"{prefix}{place}: {broken!r} is not a glob", config=config)
    return settings


def _near_rule(selector: str) -> str | None:
    # The beginning of a code means several rules.
    codes = [rule.code for rule in all_rules() if len(rule.code) == len(selector)]
    return did_you_mean(selector, ["ALL", *codes, *(rule.name for rule in all_rules())])


#: msgspec's words for types, in TOML's.
_WORDS = {
    "array": "a list", "str": "a string", "object": "a table", "int": "a whole number",
    "float": "a number", "bool": "true or false",
}  # fmt: skip


def _mistake(table: Mapping[str, Any], prefix: str, config: str | None) -> LldtoolError:
    """The first thing that is wrong in settings that msgspec refuses."""
    known = [setting.encode_name for setting in structs.fields(Settings)]
    for key in table:
        if key not in known:
            outer = "in this file, settings stand at the top level, without [tool.lldtool]"
            hint = outer if key == "tool" else did_you_mean(key, known)
            return LldtoolError(f"unknown setting {prefix + key!r}", config=config, hint=hint)
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
    problem, _, where = refusal.replace(" | null", "").partition(" - at ")
    if problem.startswith("Invalid enum value"):
        words = [severity.value for severity in Severity]
        message = f"{prefix}{name}: {value!r} is none of {', '.join(words)}"
        return LldtoolError(message, config=config, hint=did_you_mean(str(value), words))
    index = re.search(r"\[\d+\]", where)
    problem = re.sub(r"`(\w+)`", lambda word: _WORDS.get(word[1], f"a {word[1]}"), problem)
    place = f"{prefix}{name}{index[0] if index else ''}"
    return LldtoolError(f"{place}: {problem[0].lower()}{problem[1:]}", config=config)


def _refusal(settings: Mapping[str, Any]) -> str:
    """What msgspec has against settings; nothing where it takes them."""
    try:
        msgspec.convert(settings, Settings)
    except msgspec.ValidationError as error:
        return str(error)
    return ""

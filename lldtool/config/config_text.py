"""Edits of a config as text to write in its file: entries, where they go and what they replace."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from lldtool.config.edit import DELETE, Edit
from lldtool.config.entries import Container
from lldtool.config.locations import Sources
from lldtool.text import is_name, literal


def config_text(edits: Sequence[Edit], sources: Sources) -> str | None:
    """Return what to write in a config's own file for these edits.

    A comment says which dict the entries below it go in, and which they replace there: `# in
    optim_wrapper.paramwise_cfg, instead of 'decay_rate'`, then `layer_decay_rate=0.75,`. Where the
    file itself says nothing yet of what is to be changed, it is a statement, which mmengine merges
    with what the file inherits.

    Args:
        edits: what to change.
        sources: of the config.

    Returns:
        None where it can't be said so: an entry to delete is an inherited one, or one of a list is
        to be changed, or code makes the dict.
    """
    deleted = [edit.path for edit in edits if edit.value is DELETE]
    if not sources.files or not all(map(sources.own_entry, deleted)):
        return None
    #: (the dict that they go in, what is replaced there) -> entries
    groups: dict[tuple[tuple[str, ...], str], dict[str, Any]] = defaultdict(dict)
    for edit in edits:
        if edit.value is DELETE:
            continue
        own, (inside, container) = sources.own_entry(edit.path), sources.own_container(edit.path)
        merges = isinstance(edit.value, dict) and not own and sources.entry(edit.path)
        new_keys = edit.path[len(inside) :]
        if merges or any(map(str.isdigit, new_keys)) or (container and not container.value.is_dict):
            return None
        replaced = [edit.path] if own and inside else []
        replaced += [path for path in deleted if inside and path[:-1] == edit.path[:-1]]
        deleted = [path for path in deleted if path not in replaced]
        instead = " and ".join(repr(path[-1]) for path in replaced)
        _put(groups[inside, f", instead of {instead}" if instead else ""], new_keys, edit.value)
    lines = []
    for (inside, instead), entries in sorted(groups.items(), key=lambda group: bool(group[0][0])):
        container = sources.own_entry(inside)
        lines += [f"# in {'.'.join(inside)}{instead}"] if container else []
        kind = container.value.kind if container else None
        lines += [_entry_text(key, value, kind, sources) for key, value in entries.items()]
    lines += [f"# in {'.'.join(path[:-1])}, delete {path[-1]!r}" for path in deleted]
    return "\n".join(lines)


def _put(entries: dict[str, Any], path: Sequence[str], value: object) -> None:
    """`{}`, `a`, `b` -> `{a: {b: value}}`."""
    for key in path[:-1]:
        entries = entries.setdefault(key, {})
    entries[path[-1]] = value


def _entry_text(key: str, value: object, kind: Container | None, sources: Sources) -> str:
    """Return an entry of a dict that is written so, or a statement if there is no dict."""
    suffix = sources.files[0].suffix
    if suffix == ".py":
        text = literal(value)
        if kind is None:
            is_merged = sources.is_pure_python and isinstance(value, dict)
            return f"{key}.merge({text})" if is_merged else f"{key} = {text}"
        if kind is not Container.call:
            return f"{key!r}: {text},"
        return f"{key}={text}," if is_name(key) else f"**{{{key!r}: {text}}},"
    comma = "," if kind is Container.mapping else ""
    text = json.dumps({key: value}) if suffix == ".json" else _yaml({key: value})
    return text[1:-1] + comma


def _yaml(entry: dict[str, object]) -> str:
    import yaml

    plain = json.loads(json.dumps(entry))  # without tuples and aliases
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=math.inf)
    return str(text).rstrip()

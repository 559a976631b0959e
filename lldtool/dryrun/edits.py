"""`--cfg-options` and `--with KEY=VALUE`: change a loaded config.

The first as OpenMMLab does; the second also where keys have dots in them, and by removal.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from lldtool.config.edit import DELETE, Edit, misspelling, split_pair
from lldtool.dryrun.registries import describe
from lldtool.errors import LldtoolError


def overrides(options: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Return `--cfg-options` as dotted key -> value.

    Args:
        options: `KEY=VALUE` strings, or dotted key -> value.

    Raises:
        LldtoolError: a pair can't be parsed.
    """
    if isinstance(options, Mapping):
        return dict(options)
    keys = [split_pair(pair, "--cfg-options")[0] for pair in options]
    values = [_parse_value(pair, "--cfg-options") for pair in options]
    return dict(zip(keys, values, strict=True))


def apply_overrides(config: Any, options: Mapping[str, Any]) -> list[str]:
    """Merge dotted key -> value into the config, as `--cfg-options` does.

    Args:
        config: an `mmengine.Config`.
        options: dotted key -> value.

    Returns:
        Notes on keys that are new to the config and resemble one of its keys.

    Raises:
        LldtoolError: they do not fit the config.
    """
    notes = [misspelling(config, key, key.split(".")) for key in options]
    if options:
        _merge(config, options, f"--cfg-options {' '.join(options)}")
    return [note for note in notes if note]


def apply_edits(config: Any, edits: Sequence[str]) -> list[str]:
    """Apply `KEY=VALUE` strings to the config, one after the other, merging dicts.

    Args:
        config: an `mmengine.Config`.
        edits: the strings, as `Edit.parse` takes them.

    Returns:
        Notes on keys that are new to the config and resemble one of its keys.

    Raises:
        LldtoolError: a pair can't be parsed, or what is to be removed is not there.
    """
    notes = []
    for pair in edits:
        edit = Edit.parse(pair, config, _parse_value)
        key = pair.partition("=")[0]
        if edit.value is DELETE:
            edit.apply_to(config)
        else:
            notes.append(misspelling(config, key, edit.path))
            _merge(config, edit.nested, key)
    return [note for note in notes if note]


def _parse_value(pair: str, option: str = "--with") -> Any:
    """Parse the value of `KEY=VALUE` by mmengine's `DictAction`."""
    from mmengine.config import DictAction

    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--pair", nargs="+", action=DictAction)
    try:
        return next(iter(parser.parse_args(["--pair", pair]).pair.values()))
    except (AssertionError, RecursionError) as error:
        raise LldtoolError(f"{option} {pair}: {describe(error)}") from error


def _merge(config: Any, options: Mapping[str, Any], what: str) -> None:
    try:
        config.merge_from_dict(dict(options))
    except (AttributeError, LookupError, TypeError, ValueError, AssertionError) as error:
        raise LldtoolError(f"{what}: {describe(error)}") from error

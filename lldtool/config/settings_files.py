"""The files that may have the user's settings."""

from __future__ import annotations

from pathlib import Path

#: Their names, in the order in which a directory is searched for them.
_NAMES = ("lldtool.toml", "pyproject.toml")


def settings_files(start: Path, explicit: Path | None = None) -> list[Path]:
    """Return where the settings are looked for, in this order.

    Args:
        start: the directory where the search begins; it goes on upwards.
        explicit: the file that the user named, if any; no other is looked at then.
    """
    if explicit is not None:
        return [explicit.expanduser()]
    start = start.resolve()
    return [folder / name for folder in (start, *start.parents) for name in _NAMES]

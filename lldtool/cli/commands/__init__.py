"""The commands, one module each: a function of the module's name, and its place in the help.

Nothing else knows of a command. `POSITION` orders the commands in `lldtool --help`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import typer
from typer.core import TyperGroup

from lldtool.cli.option_groups import expand_option_groups


class Commands(TyperGroup):
    """The group of all commands, each imported when it is run or its help is shown."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self.commands = _CommandsByName()  # type: ignore[assignment]


class _CommandsByName(Mapping[str, Any]):
    """Name -> command, as Typer makes it of the module's function."""

    def __init__(self) -> None:
        self._names = {module.name for module in pkgutil.iter_modules(__path__)}
        self._built: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names, key=lambda name: (_module(name).POSITION, name)))

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        if name not in self._names:
            raise KeyError(name)
        if name not in self._built:
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(name)(expand_option_groups(getattr(_module(name), name)))
            self._built[name] = typer.main.get_command(app)
        return self._built[name]


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")

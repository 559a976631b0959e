"""Imports that library code guards, `try: import x` and `except ImportError`, once more."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import inspect
import sys
from collections.abc import Collection, Iterator, Sequence
from types import FrameType, ModuleType

from lldtool.dryrun.import_frames import is_library, runs_a_module


class GuardedImports(importlib.abc.MetaPathFinder):
    """The last finder, asked for what no other finds: takes down who went on without it.

    A library that guards an import, `try: from mmcv.ops import x` and `except ImportError`, does
    without. Where a stub comes later, for another library, the guarded import is due again.
    """

    def __init__(self) -> None:
        #: Missing module -> for each import of it the modules that led there, innermost first,
        #: and at which line.
        self.imports: dict[str, list[list[tuple[str, int]]]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """The finder protocol of `sys.meta_path`."""
        modules = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if runs_a_module(frame) and is_library(frame):
                modules.append((str(frame.f_globals["__name__"]), frame.f_lineno))
            frame = frame.f_back
        self.imports.setdefault(fullname, []).append(modules)

    def missed_by(self, names: Collection[str]) -> Iterator[str]:
        """The missing modules that one of these modules went on without."""
        for missing, imports in self.imports.items():
            if any(_guarding(modules)[0] in names for modules in imports):
                yield missing

    def import_again(self, missing: str) -> None:
        """Run the guarded imports anew that this module was missing for."""
        for modules in self.imports.pop(missing, []):
            name, line = _guarding(modules)
            if name:
                try:
                    _run_guarded(sys.modules[name], line)
                except KeyboardInterrupt:  # what each signal that ends lldtool raises
                    raise
                except BaseException:  # an exit or `StubUsed` too: it goes on without, as before
                    pass


def _guarding(modules: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """The module that guarded an import, and where; those that did not were not imported either."""
    return next((one for one in modules if one[0] in sys.modules), ("", 0))


def _run_guarded(module: ModuleType, line: int) -> None:
    """Run the module's `try` statement that this line belongs to."""
    for statement in ast.parse(inspect.getsource(module)).body:
        is_it = statement.lineno <= line <= (statement.end_lineno or 0)
        if is_it and isinstance(statement, ast.Try):
            exec(compile(ast.Module([statement], []), str(module.__file__), "exec"), vars(module))

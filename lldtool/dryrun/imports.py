"""Stand-ins for packages that a dry run imports but never runs.

Two kinds. For speed: torch's sharding and the image packages, which OpenMMLab imports at module
level and training needs, but not its settings; only in lldtool's own process, and
`LLDTOOL_REAL_IMPORTS=1` switches them off. For need: a package that is missing or broken and that
library code imports.

A module that is stood in for gives a class for every name asked of it. Such a class may be
inherited from, tested with `isinstance`, or called while modules are being imported. Calling it
later means that the real thing is needed: that raises `StandInUsed`, and the dry run starts over
with real imports, or says which package to install.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import sysconfig
from abc import ABCMeta
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any
from unittest import mock

FOR_SPEED = (
    "torch.distributed.fsdp",  # with DTensor and sympy, for one wrapper class of mmengine
    "torch.distributed.optim",  # for mmengine's ZeroRedundancyOptimizer
    "torchvision",  # data sets, metrics
    "cv2",  # data sets, visualisation
)
#: A stand-in for one of these would change what the dry run shows.
NEVER = {"torch", "numpy", "mmengine", "mmcv"}
#: Their code counts as library code wherever it is installed; `pip install -e` is the custom.
OPENMMLAB = {"mmengine", "mmcv", "mmpretrain", "mmdet", "mmseg", "mmpose", "mmaction", "mmocr"}
OPENMMLAB |= {"mmdet3d", "mmrotate", "mmyolo", "mmrazor", "mmselfsup", "mmagic", "mmfewshot"}

_DRYRUN_FOLDER = str(Path(__file__).parent)
_INSTALLED = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))


class StandInUsed(BaseException):
    """The dry run called something of a package that a stand-in took the place of."""

    def __init__(self, package: str, name: str) -> None:
        super().__init__(f"{name} of {package} is a stand-in")
        self.package = package
        self.name = name


class _StandInType(ABCMeta):
    """The class of the classes that a stand-in module gives."""

    def __getattr__(cls, name: str) -> Any:
        return _attribute(cls, name, _module_of(cls))

    def __getitem__(cls, item: object) -> Any:
        return cls

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if not _importing(sys._getframe(1)):
            raise StandInUsed(_module_of(cls), cls.__name__)
        # A decorator leaves what it decorates; anything else made while importing is not used.
        return args[0] if len(args) == 1 and callable(args[0]) and not kwargs else cls


def _module_of(cls: type) -> str:
    """The stood-in module that a stand-in class, or one that inherits from it, comes from."""
    return next(str(vars(c)["_stand_in_for"]) for c in cls.__mro__ if "_stand_in_for" in vars(c))


class _StandInModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return _attribute(self, name, self.__name__)


def _origin(value: object) -> str | None:
    """The stood-in module that a value is or comes from, or None."""
    if isinstance(value, _StandInModule):
        return value.__name__
    return _module_of(value) if isinstance(value, _StandInType) else None


def _attribute(owner: Any, name: str, module: str) -> Any:
    if name == "__version__":
        return _installed_version(module.partition(".")[0]) or "0.0.0"
    if name.startswith("__"):
        raise AttributeError(f"{module} has no attribute {name}")
    if not _importing(sys._getframe(2)):
        stand_ins.touched.add(stand_ins.covers(module) or module)
    made = _StandInType(name, (), {"__module__": module, "_stand_in_for": module})
    setattr(owner, name, made)
    return made


def _importing(frame: FrameType | None) -> bool:
    """Whether the frame runs because a library module is being imported."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_DRYRUN_FOLDER):
            return False
        if frame.f_code.co_name == "<module>" and frame.f_back is not None:
            return _runs_a_module(frame)
        frame = frame.f_back
    return False


def _runs_a_module(frame: FrameType) -> bool:
    """Whether the frame is the code of a module that is being imported."""
    if frame.f_code.co_name != "<module>" or frame.f_back is None:
        return False
    return frame.f_back.f_code.co_filename.startswith("<frozen importlib")


class _Misses(importlib.abc.MetaPathFinder):
    """The last finder, asked for what no other finds: takes down who went on without it.

    A library that guards an import, `try: from mmcv.ops import x` and `except ImportError`, does
    without. Where a stand-in comes later, for another library, the guarded import is due again.
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
            if _runs_a_module(frame) and _is_library(frame):
                modules.append((str(frame.f_globals["__name__"]), frame.f_lineno))
            frame = frame.f_back
        self.imports.setdefault(fullname, []).append(modules)

    def import_again(self, missing: str) -> None:
        """Run the guarded imports anew that this module was missing for."""
        for modules in self.imports.pop(missing, []):
            # Those that did not guard it were not imported either.
            name, line = next((one for one in modules if one[0] in sys.modules), (None, 0))
            if name is not None:
                with contextlib.suppress(Exception):  # it did without before
                    _run_guarded(sys.modules[name], line)


def _run_guarded(module: ModuleType, line: int) -> None:
    """Run the module's `try` statement that this line belongs to."""
    for statement in ast.parse(inspect.getsource(module)).body:
        is_it = statement.lineno <= line <= (statement.end_lineno or 0)
        if is_it and isinstance(statement, ast.Try):
            exec(compile(ast.Module([statement], []), str(module.__file__), "exec"), vars(module))


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The finder that puts stand-ins where real modules would be imported."""

    def __init__(self) -> None:
        self.for_speed: set[str] = set()
        #: Module -> why it is stood in for, as a note says it.
        self.for_need: dict[str, str] = {}
        #: Stood-in modules that were used after their import.
        self.touched: set[str] = set()
        self.misses = _Misses()

    @contextlib.contextmanager
    def installed(self, *, for_speed: bool) -> Iterator[None]:
        """Take part in imports; with `for_speed` for good, and for what is not imported yet."""
        self.touched.clear()
        if for_speed:
            if self not in sys.meta_path:
                self.for_speed = {name for name in FOR_SPEED if name not in sys.modules}
                self._take_part()
            with self._unseen():
                yield
            return
        self._take_part()
        try:
            with self._unseen():
                yield
        finally:
            sys.meta_path.remove(self)
            sys.meta_path.remove(self.misses)
            for name, module in list(sys.modules.items()):
                if isinstance(module, _StandInModule) and self.covers(name) in self.for_need:
                    del sys.modules[name]

    def _take_part(self) -> None:
        sys.meta_path.insert(0, self)
        sys.meta_path.append(self.misses)

    @contextlib.contextmanager
    def _unseen(self) -> Iterator[None]:
        """Who asks whether a package is there, instead of importing it, is told the truth.

        mmengine tells mmcv from mmcv-lite so.
        """
        find_spec = importlib.util.find_spec

        def really(name: str, package: str | None = None) -> importlib.machinery.ModuleSpec | None:
            stood_in = self.covers(name)
            if stood_in is None:
                return find_spec(name, package)
            parent, _, _ = stood_in.rpartition(".")
            path = importlib.import_module(parent).__path__ if parent else None
            return importlib.machinery.PathFinder.find_spec(stood_in, path)

        with mock.patch.object(importlib.util, "find_spec", really):
            yield

    def covers(self, module: str) -> str | None:
        """The stood-in module that this one is or belongs to."""
        parts = module.split(".")
        names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        return next((n for n in names if n in self.for_need or n in self.for_speed), None)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The finder protocol of `sys.meta_path`."""
        if self.covers(fullname) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The loader protocol: the module that stands in."""
        module = _StandInModule(spec.name)
        module.__path__ = []
        module.__all__ = []  # type: ignore[attr-defined]
        return module

    def exec_module(self, module: ModuleType) -> None:
        """The loader protocol: there is nothing to run."""

    def stand_in_for(self, error: BaseException) -> bool:
        """Stand in for the package whose import failed with this error, if that is harmless.

        True means that the import is worth trying again.
        """
        module = _missing_module(error) or _broken_package(error)
        if module is None or self.covers(module):
            return False
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else "is broken here"
        self.for_need[module] = reason
        for name in [n for n in sys.modules if n == module or n.startswith(f"{module}.")]:
            del sys.modules[name]
        self.misses.import_again(module)
        return True

    def compiled_operator(self, cls: type) -> type | None:
        """The class, or the base of it, whose compiled part a stand-in took the place of.

        It stands in a module that imports the missing part of its own package, as
        `mmcv.ops.deform_conv` imports `mmcv._ext`: mmcv-lite has the one without the other.
        """
        missing = {name for name in self.for_need if "." in name}
        for base in cls.__mro__ if missing else ():
            package = base.__module__.partition(".")[0]
            module = sys.modules.get(base.__module__)
            origins = {_origin(value) for value in vars(module).values()} if module else set()
            if any(
                o and o.startswith(f"{package}.") and self.covers(o) in missing for o in origins
            ):
                return base
        return None

    def needed_for_real(self, error: BaseException | None) -> bool:
        """Whether something that is stood in for only to save time was used in earnest.

        Args:
            error: what the dry run ended in, None where it ended well.
        """
        used = set(self.touched)
        if isinstance(error, StandInUsed):
            used.add(self.covers(error.package) or error.package)
        return bool(used & self.for_speed)

    def notes(self) -> list[str]:
        """A note for each package that training will need and that is not usable here."""
        missing = dict(self.for_need)
        for name in self.for_speed - missing.keys():
            found = "." in name or importlib.machinery.PathFinder.find_spec(name)
            if name in sys.modules and not found:
                missing[name] = "is not installed"
        return [
            f"a stand-in took the place of {name}, which {missing[name]}"
            for name in sorted(missing)
        ]


def real_imports_wanted() -> bool:
    """Whether the user asked for a dry run without the stand-ins that are there for speed."""
    return os.environ.get("LLDTOOL_REAL_IMPORTS", "") not in ("", "0")


stand_ins = StandIns()


def _missing_module(error: BaseException) -> str | None:
    """The module that library code imports and that is missing, or None."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    top = error.name.partition(".")[0]
    importer = _importing_frames(error.__traceback__)[-1:]
    if not importer or not _is_library(importer[0]):
        return None
    if top in OPENMMLAB | NEVER and error.name == top:
        return None
    return error.name


def _broken_package(error: BaseException) -> str | None:
    """The installed package that library code imports and that fails to, or None."""
    for frame in _importing_frames(error.__traceback__):
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if top not in OPENMMLAB | NEVER and _is_library(frame):
            return top
    return None


def _importing_frames(traceback: TracebackType | None) -> list[FrameType]:
    """The frames of the traceback that were importing a module, outermost first."""
    frames = []
    while traceback is not None:
        if _importing(traceback.tb_frame) and traceback.tb_frame.f_code.co_name == "<module>":
            frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return frames


def _is_library(frame: FrameType) -> bool:
    top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return top in OPENMMLAB or frame.f_code.co_filename.startswith(_INSTALLED)


def _installed_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

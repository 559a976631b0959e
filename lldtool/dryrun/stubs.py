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

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from abc import ABCMeta
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from lldtool.dryrun.guarded_imports import GuardedImports
from lldtool.dryrun.import_frames import (
    OPENMMLAB,
    broken_package,
    importer,
    is_importing,
    may_be_missing,
    missing_module,
    user_modules,
)
from lldtool.dryrun.patching import patched
from lldtool.dryrun.registries import chain, registries
from lldtool.errors import LldtoolError
from lldtool.versions import installed_version

FOR_SPEED = (
    "torch.distributed.fsdp",  # with DTensor and sympy, for one wrapper class of mmengine
    "torch.distributed.optim",  # for mmengine's ZeroRedundancyOptimizer
    "torchvision",  # data sets, metrics
    "cv2",  # data sets, visualisation
)
#: How the name of a class ends that has to be a warning, or may be raised -> what it inherits from.
_BASES = {"Warning": Warning, "Error": Exception, "Exception": Exception}
#: What is raised where something is missing.
_LACKS = (NotImplementedError, RuntimeError, AttributeError, ImportError)


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

    # Without this, __getitem__ would make every stand-in an endless sequence.
    __iter__ = None

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if issubclass(cls, Warning):
            return super().__call__(*args)
        if not is_importing(sys._getframe(1)):
            raise StandInUsed(_module_of(cls), cls.__name__)
        # A decorator leaves what it decorates; anything else made while importing is not used.
        return args[0] if len(args) == 1 and callable(args[0]) and not kwargs else cls


def _module_of(cls: type) -> str:
    """The stood-in module that a stand-in class, or one that inherits from it, comes from."""
    return next(str(vars(c)["_stand_in_for"]) for c in cls.__mro__ if "_stand_in_for" in vars(c))


class _StandInModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return _attribute(self, name, self.__name__)


def origin(value: object) -> str | None:
    """The stood-in module that a value is or comes from, or None."""
    if isinstance(value, _StandInModule):
        return value.__name__
    return _module_of(value) if isinstance(value, _StandInType) else None


def _may_have_caused(error: BaseException | None) -> bool:
    """Whether code that has a stand-in at hand took part in what went wrong.

    Or torch, which may lack what was put off or stood in for in its inside.
    """
    return any(
        any(map(origin, [*frame.f_globals.values(), *frame.f_locals.values()]))
        or (isinstance(one, _LACKS) and frame.f_globals.get("__name__", "").startswith("torch."))
        for one in chain(error)
        for frame, _ in traceback.walk_tb(one.__traceback__)
    )


def _attribute(owner: Any, name: str, module: str) -> Any:
    if name == "__version__":
        return installed_version(module.partition(".")[0]) or "0.0.0"
    if name.startswith("__"):
        raise AttributeError(f"{module} has no attribute {name}")
    if not is_importing(sys._getframe(2)):
        stand_ins.touched.add(stand_ins.covers(module) or module)
    bases = tuple(base for ending, base in _BASES.items() if name.endswith(ending))
    made = _StandInType(name, bases, {"__module__": module, "_stand_in_for": module})
    setattr(owner, name, made)
    return made


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The finder that puts stand-ins where real modules would be imported."""

    def __init__(self) -> None:
        self.for_speed: set[str] = set()
        #: The modules that are no user's code: imported before there were stand-ins for speed.
        self._known: set[str] = set()
        #: Module -> why it is stood in for, as a note says it.
        self.for_need: dict[str, str] = {}
        #: Stood-in modules that were used after their import.
        self.touched: set[str] = set()
        #: Stood-in module -> the top-level packages that imported it.
        self.importers: dict[str, set[str]] = defaultdict(set)
        self.guarded = GuardedImports()

    @contextlib.contextmanager
    def installed(self, *, for_speed: bool) -> Iterator[None]:
        """Take part in imports; with `for_speed` for good, and for what is not imported yet."""
        self.touched.clear()
        if for_speed:
            if self not in sys.meta_path:
                self._known = set(sys.modules)
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
            sys.meta_path.remove(self.guarded)
            for name, module in list(sys.modules.items()):
                if isinstance(module, _StandInModule) and self.covers(name) in self.for_need:
                    del sys.modules[name]

    def _take_part(self) -> None:
        sys.meta_path.insert(0, self)
        sys.meta_path.append(self.guarded)

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

        with patched(importlib.util, find_spec=really):
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
        module = self.covers(fullname)
        if module is None:
            return None
        self.importers[module].add(importer(sys._getframe(1)))
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
        module = missing_module(error) or broken_package(error)
        if module is None or self.covers(module):
            return False
        _forget_half_registered()
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else "is broken here"
        self.for_need[module] = reason
        for name in [n for n in sys.modules if n == module or n.startswith(f"{module}.")]:
            del sys.modules[name]
        self.guarded.import_again(module)
        return True

    def missed(self, error: BaseException) -> str | None:
        """The module that library code went on without, and then failed for the lack of; or None.

        As `except ImportError: Head = BaseModule`, and then `Head(num_queries=100)`. What was made
        of it is there by now, so a stand-in has to be there from the start.
        """
        if not isinstance(error, (TypeError, AttributeError, NameError)):
            return None
        frames = traceback.walk_tb(error.__traceback__)
        names = {frame.f_globals.get("__name__", "") for frame, _ in frames}
        missed = self.guarded.missed_by(names)
        return next((m for m in missed if may_be_missing(m) and not self.covers(m)), None)

    def compiled_operator(self, cls: type) -> type | None:
        """The class, or the base of it, whose compiled part a stand-in took the place of.

        It stands in a module that imports the missing part of its own package, as
        `mmcv.ops.deform_conv` imports `mmcv._ext`: mmcv-lite has the one without the other.
        """
        missing = {name for name in self.for_need if "." in name}
        for base in cls.__mro__ if missing else ():
            package = base.__module__.partition(".")[0]
            module = sys.modules.get(base.__module__)
            origins = {origin(value) for value in vars(module).values()} if module else set()
            if any(
                o and o.startswith(f"{package}.") and self.covers(o) in missing for o in origins
            ):
                return base
        return None

    def needed_for_real(self, error: LldtoolError | None) -> bool:
        """Whether something that is stood in for only to save time was used in earnest.

        Args:
            error: what the dry run ended in, None where it ended well.
        """
        if not self.for_speed:
            return False
        used, cause = set(self.touched), error.__cause__ if error else None
        if isinstance(cause, StandInUsed):
            used.add(self.covers(cause.package) or cause.package)
        uncertain = error is not None and not error.certain and _may_have_caused(cause)
        return bool(used & self.for_speed) or uncertain or self._named_by_user_code()

    def know_libraries(self) -> None:
        """Look no more at the modules of libraries that are imported by now, some 2,000.

        For a process that is forked many times, and each time before any code of the user's runs.
        """
        self._known |= sys.modules.keys() - user_modules(self._known).keys()

    def _named_by_user_code(self) -> bool:
        """Whether a module that is no library's has the name of a stand-in in its source.

        Such code may do anything with the package: ask for its version, or whether it is there.
        """
        for path in user_modules(self._known).values():
            with contextlib.suppress(OSError):
                source = Path(path).read_text(encoding="utf-8", errors="replace")
                if path.endswith(".py") and any(module in source for module in self.for_speed):
                    return True
        return False

    def notes(self, packages: set[str]) -> list[str]:
        """A note for each package that training will need and that is not usable here.

        Args:
            packages: the top-level packages that the model and its settings come from.
        """
        missing = {n: why for n, why in self.for_need.items() if self._matters(n, packages)}
        for name in self.for_speed - missing.keys():
            found = "." in name or importlib.machinery.PathFinder.find_spec(name)
            if not found and self._matters(name, packages):
                missing[name] = "is not installed"
        return [
            f"a stand-in took the place of {name}, which {missing[name]}"
            for name in sorted(missing)
        ]

    def _matters(self, module: str, packages: set[str]) -> bool:
        """Not where OpenMMLab's packages imported it and the model comes from none of them."""
        return bool((self.importers[module] - OPENMMLAB) | (self.importers[module] & packages))


def real_imports_wanted() -> bool:
    """Whether the user asked for a dry run without the stand-ins that are there for speed."""
    return os.environ.get("LLDTOOL_REAL_IMPORTS", "") not in ("", "0")


stand_ins = StandIns()


def _forget_half_registered() -> None:
    """Take back what modules registered whose import then failed; it will be tried again."""
    for registry in registries():
        for name, item in list(registry.module_dict.items()):
            if getattr(item, "__module__", None) not in sys.modules:
                del registry.module_dict[name]

"""Stubs for packages that a dry run imports but never runs.

Two kinds. For speed: torch's sharding and the image packages, which OpenMMLab imports at module
level and training needs, but not its settings; only in lldtool's own process, and
`LLDTOOL_REAL_IMPORTS=1` switches them off. And for packages that are missing or broken and that
library code imports.

A stub module gives a class for every name asked of it. Such a class may be inherited from, tested
with `isinstance`, or called while modules are being imported. Calling it later means that the real
thing is needed: that raises `StubUsed`, and the dry run starts over with real imports, or says
which package to install.
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
from contextvars import ContextVar
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


class StubUsed(BaseException):
    """The dry run called something of a package that a stub replaces."""

    def __init__(self, package: str, name: str) -> None:
        super().__init__(f"{name} of {package} is a stub")
        self.package = package
        self.name = name


class _StubType(ABCMeta):
    """The class of the classes that a stub module gives."""

    _stub_module: StubModule

    def __getattr__(cls, name: str) -> Any:
        return _attribute(cls, name, cls._stub_module)

    def __getitem__(cls, item: object) -> Any:
        return cls

    # Without this, __getitem__ would make every stub an endless sequence.
    __iter__ = None

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        module = cls._stub_module.__name__
        if issubclass(cls, Warning):
            return super().__call__(*args)
        if not is_importing(sys._getframe(1)):
            raise StubUsed(module, cls.__name__)
        # A decorator leaves what it decorates; anything else made while importing is not used.
        return args[0] if len(args) == 1 and callable(args[0]) and not kwargs else cls


class StubModule(ModuleType):
    """A module that replaces a real one."""

    def __init__(self, name: str, stubs: Stubs) -> None:
        super().__init__(name)
        self.__path__ = []
        self.__all__: list[str] = []
        self._stubs = stubs

    def __getattr__(self, name: str) -> Any:
        return _attribute(self, name, self)


def stubbed_module(value: object) -> str | None:
    """The name of the stub module that a value is or comes from, or None."""
    if isinstance(value, _StubType):
        value = value._stub_module
    return value.__name__ if isinstance(value, StubModule) else None


def _attribute(owner: Any, name: str, module: StubModule) -> Any:
    if name == "__version__":
        return installed_version(module.__name__.partition(".")[0]) or "0.0.0"
    if name.startswith("__"):
        raise AttributeError(f"{module.__name__} has no attribute {name}")
    if not is_importing(sys._getframe(2)):
        module._stubs.used.add(module._stubs.covering(module.__name__) or module.__name__)
    bases = tuple(base for ending, base in _BASES.items() if name.endswith(ending))
    made = _StubType(name, bases, {"__module__": module.__name__, "_stub_module": module})
    setattr(owner, name, made)
    return made


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The finder that puts stubs where real modules would be imported, while it is `installed`.

    It knows what imported modules hold of its stubs, so `current_stubs` hands out the same one to
    the next dry run.
    """

    def __init__(self) -> None:
        #: Modules that are stubbed only to save time.
        self.for_speed: set[str] = set()
        #: Module -> why it can't be used here, as a note says it.
        self.unusable: dict[str, str] = {}
        #: Stubbed modules that were used after their import.
        self.used: set[str] = set()
        #: Stubbed module -> the top-level packages that imported it.
        self.importers: dict[str, set[str]] = defaultdict(set)
        self.guarded = GuardedImports()
        #: The modules that are no user's code: imported before there were stubs for speed.
        self._known: set[str] = set()

    @contextlib.contextmanager
    def installed(self, *, for_speed: bool) -> Iterator[None]:
        """Take part in imports; with `for_speed` for good, and for what is not imported yet."""
        self.used.clear()
        with contextlib.ExitStack() as stack:
            if self not in sys.meta_path:
                if for_speed:
                    self._known = set(sys.modules)
                    self.for_speed = {name for name in FOR_SPEED if name not in sys.modules}
                else:
                    stack.callback(self._remove)
                sys.meta_path.insert(0, self)
                sys.meta_path.append(self.guarded)
            stack.enter_context(self._real_find_spec())
            yield

    def _remove(self) -> None:
        sys.meta_path.remove(self)
        sys.meta_path.remove(self.guarded)
        for name, module in list(sys.modules.items()):
            if isinstance(module, StubModule) and module._stubs is self:
                del sys.modules[name]

    @contextlib.contextmanager
    def _real_find_spec(self) -> Iterator[None]:
        """Answer truly where code asks whether a package is there, instead of importing it.

        mmengine tells mmcv from mmcv-lite so.
        """
        find_spec = importlib.util.find_spec

        def really(name: str, package: str | None = None) -> importlib.machinery.ModuleSpec | None:
            stubbed = self.covering(name)
            if stubbed is None:
                return find_spec(name, package)
            parent, _, _ = stubbed.rpartition(".")
            path = importlib.import_module(parent).__path__ if parent else None
            return importlib.machinery.PathFinder.find_spec(stubbed, path)

        with patched(importlib.util, find_spec=really):
            yield

    def covering(self, module: str) -> str | None:
        """The stubbed module that this one is or belongs to, or None."""
        parts = module.split(".")
        names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        return next((n for n in names if n in self.unusable or n in self.for_speed), None)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The finder protocol of `sys.meta_path`."""
        module = self.covering(fullname)
        if module is None:
            return None
        self.importers[module].add(importer(sys._getframe(1)))
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The loader protocol: the stub."""
        return StubModule(spec.name, self)

    def exec_module(self, module: ModuleType) -> None:
        """The loader protocol: there is nothing to run."""

    def replace_failed(self, error: BaseException) -> bool:
        """Stub the package whose import failed with this error, if that is harmless.

        True means that the import is worth trying again.
        """
        module = missing_module(error) or broken_package(error)
        if module is None or self.covering(module):
            return False
        _forget_half_registered()
        is_missing = isinstance(error, ModuleNotFoundError)
        self.unusable[module] = "is not installed" if is_missing else "is broken here"
        for name in [n for n in sys.modules if n == module or n.startswith(f"{module}.")]:
            del sys.modules[name]
        self.guarded.import_again(module)
        return True

    def missed(self, error: BaseException) -> str | None:
        """The module that library code went on without, and then failed for the lack of; or None.

        As `except ImportError: Head = BaseModule`, and then `Head(num_queries=100)`. What was made
        of it is there by now, so a stub has to be there from the start.
        """
        if not isinstance(error, (TypeError, AttributeError, NameError)):
            return None
        frames = traceback.walk_tb(error.__traceback__)
        names = {frame.f_globals.get("__name__", "") for frame, _ in frames}
        missed = self.guarded.missed_by(names)
        return next((m for m in missed if may_be_missing(m) and not self.covering(m)), None)

    def compiled_operator(self, cls: type) -> type | None:
        """The class, or the base of it, whose compiled part a stub replaces; or None.

        Its module imports the missing part of its own package, as `mmcv.ops.deform_conv` imports
        `mmcv._ext`: mmcv-lite has the one without the other.
        """
        missing = {name for name in self.unusable if "." in name}
        for base in cls.__mro__ if missing else ():
            package = base.__module__.partition(".")[0]
            members = vars(sys.modules.get(base.__module__, type)).values()
            modules = filter(None, set(map(stubbed_module, members)))
            if any(m.startswith(f"{package}.") and self.covering(m) in missing for m in modules):
                return base
        return None

    def real_needed(self, error: LldtoolError | None) -> bool:
        """Whether something that is stubbed only to save time was really used.

        Args:
            error: what the dry run ended in, None where it ended well.
        """
        if not self.for_speed:
            return False
        used, cause = set(self.used), error.__cause__ if error else None
        if isinstance(cause, StubUsed):
            used.add(self.covering(cause.package) or cause.package)
        uncertain = error is not None and not error.certain and _may_have_caused(cause)
        return bool(used & self.for_speed) or uncertain or self._named_by_user_code()

    def forget_uses(self) -> None:
        """Count what is imported by now as library code, and no use of a stub as made yet.

        For a process that is forked many times, each time before any code of the user's runs.
        """
        for module_name, module in list(sys.modules.items()):
            if self.covering(module_name) in self.for_speed:
                for name, value in list(vars(module).items()):
                    if isinstance(value, type) and "_stub_module" in vars(value):
                        delattr(module, name)
        self._known |= sys.modules.keys() - user_modules(self._known).keys()

    def _named_by_user_code(self) -> bool:
        """Whether a module of the user's has the name of a stub in its source.

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

        Not for one that only OpenMMLab packages import which the model does not come from.

        Args:
            packages: the top-level packages that the model and its settings come from.
        """
        missing = dict(self.unusable)
        for name in self.for_speed - missing.keys():
            if "." not in name and not importlib.machinery.PathFinder.find_spec(name):
                missing[name] = "is not installed"
        return [
            f"a stub replaces {name}, which {missing[name]}"
            for name in sorted(missing)
            if self.importers[name] - OPENMMLAB or self.importers[name] & packages
        ]


_CURRENT: ContextVar[Stubs] = ContextVar("stubs")


def current_stubs() -> Stubs:
    """The stubs that are installed in this process, or were by the last dry run; else new ones."""
    installed = next((finder for finder in sys.meta_path if isinstance(finder, Stubs)), None)
    stubs = installed or _CURRENT.get(None) or Stubs()
    _CURRENT.set(stubs)
    return stubs


def real_imports_wanted() -> bool:
    """Whether the user asked for a dry run without the stubs that save time."""
    return os.environ.get("LLDTOOL_REAL_IMPORTS", "") not in ("", "0")


def _may_have_caused(error: BaseException | None) -> bool:
    """Whether code that has a stub at hand took part in what went wrong.

    Or torch, which may lack what was put off or stubbed in its inside.
    """
    return any(
        any(map(stubbed_module, [*frame.f_globals.values(), *frame.f_locals.values()]))
        or (isinstance(one, _LACKS) and frame.f_globals.get("__name__", "").startswith("torch."))
        for one in chain(error)
        for frame, _ in traceback.walk_tb(one.__traceback__)
    )


def _forget_half_registered() -> None:
    """Take back what modules registered whose import then failed; it will be tried again."""
    for registry in registries():
        for name, item in list(registry.module_dict.items()):
            if getattr(item, "__module__", None) not in sys.modules:
                del registry.module_dict[name]

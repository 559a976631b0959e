"""Defer the parts of `import torch` that only meta tensors, compiling and exporting need.

In a torch whose layout is known, these modules run when an attribute of theirs is asked for, when
anything else of torch's insides is imported later, or when `load_deferred` is called, instead of at
`import torch`. Any other torch is imported whole.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import inspect
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from lldtool.dryrun.patching import patched

#: torch releases (without the local part, `+cpu`) in which `import torch` itself uses nothing
#: of these modules. CONTRIBUTING.md says what a new release has to pass.
KNOWN_TORCH = ("2.13.0",)
DEFERRED = ("torch.export", "torch._meta_registrations")
#: Parts of torch that do not rely on what is deferred.
_INDEPENDENT = {"cuda", "distributed", "hub", "multiprocessing", "nn", "optim", "utils"}


class _DeferredModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        _run(self)
        return getattr(self, name)


def _run(module: ModuleType) -> None:
    """Execute a module that was deferred."""
    module.__class__ = ModuleType
    spec = module.__spec__
    assert spec is not None
    assert isinstance(spec.loader, _DeferredLoader)
    spec.loader = module.__loader__ = spec.loader.real
    spec.loader.exec_module(module)


class _DeferredLoader(importlib.abc.Loader):
    def __init__(self, real: importlib.abc.Loader) -> None:
        self.real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _DeferredModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _DeferredFinder(importlib.abc.MetaPathFinder):
    #: Set when `import torch` is through, which itself uses nothing of what is deferred.
    torch_is_imported = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in DEFERRED:
            if self.torch_is_imported and _relies_on_deferred(fullname):
                load_deferred()
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _DeferredLoader(spec.loader)
        return spec


def _relies_on_deferred(name: str) -> bool:
    """Whether a module of torch may expect that `import torch` ran everything."""
    top, *inside = name.split(".")
    if top != "torch" or not inside:
        return False
    return inside[0] not in _INDEPENDENT or any(part.startswith("_") for part in inside)


def import_torch() -> None:
    """Import torch, without the parts that can wait where this torch is a known one."""
    if "torch" in sys.modules:  # asking for its version takes 10 ms
        return
    if importlib.metadata.version("torch").partition("+")[0] not in KNOWN_TORCH:
        importlib.import_module("torch")
        return
    finder = _DeferredFinder()
    sys.meta_path.insert(0, finder)
    # Torch asks for the place of two of its own lines and drops the text there, found in 0.03 s.
    without_text = functools.partial(inspect.getframeinfo, context=0)
    with patched(inspect, getframeinfo=without_text):
        importlib.import_module("torch")
    finder.torch_is_imported = True


def load_deferred() -> None:
    """Run what was deferred, for code that needs it without naming it: meta tensors."""
    for name in reversed(DEFERRED):  # exporting needs the meta registrations
        module = sys.modules.get(name)
        if isinstance(module, _DeferredModule):
            _run(module)

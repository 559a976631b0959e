"""Put off the parts of `import torch` that only meta tensors and exporting need.

In a torch whose layout is known, these modules run when an attribute of theirs or a submodule is
asked for, or when `load` is called, instead of at `import torch`. Any other torch is imported
whole.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from lldtool.dryrun.imports import real_imports_wanted

#: torch releases (without the local part, `+cpu`) in which `import torch` itself uses nothing
#: of these modules. tests/dryrun/test_torch_parts.py is what a new release has to pass.
KNOWN_TORCH = ("2.13.0",)
PUT_OFF = ("torch._meta_registrations", "torch.export")


class _PutOffModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        _run(self)
        return getattr(self, name)


def _run(module: ModuleType) -> None:
    """Execute a module that was put off."""
    module.__class__ = ModuleType
    spec = module.__spec__
    assert spec is not None
    assert isinstance(spec.loader, _PutOffLoader)
    spec.loader = module.__loader__ = spec.loader.real
    spec.loader.exec_module(module)


class _PutOffLoader(importlib.abc.Loader):
    def __init__(self, real: importlib.abc.Loader) -> None:
        self.real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _PutOffModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _PutOffFinder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if isinstance(parent, _PutOffModule):
            _run(parent)
        if fullname not in PUT_OFF:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _PutOffLoader(spec.loader)
        return spec


def install() -> None:
    """Put the parts off from now on, where torch is a known one and not yet imported."""
    if "torch" in sys.modules or real_imports_wanted():
        return
    if importlib.metadata.version("torch").partition("+")[0] in KNOWN_TORCH:
        sys.meta_path.insert(0, _PutOffFinder())


def load() -> None:
    """Run what was put off, for code that needs it without naming it: meta tensors."""
    for name in PUT_OFF:
        module = sys.modules.get(name)
        if isinstance(module, _PutOffModule):
            _run(module)

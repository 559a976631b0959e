"""Build the model that a config describes, without spending time and memory on its values."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from lldtool.dryrun import torch_parts
from lldtool.dryrun.config import describe
from lldtool.dryrun.imports import stand_ins
from lldtool.dryrun.registries import unknown_type
from lldtool.errors import LldtoolError

#: Tensors up to this many elements are initialised all the same: code that builds a model may
#: read a scalar back, and they cost nothing.
INITIALISED_NUMEL = 1024


def build_model(config: Any, device: str) -> Any:
    """Build `config.model` through the registry, its parameters' memory left untouched.

    Args:
        config: an `mmengine.Config` with a `model`.
        device: where the model is moved to, as `Runner` does.

    Returns:
        A `torch.nn.Module`.
    """
    import torch
    from mmengine.registry import MODELS

    model = config.model
    if isinstance(model, dict):
        preprocessor = config.get("data_preprocessor", None)
        if preprocessor is not None:
            model.setdefault("data_preprocessor", preprocessor)
        with without_initialisation():
            model = MODELS.build(model)
    if not isinstance(model, torch.nn.Module):
        raise LldtoolError(f"model builds a {type(model).__name__}, not a torch.nn.Module")
    return model if device == "cpu" else model.to(device)


def require_compiled_operators(model: Any, name: str) -> None:
    """An operator without parameters is never run; one that has some is what the user asks about.

    Raises:
        LldtoolError: the model has such an operator, and its compiled part is not installed.
    """
    owners = (m for m in model.modules() if next(m.parameters(recurse=False), None) is not None)
    for operator in filter(
        None, map(stand_ins.compiled_operator, dict.fromkeys(map(type, owners)))
    ):
        package = operator.__module__.rpartition(".")[0] or operator.__module__
        raise LldtoolError(
            f"the model needs {operator.__name__} of {package}, which is not installed",
            config=name,
            hint=f"pip install {package.partition('.')[0]}",
        )


def default_scope(config: Any) -> tuple[str, str | None]:
    """The registry scope that training uses, and a note where lldtool had to choose it.

    `Runner` falls back to `mmengine`; lldtool takes `mmpretrain` where no scope is given and the
    model's type is registered only there.
    """
    scope = config.get("default_scope", None)
    if scope is not None:
        return str(scope), None
    model = config.get("model", None)
    kind = model.get("type", None) if isinstance(model, dict) else None
    if not isinstance(kind, str) or "." in kind:
        return "mmengine", None
    if not _is_registered(kind, "mmengine") and _is_registered(kind, "mmpretrain"):
        note = f"no default_scope: mmpretrain assumed, where {kind} is found; training needs it"
        return "mmpretrain", note
    return "mmengine", None


def _is_registered(kind: str, scope: str) -> bool:
    import importlib

    from mmengine.registry import MODELS

    if scope != "mmengine":
        try:
            importlib.import_module(f"{scope}.registry")
        except ModuleNotFoundError as error:
            if error.name == scope:
                return False
            raise
    with MODELS.switch_scope_and_registry(scope) as registry:
        registry.import_from_location()
        return kind in registry.module_dict


@contextlib.contextmanager
def without_initialisation() -> Iterator[None]:
    """Turn the filling of large tensors with values into no-ops.

    Parameters keep the untouched memory that `torch.empty` gave them, so that ViT-H takes 0.06 s
    and no memory to speak of. `torch.device("meta")` would break models that read a drop-path
    rate with `.item()`.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    fills = {
        getattr(torch.Tensor, name)
        for name in ("normal_", "uniform_", "random_", "erfinv_", "zero_", "fill_", "exponential_")
    }

    class WithoutInitialisation(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            kwargs = kwargs or {}
            # With keyword arguments torch.nn.init passes the tensor as one of them.
            target = args[0] if args else kwargs.get("tensor")
            if isinstance(target, torch.Tensor) and target.numel() > INITIALISED_NUMEL:
                initialises = getattr(func, "__module__", None) == "torch.nn.init"
                if initialises or (func in fills and isinstance(target, torch.nn.Parameter)):
                    return target
            if str(kwargs.get("device", "")) == "meta":
                torch_parts.load()
            return func(*args, **kwargs)

    with WithoutInitialisation():
        yield


def model_error(error: BaseException, name: str) -> LldtoolError:
    """What went wrong while a model was built, with near names for an unknown type."""
    unknown = unknown_type(error, name)
    if unknown is not None:
        return unknown
    building = _type_being_built(error)
    subject = f"building {building}" if building else "building the model"
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        return LldtoolError(
            f"{subject} needs the package {package!r}, which is not installed", config=name
        )
    return LldtoolError(f"{subject}: {describe(error)}", config=name)


def _type_being_built(error: BaseException) -> str | None:
    """The innermost `type` that mmengine's registry was building; None where it can't be told."""
    found = None
    step = error.__traceback__
    while step is not None:
        frame = step.tb_frame
        if frame.f_code.co_name == "build_from_cfg":
            kind = frame.f_locals.get("obj_type")
            found = kind if isinstance(kind, str) else getattr(kind, "__name__", found)
        step = step.tb_next
    return found

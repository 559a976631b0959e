"""Build the model that a config describes, without spending time and memory on its values."""

from __future__ import annotations

import copy
from typing import Any

from lldtool.config.request import Request
from lldtool.dryrun.auto_scaling import part
from lldtool.dryrun.config_loading import delete_hint
from lldtool.dryrun.import_frames import importing_frames
from lldtool.dryrun.missing_resources import missing_resource
from lldtool.dryrun.registries import chain, describe, needs_package, type_name, unknown_type
from lldtool.dryrun.skip_init import SkipInit
from lldtool.dryrun.stubs import current_stubs
from lldtool.dryrun.uninitialised import UninitialisedReads
from lldtool.errors import LldtoolError


def build_model(config: Any, request: Request) -> tuple[Any, UninitialisedReads]:
    """Build `config.model` through the registry, its parameters' memory left uninitialised.

    A model that reads a value which depends on what was left out is built again with all values; so
    is one whose values the request asks for.

    Args:
        config: an `mmengine.Config` with a `model`.
        request: has the device that the model is moved to, as `Runner` does.

    Returns:
        A `torch.nn.Module`, and what notices that code reads the values that it lacks.

    Raises:
        LldtoolError: the values that the request asks for can't be had.
    """
    import torch
    from mmengine.registry import MODELS

    description = config.model
    preprocessor = config.get("data_preprocessor", None)
    if preprocessor is not None:
        description.setdefault("data_preprocessor", preprocessor)
    skip_init = SkipInit()
    if request.initialised:
        model = _initialised(config, description)
    else:
        try:
            with skip_init.mode():
                model = MODELS.build(copy.deepcopy(description))
        except BaseException:
            if not skip_init.values_matter:
                raise
            skip_init = SkipInit()
            model = MODELS.build(description)
    if not isinstance(model, torch.nn.Module):
        raise LldtoolError(f"model builds a {type(model).__name__}, not a torch.nn.Module")
    model = model if request.device == "cpu" else model.to(request.device)
    reads = UninitialisedReads()
    reads.add(skip_init.parameters)
    return model, reads


def _initialised(config: Any, description: Any) -> Any:
    """The model with the values that it has in training when the optimizer is built.

    `Runner` builds the optimizer before it calls `init_weights`, `FlexibleRunner` after that.
    Source: mmengine 0.10.7 `Runner.train`, `BaseStrategy.prepare`.
    """
    from mmengine.registry import MODELS
    from mmengine.runner import set_random_seed

    seed = part(config, "randomness").get("seed", None)
    if seed is not None:
        set_random_seed(seed)
    model = MODELS.build(description)
    if is_flexible(config) and hasattr(model, "init_weights"):
        try:
            model.init_weights()
        except Exception as error:
            raise LldtoolError(
                "the constructor reads the parameters' values, and they can't be had: "
                f"init_weights failed with {describe(error)}"
            ) from error
    return model


def is_flexible(config: Any) -> bool:
    """Whether training uses mmengine's FlexibleRunner."""
    named = type_name(config.get("runner_type", None) or "Runner")
    return named == "FlexibleRunner" or config.get("strategy", None) is not None


def require_compiled_operators(model: Any, name: str) -> None:
    """An operator without parameters is never run; one that has some is what the user asks about.

    Raises:
        LldtoolError: the model has such an operator, and its compiled part is not installed.
    """
    stubs = current_stubs()
    owners = (m for m in model.modules() if next(m.parameters(recurse=False), None) is not None)
    for operator in filter(None, map(stubs.compiled_operator, dict.fromkeys(map(type, owners)))):
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


def require_device(device: str) -> None:
    """Check `--device`.

    Raises:
        LldtoolError: there is no such device here.
    """
    import torch

    if device == "cpu":
        return
    try:
        kind = torch.device(device)
    except RuntimeError as error:
        raise LldtoolError(f"--device {device}: {str(error).splitlines()[0]}") from None
    if kind.type != "cuda":
        raise LldtoolError(f"--device {device}: cpu, cuda or cuda:N is known")
    if not torch.cuda.is_available():
        build = "finds no GPU" if torch.version.cuda else "is a build without CUDA"
        raise LldtoolError(f"--device {device}: this torch {torch.__version__} {build}")
    if (kind.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise LldtoolError(f"--device {device}: there are {count} GPUs, counted from 0")


def model_error(error: BaseException, name: str) -> LldtoolError:
    """What went wrong while a model was built, with near names for an unknown type."""
    unknown = unknown_type(error, name)
    if unknown is not None:
        return unknown
    building = _type_being_built(error)
    subject = f"building {building}" if building else "building the model"
    lacking_package = needs_package(error, subject)
    if lacking_package is not None:
        return lacking_package
    imported = importing_frames(error.__traceback__)[:1]
    if imported:
        package = imported[0].f_globals["__name__"].partition(".")[0]
        text = f"the package {package!r} does not import: {describe(error)}"
        return LldtoolError(text, config=name, certain=False)
    lacking = missing_resource(error)
    if lacking is not None:
        text = f"{subject} {lacking}: {describe(error)}"
        return LldtoolError(text, config=name, certain=False)
    *_, first = chain(error)
    is_missing = isinstance(first, FileNotFoundError) and first is not error
    hint = describe(first) if is_missing else delete_hint(error)
    return LldtoolError(f"{subject}: {describe(error)}", config=name, hint=hint, certain=False)


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

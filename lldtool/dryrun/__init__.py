"""Config -> Plan: load the config, build the model, run its constructor, read the param groups.

The only package that imports torch and OpenMMLab, and it does so inside `dry_run`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from lldtool.dryrun import package_lookup, torch_parts
from lldtool.dryrun.imports import OPENMMLAB, StandInUsed, real_imports_wanted, stand_ins
from lldtool.dryrun.registries import chain
from lldtool.dryrun.start_over import start_over
from lldtool.dryrun.surroundings import shielded
from lldtool.errors import LldtoolError
from lldtool.plan import Constructor, Model, OptimWrapper, Parameter, Plan
from lldtool.request import Request
from lldtool.versions import installed_version, lldtool_version, package_versions


def dry_run(request: Request) -> Plan:
    """What the config's optimizer will do to every parameter of its model.

    Raises:
        LldtoolError: the config can't be read, its model can't be built, or its constructor
            raises. The original exception is its `__cause__`.
    """
    for package in ("torch", "mmengine"):
        if installed_version(package) is None:
            hint = f"pip install {package}"
            raise LldtoolError(f"a dry run needs {package}", config=request.name, hint=hint)
    hosts: list[str] = []
    folders = (request.path.parent.absolute(), Path.cwd())
    for_speed = request.own_process and not real_imports_wanted()
    try:
        with (
            shielded(folders, None if request.allow_network else hosts),
            stand_ins.installed(for_speed=for_speed),
            package_lookup.installed(for_speed=for_speed),
            _working_directory(),
        ):
            if for_speed:
                torch_parts.import_torch()
            plan = _standing_in_for_need(request)
    except LldtoolError as error:
        if stand_ins.needed_for_real(error.__cause__):
            return start_over(request)
        if hosts:
            raise _download_error(error, hosts[0]) from error.__cause__
        raise
    return start_over(request) if stand_ins.needed_for_real(None) else plan


def _standing_in_for_need(request: Request) -> Plan:
    """Try again for every package that library code imports and that is missing or broken."""
    while True:
        stand_ins.touched.clear()
        try:
            return _one_try(request)
        except LldtoolError as error:
            cause = error.__cause__
            if isinstance(cause, StandInUsed):
                raise _needed_package_error(cause, request.name) from cause
            if not any(stand_ins.stand_in_for(one) for one in chain(cause)):
                raise


def _one_try(request: Request) -> Plan:
    from lldtool.dryrun import config as configs
    from lldtool.dryrun import constructor, groups, model
    from lldtool.dryrun.registries import type_name

    name = request.name
    overrides = configs.overrides(request.cfg_options)
    with _explained(lambda error: configs.config_error(error, request.path, name)):
        config = configs.load_config(request.path, overrides)
    configs.require_training_settings(config, name)

    with _explained(lambda error: model.model_error(error, name)):
        _check_device(request.device)
        scope, scope_note = model.default_scope(config)
        _import_scope(scope, name)
        from mmengine.registry import DefaultScope

        with DefaultScope.overwrite_default_scope(scope):
            built = model.build_model(config, request.device)
            wrapper_config = config.optim_wrapper
            with _explained(lambda e: constructor.constructor_error(e, wrapper_config, name)):
                optimizers, wrapper_notes = constructor.build_optimizers(built, wrapper_config)
                optimizer = configs.optimizer_header(wrapper_config)
                parameters, frozen, left_out = groups.read_parameters(
                    built, optimizers, optimizer.lr
                )

    parameters, scale_note = _scaled(parameters, config, request)
    paramwise_cfg = groups.plain(wrapper_config.get("paramwise_cfg", None) or {})
    constructor_type = type_name(
        wrapper_config.get("constructor", None) or "DefaultOptimWrapperConstructor"
    )
    notes = [scope_note, *stand_ins.notes(), *wrapper_notes, scale_note]
    if package_lookup.is_missing():
        notes.append("pkg_resources is missing, training may need it: pip install 'setuptools<81'")
    if not paramwise_cfg and constructor_type != "DefaultOptimWrapperConstructor":
        notes.append(f"paramwise_cfg is empty: {constructor_type} did nothing")
    return Plan(
        config=name,
        model=Model(type(built).__name__, _backbone(built)),
        optim_wrapper=OptimWrapper(type_name(wrapper_config.get("type", None) or "OptimWrapper")),
        optimizer=optimizer,
        constructor=Constructor(constructor_type, paramwise_cfg),
        parameters=parameters,
        frozen=frozen,
        left_out=left_out,
        notes=tuple(note for note in notes if note),
        versions=package_versions(),
        lldtool_version=lldtool_version(),
    )


def _backbone(model: Any) -> str | None:
    backbone = getattr(model, "backbone", None)
    return None if backbone is None else type(backbone).__name__


def _check_device(device: str) -> None:
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


def _import_scope(scope: str, name: str) -> None:
    """Import the scope's package, which mmengine would do without a word about a failure."""
    try:
        importlib.import_module(f"{scope}.registry")
    except ModuleNotFoundError as error:
        if error.name not in (scope, f"{scope}.registry"):
            raise
        if scope in OPENMMLAB:
            raise LldtoolError(
                f"the package {scope!r} of default_scope is not installed", config=name
            ) from error


def _scaled(
    parameters: tuple[Parameter, ...], config: Any, request: Request
) -> tuple[tuple[Parameter, ...], str | None]:
    """The parameters with every lr as `Runner.scale_lr` leaves it, and a note on it."""
    settings = config.get("auto_scale_lr", None) or {}
    enabled = bool(settings.get("enable", False))
    if not enabled and not request.auto_scale_lr:
        return parameters, None
    base, batch = settings.get("base_batch_size", None), _train_batch_size(config)
    if base is None or batch is None:
        missing = "auto_scale_lr.base_batch_size" if base is None else "train_dataloader.batch_size"
        if not request.auto_scale_lr:
            return parameters, f"auto_scale_lr is enabled, but there is no {missing}"
        raise LldtoolError(f"--auto-scale-lr needs {missing}", config=request.name)
    if not request.auto_scale_lr and request.world_size is None:
        return parameters, (
            f"auto_scale_lr is enabled: training multiplies every lr by GPUs × {batch} ÷ {base}; "
            "--world-size N shows it"
        )
    world_size = request.world_size or 1
    # In the order in which mmengine's Runner computes it, for the same float.
    ratio = float(world_size * batch) / float(base)
    scaled = tuple(p if p.lr is None else replace(p, lr=p.lr * ratio) for p in parameters)
    return scaled, f"auto_scale_lr: every lr × {world_size} × {batch} ÷ {base} = × {ratio:g}"


def _train_batch_size(config: Any) -> int | None:
    loader = config.get("train_dataloader", None) or {}
    size = loader.get("batch_size", None)
    return size if isinstance(size, int) else None


def _needed_package_error(used: StandInUsed, name: str) -> LldtoolError:
    module = stand_ins.covers(used.package) or used.package
    state = stand_ins.for_need.get(module, "is not installed")
    return LldtoolError(f"the model needs {used.name} of {module}, which {state}", config=name)


def _download_error(error: LldtoolError, host: str) -> LldtoolError:
    return LldtoolError(
        f"tried to download from {host} while it was built: {error.message}",
        config=error.config,
        hint="--allow-network permits it",
    )


@contextlib.contextmanager
def _explained(translate: Callable[[BaseException], LldtoolError]) -> Iterator[None]:
    """Whatever is raised inside, a config's `sys.exit` too, becomes an error in its terms."""
    try:
        yield
    except (LldtoolError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise translate(error) from error


@contextlib.contextmanager
def _working_directory() -> Iterator[None]:
    """Find a project's own modules as `python train.py` beside them does, but last."""
    here = str(Path.cwd())
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)

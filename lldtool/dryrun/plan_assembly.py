"""A training's config and what its constructor made -> the plan, with reasons and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lldtool.config.request import Checkout, Request
from lldtool.dryrun import config_loading as configs
from lldtool.dryrun import package_lookup
from lldtool.dryrun.auto_scaling import auto_scale, part, scaled
from lldtool.dryrun.checkpoints import missing_note
from lldtool.dryrun.construction import Construction, is_repeatable
from lldtool.dryrun.constructor_errors import constructor_error
from lldtool.dryrun.import_frames import user_modules
from lldtool.dryrun.isolation import blocked_hosts
from lldtool.dryrun.legacy_options import legacy_options
from lldtool.dryrun.lr_hooks import unfollowed_hooks
from lldtool.dryrun.optimizers import constructor_class
from lldtool.dryrun.param_groups import plain
from lldtool.dryrun.reason_checks import with_checked_reasons
from lldtool.dryrun.registries import type_name
from lldtool.dryrun.resume_note import resume_note
from lldtool.dryrun.runners import unfollowed
from lldtool.dryrun.schedules import schedule_of
from lldtool.dryrun.settings_at_step import at_step
from lldtool.dryrun.stubs import current_stubs
from lldtool.dryrun.tracing import with_reasons
from lldtool.errors import LldtoolError, translated
from lldtool.plan import Constructor, Optimizer, OptimWrapper, Parameter, Plan, UntrainedParameter
from lldtool.versions import lldtool_version, package_versions

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training


def plan_of(training: Training, *, explained: bool) -> Plan:
    """The plan of a training; arguments and errors as `Training.plan`."""
    config, request = training.config, training.request
    wrapper = config.optim_wrapper
    with translated(lambda error: constructor_error(error, wrapper, request.name)):
        kind, is_trusted = constructor_class(wrapper), is_repeatable(wrapper)
    made = training.run_first(wrapper, is_watched=is_trusted, is_traced=explained)
    parameters, reads = made.parameters, made.reads
    if not is_trusted and explained:
        reads = _options_read(training, made)
    frozen = _frozen_with_layers(training, made)
    if made.traces is not None:
        parameters = with_reasons(parameters, made.traces)
        if not (is_trusted or _gives_base_settings(wrapper, kind)):
            parameters = with_checked_reasons(parameters, training, reads or ())
    starts = training.starts
    optimizer = configs.optimizer_header(wrapper)
    ratio, scale_note = auto_scale(config, request)
    scaled_parameters = tuple(starts.of(scaled(p, ratio)) for p in parameters)
    name = type_name(wrapper.get("constructor", None) or "DefaultOptimWrapperConstructor")
    bases = tuple(cls.__name__ for cls in kind.__mro__[1:-1])
    options = plain(wrapper.get("paramwise_cfg", None) or {})
    header = Constructor(name, options, bases, reads)
    notes: list[str | None] = [
        *training.notes,
        *map(missing_note, training.checkpoints.missing),
        *current_stubs().notes(_packages(training.model, kind)),
        package_lookup.note(),
        *made.notes,
        *unfollowed(config),
        *unfollowed_hooks(config),
        scale_note,
        *starts.notes,
        resume_note(config, request),
        _values_note(config, request),
        _no_effect_note(header, parameters, optimizer),
        _network_note(),
        _checkout_note(request.checkout),
    ]
    schedule = schedule_of(training, scaled_parameters)
    if request.at is not None:
        scaled_parameters = at_step(training, scaled_parameters, request.at)
    return Plan(
        config=request.name,
        model=made.model,
        optim_wrapper=OptimWrapper(
            type_name(wrapper.get("type", None) or "OptimWrapper"), made.wrapper_options
        ),
        optimizer=replace(
            optimizer, options=made.optimizer_options, group_entries=made.group_entries
        ),
        constructor=header,
        parameters=scaled_parameters,
        frozen=tuple(map(starts.of, frozen)),
        left_out=tuple(map(starts.of, made.left_out)),
        notes=tuple(n for n in notes if n),
        param_scheduler=_schedulers(config.get("param_scheduler", None)),
        auto_scale_lr=ratio,
        schedule=schedule,
        legacy_options=legacy_options(config, request),
        buffers=starts.buffers,
        loaded=starts.loaded,
        step=request.at,
        versions=package_versions(),
        lldtool_version=lldtool_version(),
    )


def _options_read(training: Training, made: Construction) -> tuple[str, ...] | None:
    """The options that the constructor reads; None where it does otherwise when watched."""
    try:
        watched = training.run_again(training.config.optim_wrapper, is_watched=True)
    except LldtoolError:
        return None
    return watched.reads if watched.parameters == made.parameters else None


def _frozen_with_layers(training: Training, made: Construction) -> tuple[UntrainedParameter, ...]:
    """The frozen parameters with the layers that the constructor puts them in if not frozen."""
    has_layers = any(p.layer_id is not None for p in made.parameters)
    if not made.frozen or training.is_trial or not has_layers:
        return made.frozen
    names = [p.name for p in made.frozen]
    try:
        unfrozen = training.run_again(training.config.optim_wrapper, unfrozen=names)
    except LldtoolError:  # of a constructor that can't take all of them
        return made.frozen
    layers = {p.name: p.layer_id for p in unfrozen.parameters}
    return tuple(replace(p, layer_id=layers.get(p.name)) for p in made.frozen)


def _gives_base_settings(wrapper: Any, kind: type) -> bool:
    """Whether mmengine's own `__call__` runs, and gives all parameters the base settings."""
    module = getattr(kind.__call__, "__module__", "")
    is_mmengines = module == "mmengine.optim.optimizer.default_constructor"
    return is_mmengines and not wrapper.get("paramwise_cfg", None)


def _schedulers(configured: Any) -> Any:
    """`param_scheduler` as a plan has it: one, several, or some for each of several optimizers."""
    content = plain(configured)
    if isinstance(content, list):
        return tuple(content)
    return content if isinstance(content, dict) and content else None


def _values_note(config: Any, request: Request) -> str | None:
    """That settings depend on values, and whether these are the same in every run."""
    if not request.initialised:
        return None
    seed = part(config, "randomness").get("seed", None)
    which = "the config sets no seed, so settings vary from run to run"
    if seed is not None:
        which = f"these are those of seed {seed} on a CPU"
    return f"the constructor goes by initial values or random numbers; {which}"


def _no_effect_note(
    header: Constructor, parameters: Sequence[Parameter], optimizer: Optimizer
) -> str | None:
    """That a special constructor was chosen and has no options, so all settings are the base's."""
    if header.paramwise_cfg or header.type == "DefaultOptimWrapperConstructor":
        return None
    settings = {(p.lr, p.weight_decay) for p in parameters}
    if len(settings) > 1 or any(lr != optimizer.lr for lr, _ in settings):
        return None
    return f"paramwise_cfg is empty: {header.type} did nothing"


def _network_note() -> str | None:
    """A model that could not download may have been built another way than in training."""
    hosts = blocked_hosts()
    if not hosts:
        return None
    return f"code tried to reach {hosts[0]}; with --allow-network it may do something else"


def _checkout_note(checkout: Checkout | None) -> str | None:
    """A package that is installed in place is found in the working tree, whatever the revision."""
    if checkout is None:
        return None
    found = {
        name.partition(".")[0]
        for name, file in user_modules(()).items()
        if Path(file).is_relative_to(checkout.top)
    }
    names = ", ".join(sorted(found))
    return (
        f"{names}: installed in place, the working tree's and not the revision's" if found else None
    )


def _packages(model: Any, constructor: type) -> set[str]:
    """The top-level packages that a model's modules and its constructor come from."""
    classes = [cls for m in model.modules() for cls in type(m).__mro__]
    return {cls.__module__.partition(".")[0] for cls in (*classes, *constructor.__mro__)}

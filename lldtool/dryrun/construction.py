"""One run of the constructor -> plain data that can leave the process in which it ran."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lldtool.dryrun import config_loading as configs
from lldtool.dryrun.constructor_errors import construction_error
from lldtool.dryrun.group_entries import mentioned
from lldtool.dryrun.import_frames import is_library_file
from lldtool.dryrun.optimizers import Built, build_optimizers, constructor_class
from lldtool.dryrun.options_read import WatchedOptions
from lldtool.dryrun.param_groups import foreign_parameters, other_defaults, plain, read_parameters
from lldtool.dryrun.runners import build_of
from lldtool.dryrun.tracing import Setup, Trace, has_builtin_tracer, traced
from lldtool.dryrun.uninitialised import random_state
from lldtool.dryrun.zero_lr import raised_groups
from lldtool.errors import translated
from lldtool.plan import Model, Parameter, UntrainedParameter

if TYPE_CHECKING:
    from lldtool.dryrun.training import Training


@dataclass(frozen=True)
class Construction:
    """What the constructor made of a model's parameters.

    `traces` are what a tracer's rules give, None where there is no tracer or it was not asked for.
    `reads` are the options that the constructor read; None where that was not seen. `read_value` is
    what handed a value to Python that depends on how the model is initialised, or None: an operator
    on what is not initialised, or `random numbers`.
    """

    model: Model
    parameters: tuple[Parameter, ...]
    frozen: tuple[UntrainedParameter, ...]
    left_out: tuple[UntrainedParameter, ...]
    wrapper_options: dict[str, Any]
    optimizer_options: dict[str, Any]
    group_entries: tuple[str, ...]
    reads: tuple[str, ...] | None
    traces: Mapping[str, Trace] | None
    notes: tuple[str, ...]
    read_value: str | None

    @functools.cached_property
    def by_name(self) -> Mapping[str, Parameter]:
        """Name -> parameter."""
        return {p.name: p for p in self.parameters}


def construct(
    training: Training,
    wrapper: Any,
    *,
    is_watched: bool = False,
    is_traced: bool = False,
    unfrozen: Sequence[str] = (),
) -> Construction:
    """Run the constructor on a training's model and read what came out.

    Args:
        training: whose model and config.
        wrapper: the `optim_wrapper`; the config's own, or one to try.
        is_watched: give the constructor options that tell which of them it reads.
        is_traced: recompute the settings by the rules of the constructor, if they are known.
        unfrozen: names of frozen parameters that are to be trained.

    Raises:
        ConstructorError: the constructor raised, and training would.
        LldtoolError: it can't be told what the optimizers hold.
    """
    watched = WatchedOptions() if is_watched else None
    model, reads = training.model, training.uninitialised
    drawn = random_state()
    with reads.watching(), _unfrozen(model, unfrozen):
        with translated(lambda error: construction_error(training, error, wrapper, watched)):
            build = build_of(training.config)
            built = build_optimizers(model, wrapper, build, watched)
        header = configs.optimizer_header(wrapper)
        parameters, frozen, left_out = read_parameters(
            model, built.optimizers, header.lr, training.traits
        )
        parameters = _with_states(training, built, parameters)
        traces, trace_note = None, None
        if is_traced and len(built.optimizers) == 1:
            setup = Setup(
                model=model,
                paramwise_cfg=wrapper.get("paramwise_cfg", None) or {},
                base_lr=header.lr,
                base_weight_decay=header.weight_decay,
                defaults=next(iter(built.optimizers.values())).defaults,
                parameters=parameters,
            )
            traces, trace_note = traced(constructor_class(wrapper), setup)
    count = foreign_parameters(model, built.optimizers)
    foreign = f"{count} tensors in param groups are no parameters of the model" if count else None
    return Construction(
        model=training.header,
        parameters=parameters,
        frozen=frozen,
        left_out=left_out,
        wrapper_options=plain(built.wrapper_options),
        optimizer_options=other_defaults(built.optimizers),
        group_entries=mentioned(training.config, built.wrappers, parameters, header.lr),
        reads=watched.read if watched is not None else None,
        traces=traces,
        notes=tuple(filter(None, (*built.notes, foreign, trace_note))),
        read_value=reads.first or ("random numbers" if random_state() != drawn else None),
    )


def is_repeatable(wrapper: Any) -> bool:
    """Whether a second run of the constructor on the same model gives the same as the first.

    Those that lldtool has rules for keep nothing; anything else may.
    """
    kind = constructor_class(wrapper)
    return has_builtin_tracer(kind) and _is_as_published(kind)


def _is_as_published(kind: type) -> bool:
    """Whether all methods of a class and its bases are those of the modules that define them."""
    return all(
        method.__module__ == cls.__module__
        for cls in kind.__mro__
        for method in vars(cls).values()
        if inspect.isfunction(method)
    )


def _with_states(
    training: Training, built: Built, parameters: tuple[Parameter, ...]
) -> tuple[Parameter, ...]:
    """The parameters with lr 0 that a scheduler raises are trained."""
    if all(p.state != "zero_lr" for p in parameters):
        return parameters
    raised = raised_groups(training.config, training.request, built.wrappers)
    return tuple(
        replace(p, state="trained") if p.state == "zero_lr" and p.group in raised else p
        for p in parameters
    )


@contextlib.contextmanager
def _unfrozen(model: Any, names: Sequence[str]) -> Iterator[None]:
    """Let frozen parameters require a gradient."""
    tensors = dict(model.named_parameters()) if names else {}
    changed = [tensors[name] for name in names if tensors[name].is_floating_point()]
    try:
        for tensor in changed:
            tensor.requires_grad_(True)
        yield
    finally:
        for tensor in changed:
            tensor.requires_grad_(False)


def has_user_code(model: Any) -> bool:
    """Whether a class of the model's modules is defined in a module that is no library's."""
    modules = {cls.__module__ for m in model.modules() for cls in type(m).__mro__}
    files = ((name, getattr(sys.modules.get(name), "__file__", None)) for name in modules)
    return any(isinstance(file, str) and not is_library_file(name, file) for name, file in files)

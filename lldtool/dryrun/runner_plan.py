"""A Runner that is about to train -> a plan with the settings that its optimizer holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from lldtool.dryrun.auto_scaling import scale_factor, train_batch_size
from lldtool.dryrun.param_groups import model_header, other_defaults, read_parameters
from lldtool.dryrun.parameter_traits import training_traits
from lldtool.errors import LldtoolError
from lldtool.plan import Constructor, Optimizer, OptimWrapper, Plan


@dataclass(frozen=True)
class _AtFirst:
    """An optimizer with the param groups before the schedulers' first step."""

    param_groups: list[dict[str, Any]]
    defaults: dict[str, Any]


def plan_of_runner(runner: Any, *, is_resumed: bool = False) -> Plan:
    """Return a plan with the settings that `auto_scale_lr` and a checkpoint left in the optimizer.

    A scheduler changes a setting as soon as it is built; the group keeps the value before that as
    `initial_lr` and the like, unless the scheduler replaces it (`replaced_lrs`).

    Args:
        runner: an `mmengine.Runner` with a built optimizer.
        is_resumed: return the settings of the next step, whatever they were before the first.

    Raises:
        LldtoolError: the optimizer holds tensors other than the model's parameters, for example
            because these are sharded.
    """
    from mmengine.model import is_model_wrapper
    from mmengine.optim import OptimWrapperDict

    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    wrapper = runner.optim_wrapper
    wrappers = dict(wrapper.items()) if isinstance(wrapper, OptimWrapperDict) else {"": wrapper}
    built = {name: one.optimizer for name, one in wrappers.items()}
    optimizers = built if is_resumed else {name: _at_first(one) for name, one in built.items()}
    kinds = {name: type(one).__name__ for name, one in built.items()}
    defaults = optimizers[""].defaults if "" in optimizers else {}
    optimizer = Optimizer(
        ", ".join(f"{name}: {kind}" if name else kind for name, kind in kinds.items()),
        defaults.get("lr"),
        defaults.get("weight_decay"),
        other_defaults(built),
    )
    traits = training_traits(model)
    trained, frozen, left_out = read_parameters(model, optimizers, optimizer.lr, traits)
    if not trained:
        raise LldtoolError("the optimizer holds none of the model's parameters: are they sharded?")
    wrapped = [f"{path}.module" for path, part in model.named_modules() if is_model_wrapper(part)]
    return Plan(
        config="the running training",
        model=model_header(model),
        optim_wrapper=OptimWrapper(type(next(iter(wrappers.values()))).__name__),
        optimizer=optimizer,
        constructor=Constructor(""),
        parameters=tuple(replace(p, name=_unwrapped(p.name, wrapped)) for p in trained),
        frozen=tuple(replace(p, name=_unwrapped(p.name, wrapped)) for p in frozen),
        left_out=tuple(replace(p, name=_unwrapped(p.name, wrapped)) for p in left_out),
        auto_scale_lr=_scale_factor(runner),
    )


def _unwrapped(name: str, wrapped: Iterable[str]) -> str:
    """Return a parameter's name without wrappers around single modules, as several optimizers use.

    https://mmengine.readthedocs.io/en/latest/api/generated/mmengine.model.MMSeparateDistributedDataParallel.html
    """
    for path in wrapped:
        if name.startswith(f"{path}."):
            return path.removesuffix("module") + name[len(path) + 1 :]
    return name


def _scale_factor(runner: Any) -> float:
    """Return the factor by which `auto_scale_lr` multiplied every lr."""
    batch_size = getattr(runner.train_dataloader, "batch_size", None)
    if batch_size is None:  # the batch sampler has it
        batch_size = train_batch_size(runner.cfg)
    settings = getattr(runner, "auto_scale_lr", None)
    return 1.0 if batch_size is None else scale_factor(settings, batch_size, runner.world_size)


def replaced_lrs(runner: Any) -> bool:
    """Whether a scheduler replaced the lrs of the groups, so that the earlier ones are lost.

    mmengine's `OneCycleLR` does, and adds a `max_lr`.
    """
    groups = runner.optim_wrapper.param_groups
    several = groups.values() if isinstance(groups, dict) else [groups]
    return any("max_lr" in group for one in several for group in one)


def _at_first(optimizer: Any) -> _AtFirst:
    groups = [
        {key: group.get(f"initial_{key}", group[key]) for key in group}
        for group in optimizer.param_groups
    ]
    return _AtFirst(groups, optimizer.defaults)

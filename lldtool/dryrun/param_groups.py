"""Param groups of real optimizers -> the parameters of a plan."""

from __future__ import annotations

import contextlib
import math
import numbers
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from lldtool.dryrun.registries import type_name
from lldtool.dryrun.skip_init import is_lazy
from lldtool.errors import LldtoolError
from lldtool.plan import LayerId, Model, Parameter, UntrainedParameter
from lldtool.plan.backbones import backbones_of
from lldtool.plan.param_groups import extra_entries, layer_id_of, lr_ratio

#: The parameters in some group, the frozen ones in none, and the rest.
ParametersRead = tuple[
    tuple[Parameter, ...], tuple[UntrainedParameter, ...], tuple[UntrainedParameter, ...]
]


def read_parameters(
    model: Any,
    optimizers: Mapping[str, Any],
    base_lr: float | None,
    traits: Mapping[str, tuple[str, ...]],
) -> ParametersRead:
    """Every parameter of the model with the settings of the group that it is in.

    Args:
        model: a `torch.nn.Module`.
        optimizers: name -> `torch.optim.Optimizer`, as the constructor built them.
        base_lr: `optim_wrapper.optimizer.lr`, for the lr_scale of groups that carry none.
        traits: parameter name -> traits.

    Returns:
        The parameters in some group, those in none that need no gradient, and the rest; each in
        the order of `model.named_parameters()`. One that two optimizers have is there twice.

    Raises:
        LldtoolError: the settings of a parameter can't be told.
    """
    # mmengine's own kind of dict makes up a value anew each time that it is asked for.
    groups = [(key, dict(g.items())) for key, o in optimizers.items() for g in o.param_groups]
    places: dict[int, list[int]] = defaultdict(list)  # tensor -> the groups that it is in
    for index, (key, group) in enumerate(groups):
        for p in group["params"]:
            if any(groups[other][0] == key for other in places[id(p)]):
                raise LldtoolError("a parameter is twice in the groups of one optimizer")
            places[id(p)].append(index)
    types = {
        f"{path}.{name}" if path else name: type(module).__name__
        for path, module in model.named_modules()
        for name, _ in module.named_parameters(recurse=False)
    }
    trained: list[Parameter] = []
    frozen: list[UntrainedParameter] = []
    left_out: list[UntrainedParameter] = []
    for name, tensor in model.named_parameters():
        if id(tensor) not in places:
            own = traits.get(name, ())
            rest = UntrainedParameter(name, _shape(tensor), numel_of(tensor), traits=own)
            (left_out if tensor.requires_grad else frozen).append(rest)
        for index in places.get(id(tensor), ()):
            key, group = groups[index]
            defaults = optimizers[key].defaults
            lr, base = setting_of(group, "lr"), setting_of(defaults, "lr") if key else base_lr
            scale = setting_of(group, "lr_scale") if "lr_scale" in group else lr_ratio(lr, base)
            trained.append(
                Parameter(
                    name=name,
                    shape=_shape(tensor),
                    numel=numel_of(tensor),
                    dtype=str(tensor.dtype).removeprefix("torch."),
                    module_type=types.get(name, ""),
                    layer_id=_layer_id(group),
                    lr=lr,
                    lr_scale=scale,
                    weight_decay=setting_of(group, "weight_decay"),
                    group=index,
                    extras=_extras(group, defaults),
                    traits=traits.get(name, ()),
                    optimizer=key or None,
                )
            )
    return tuple(trained), tuple(frozen), tuple(left_out)


def model_header(model: Any) -> Model:
    """What a plan says of the model as a whole."""
    backbones = backbones_of(name for name, _ in model.named_parameters())
    modules = [model.get_submodule(name) for name in backbones if name]
    trained = (m for m in modules if any(p.requires_grad for p in m.parameters()))
    first = next(trained, modules[0] if modules else None)
    return Model(
        type=type(model).__name__,
        backbone=None if first is None else type(first).__name__,
        numel=sum(numel_of(p) for p in model.parameters()),
        backbone_numel=None if first is None else sum(numel_of(p) for p in first.parameters()),
        backbones=backbones,
    )


def foreign_parameters(model: Any, optimizers: Mapping[str, Any]) -> int:
    """How many tensors of the param groups are no parameters of the model."""
    own = {id(p) for p in model.parameters()}
    groups = [g for o in optimizers.values() for g in o.param_groups]
    return sum(id(p) not in own for g in groups for p in g["params"])


def other_defaults(optimizers: Mapping[str, Any]) -> dict[str, Any]:
    """What the optimizer does beside lr and weight decay; of several, all by their keys."""
    if "" in optimizers:
        defaults = optimizers[""].defaults.items()
        return {k: plain(v) for k, v in defaults if k not in ("lr", "weight_decay")}
    return {
        key: {"type": type(one).__name__, **{k: plain(v) for k, v in one.defaults.items()}}
        for key, one in optimizers.items()
    }


def plain(value: Any) -> Any:
    """A config's value as JSON can hold it: numbers, strings, lists, dicts; the rest by name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Mapping):
        # mmengine notes the scope of a base from another package, and takes it out to build.
        return {str(key): plain(value[key]) for key in value if key != "_scope_"}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    named = isinstance(value, type) or hasattr(value, "__name__")
    return type_name(value) if named else str(value)


def _shape(tensor: Any) -> tuple[int, ...]:
    """The shape; () for a lazy parameter, which has none yet."""
    return () if is_lazy(tensor) else tuple(tensor.shape)


def numel_of(tensor: Any) -> int:
    """How many elements a parameter has; 0 for a lazy one."""
    return 0 if is_lazy(tensor) else int(tensor.numel())


def setting_of(group: Mapping[str, Any], setting: str) -> float | None:
    """A setting as a float; an lr may be a tensor of one element.

    Raises:
        LldtoolError: it is no number; torch's optimizers calculate with no text.
    """
    value = group.get(setting)
    if isinstance(value, str) and setting != "lr_scale":  # torch never reads that one
        raise LldtoolError(f"the {setting} of a param group is the text {value!r:.80}")
    try:
        number = None if value is None else float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise LldtoolError(f"the {setting} of a param group is no number: {value!r:.80}") from error
    return math.nan if number != number else number  # one NaN for all, which equals itself


def _layer_id(group: Mapping[str, Any]) -> LayerId | None:
    """Return the layer of a group; its id may be a number of numpy's or a tensor."""
    if "layer_id" not in group:
        return layer_id_of(group)
    layer_id = group["layer_id"]
    with contextlib.suppress(TypeError, ValueError, RuntimeError):
        layer_id = layer_id.item() if hasattr(layer_id, "item") else layer_id
    return layer_id_of({"layer_id": plain(layer_id)})


def _extras(group: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the group's entries that are neither settings nor the optimizer's defaults."""
    return {k: plain(v) for k, v in extra_entries(group, defaults).items()}

"""A checkpoint's optimizers -> their param groups, each with the names of its parameters.

mmpretrain's constructor writes `param_name` into its groups, mmdet's and mmseg's `param_names`.
mmengine's own writes none: the names are then those that a dry run of the same config puts in the
same places, or those of the tensors in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from lldtool.checkpoint.contents import Checkpoint, TensorInfo
from lldtool.errors import LldtoolError
from lldtool.plan import Plan
from lldtool.text import plural, quoted, shape

#: Where the names of the parameters are from.
NamesFrom = Literal["groups", "config", "order"]
#: Endings of the names of buffers of normalization layers.
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_NOT_TRAINABLE = ("int", "uint", "bool")
#: States of torch's optimizers that have the shape of their parameter.
_STATES = (
    "exp_avg", "momentum_buffer", "exp_avg_sq", "square_avg", "sum", "exp_inf", "acc_delta", "prev"
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """A param group: `names` are those of its parameters, in its order.

    `optimizer` is the key of its optimizer, None where there is one. `base` holds the optimizer's
    own defaults, as far as the checkpoint has them. `shapes` are those of the parameters' states,
    None of one that has no state with a shape; `has_state` tells which have any.
    """

    optimizer: str | None
    entries: Mapping[str, Any]
    base: Mapping[str, Any]
    shapes: tuple[tuple[int, ...] | None, ...]
    has_state: tuple[bool, ...]
    names: tuple[str, ...] = ()

    @property
    def written_names(self) -> tuple[str, ...] | None:
        """The names that the constructor wrote into the group; None where it wrote none."""
        several, single = self.entries.get("param_names"), self.entries.get("param_name")
        names = several if isinstance(several, (list, tuple)) else [single]
        if len(names) != len(self.shapes) or not all(isinstance(name, str) for name in names):
            return None
        return tuple(names)


def groups_of(checkpoint: Checkpoint) -> list[Group]:
    """Return the param groups in the order of the optimizers, without names.

    Raises:
        LldtoolError: they are no state of torch's optimizers.
    """
    found = checkpoint.entry("optimizer")
    if not isinstance(found, Mapping):
        return []
    states = {None: found} if "param_groups" in found else found
    try:
        return [
            group
            for key, state in states.items()
            if key is None or isinstance(state, Mapping)
            for group in _groups(state, None if key is None else str(key))
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise LldtoolError(
            "its optimizer state is not one of torch.optim", config=checkpoint.name
        ) from error


def _groups(state: Mapping[str, Any], optimizer: str | None) -> Iterator[Group]:
    states = state["state"]
    base = state.get("base_param_settings")
    for entries in state["param_groups"]:
        own = [states.get(index) for index in entries["params"]]
        yield Group(
            optimizer,
            entries,
            base if isinstance(base, Mapping) else {},
            tuple(map(_state_shape, own)),
            tuple(map(bool, own)),
        )


def _state_shape(state: Any) -> tuple[int, ...] | None:
    values = map(state.get, _STATES) if isinstance(state, Mapping) else ()
    return next((value.shape for value in values if isinstance(value, TensorInfo)), None)


def have_names(groups: Sequence[Group]) -> bool:
    """Whether the constructor wrote the names of all parameters into the groups."""
    return all(group.written_names is not None for group in groups)


def named(
    checkpoint: Checkpoint, groups: Sequence[Group], built: Plan | None
) -> tuple[list[Group], NamesFrom]:
    """Return the groups with the names of their parameters, and where these are from.

    Args:
        checkpoint: with the model's weights.
        groups: its own.
        built: by a dry run of the checkpoint's config, where there is one.

    Raises:
        LldtoolError: which parameters they are can't be told.
    """
    if have_names(groups):
        return [replace(group, names=group.written_names or ()) for group in groups], "groups"
    if built is not None and (placed := _as_built(groups, built)) is not None:
        return placed, "config"
    return _in_order(checkpoint, groups), "order"


def _as_built(groups: Sequence[Group], built: Plan) -> list[Group] | None:
    """Return the groups with the names of those of a plan; None where they are others."""
    members: dict[int, list[Any]] = {}
    for p in built.parameters:
        members.setdefault(p.group, []).append(p)
    if sorted(members) != list(range(len(groups))):
        return None
    found = []
    for number, group in enumerate(groups):
        own = members[number]
        if len(own) != len(group.shapes) or any(p.optimizer != group.optimizer for p in own):
            return None
        if any(s not in (None, p.shape) for p, s in zip(own, group.shapes, strict=True)):
            return None
        found.append(replace(group, names=tuple(p.name for p in own)))
    return found


def _in_order(checkpoint: Checkpoint, groups: Sequence[Group]) -> list[Group]:
    """Return the groups with the names of the tensors in the order of the weights.

    An optimizer that has all of them has them in this order; one that has only some is told by
    their shapes.

    Raises:
        LldtoolError: there are fewer tensors, or some have other shapes.
    """
    weights = {n: t for n, t in checkpoint.state_dict.items() if not is_buffer(n, t)}
    found: list[Group] = []
    for key in dict.fromkeys(group.optimizer for group in groups):
        own = [group for group in groups if group.optimizer == key]
        places = [
            (index, own_shape)
            for group in own
            for index, own_shape in zip(group.entries["params"], group.shapes, strict=True)
        ]
        names = _matched(dict(sorted(places)), weights)
        if names is None:
            raise LldtoolError(
                f"{plural(len(groups), 'param group')} without the names of parameters, and the "
                "weights have other shapes or another order",
                config=checkpoint.name,
            )
        found += [
            replace(group, names=tuple(names[index] for index in group.entries["params"]))
            for group in own
        ]
    return found


def _matched(
    places: Mapping[int, tuple[int, ...] | None], weights: Mapping[str, TensorInfo]
) -> dict[int, str] | None:
    """Return index -> name; None where the tensors do not fit."""
    rest = iter(weights.items())
    is_all = len(places) == len(weights)
    names = {}
    for index, expected in places.items():
        for name, tensor in rest:
            if expected in (tensor.shape, None if is_all else tensor.shape):
                names[index] = name
                break
            if is_all:
                return None
        else:
            return None
    return names


def is_buffer(name: str, tensor: TensorInfo) -> bool:
    """Whether a tensor of a model's weights is a buffer, judged by its name and dtype."""
    return name.endswith(_STATISTICS) or tensor.dtype.startswith(_NOT_TRAINABLE)


def name_doubts(checkpoint: Checkpoint, groups: Sequence[Group]) -> Iterator[str]:
    """Yield what speaks against the names: a state in another shape than the tensor."""
    weights = checkpoint.state_dict
    for group in groups:
        for name, own in zip(group.names, group.shapes, strict=True):
            if name in weights and own is not None and own != weights[name].shape:
                yield (
                    f"{quoted(name)} has the shape {shape(weights[name].shape)}, and its optimizer "
                    f"state {shape(own)}: the name in its param group is another parameter's"
                )

"""Why a training can't be resumed from a checkpoint, in the terms of its config."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from lldtool.analysis.resume import groups_in
from lldtool.checkpoint import Checkpoint, TensorInfo
from lldtool.checkpoint.training_config import training_config
from lldtool.errors import ResumeError
from lldtool.plan import Parameter, Plan
from lldtool.text import plural, shape, shortened

#: What `Runner.resume` takes from every checkpoint.
_NEEDED = ("meta", "message_hub")
_MOST_NAMES = 3


def refusal(fresh: Plan, checkpoint: Checkpoint, error: ResumeError) -> ResumeError:
    """Return the error for a user.

    Args:
        fresh: the plan of the config.
        checkpoint: that can't be resumed from.
        error: what resuming it raised.
    """
    # On tensors without values, torch words its errors in another way than on those of a training.
    said = re.sub(r": RuntimeError\b.*", " with RuntimeError", error.message)
    reasons = [*_of_kind(checkpoint), *_of_class(fresh, checkpoint), *_of_groups(fresh, checkpoint)]
    why = f"{'; '.join(reasons)}: " if reasons else ""
    return error.replace(
        message=f"can't be resumed from {checkpoint.name}: {why}{said}",
        hint=f"load_from = {checkpoint.name!r} without resume starts over from the weights",
    )


def _of_kind(checkpoint: Checkpoint) -> Iterator[str]:
    missing = [key for key in _NEEDED if checkpoint.entry(key) is None]
    if missing:
        yield f"it has no {' and no '.join(missing)}, which a training saves with its weights"


def _of_class(fresh: Plan, checkpoint: Checkpoint) -> Iterator[str]:
    wrapper = training_config(checkpoint).get("optim_wrapper")
    optimizer = wrapper.get("optimizer") if isinstance(wrapper, dict) else None
    old = optimizer.get("type") if isinstance(optimizer, dict) else None
    if isinstance(old, str) and old.rpartition(".")[2] != fresh.optimizer.type:
        yield f"its optimizer is {old.rpartition('.')[2]}, the config's {fresh.optimizer.type}"


def _of_groups(fresh: Plan, checkpoint: Checkpoint) -> Iterator[str]:
    """Yield what differs in the param groups and in the shapes of their parameters."""
    content = checkpoint.entry("optimizer")
    saved = groups_in(content)
    own: dict[str, dict[int, list[Parameter]]] = defaultdict(lambda: defaultdict(list))
    for p in fresh.parameters:
        own[p.optimizer or ""][p.group].append(p)
    if saved and set(saved) != set(own):
        names = [", ".join(map(repr, one)) if any(one) else "one" for one in (saved, own)]
        yield f"its optimizers are {names[0]}, the config's {names[1]}"
        return
    for name, groups in saved.items():
        of = f" of {name}" if name else ""
        mine = list(own[name].values())
        if len(groups) != len(mine):
            numbers = f"{plural(len(groups), 'param group')}{of}, the config {len(mine):,}"
            yield f"it has {numbers}{_names_that_differ(fresh, checkpoint, groups, mine)}"
            continue
        sizes = [(len(a), len(b.get("params", ()))) for a, b in zip(mine, groups, strict=True)]
        if different := [f"{b} and {a}" for a, b in sizes if a != b]:
            yield f"a param group{of} has {different[0]} parameters"
            continue
        shapes = list(_shapes_that_differ(content, name, groups, mine))
        if shapes:
            yield f"shapes differ: {', '.join(shortened(shapes, _MOST_NAMES))}"


def _names_that_differ(
    fresh: Plan,
    checkpoint: Checkpoint,
    groups: list[Mapping[str, object]],
    mine: list[list[Parameter]],
) -> str:
    """Return which parameters are new and which are gone."""
    names = {p.name for group in mine for p in group}
    saved = {str(group["param_name"]) for group in groups if "param_name" in group}
    if not saved:
        buffers = {buffer.name for buffer in fresh.buffers}
        saved = {name for name in checkpoint.state_dict if name not in buffers}
        names = {p.name for p in fresh.every_parameter}
    frozen = {p.name for p in fresh.frozen}
    new, gone = sorted(names - saved), sorted(saved - names - frozen)
    now_frozen = sorted((saved - names) & frozen)
    kinds = (("new", new), ("gone", gone), ("frozen now", now_frozen))
    said = [f"{kind}: {', '.join(shortened(own, _MOST_NAMES))}" for kind, own in kinds if own]
    if not said and frozen:
        said = [f"in no group here: {', '.join(shortened(sorted(frozen), _MOST_NAMES))}"]
    return f" ({'; '.join(said)})" if said else ""


def _shapes_that_differ(
    content: object,
    name: str,
    groups: list[Mapping[str, object]],
    mine: list[list[Parameter]],
) -> Iterator[str]:
    own = content.get(name) if name and isinstance(content, Mapping) else content
    state = own.get("state") if isinstance(own, Mapping) else None
    if not isinstance(state, Mapping):
        return
    for group, parameters in zip(groups, mine, strict=True):
        numbers = group.get("params")
        for number, p in zip(
            numbers if isinstance(numbers, list) else (), parameters, strict=False
        ):
            entries = state.get(number) if isinstance(number, int) else None
            tensors = entries.values() if isinstance(entries, Mapping) else ()
            shapes = [t.shape for t in tensors if isinstance(t, TensorInfo) and len(t.shape)]
            if shapes and p.shape not in shapes:
                yield f"{p.name} {shape(p.shape)}, checkpoint {shape(shapes[0])}"

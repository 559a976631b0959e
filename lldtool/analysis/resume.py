"""What a resumed training goes on with, and what of that its config does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lldtool.analysis.lr_curves import LrCurves
from lldtool.checkpoint import Checkpoint
from lldtool.config.edit import DELETE
from lldtool.plan import Plan


@dataclass(frozen=True)
class Change:
    """An entry of the config that is another one than when the checkpoint was saved.

    `old` and `new` are `DELETE` where there was, or is, no such entry. `has_effect` tells whether
    the resumed training takes other steps than with the old entry.
    """

    path: tuple[str, ...]
    old: Any
    new: Any
    has_effect: bool

    @property
    def key(self) -> str:
        """The dotted key."""
        return ".".join(self.path)

    @property
    def values(self) -> tuple[Any, Any]:
        """Both values; None for an entry that is absent."""
        return tuple(None if v is DELETE else v for v in (self.old, self.new))  # type: ignore[return-value]


@dataclass(frozen=True)
class Problem:
    """Something that resuming silently accepts and that is probably not intended.

    `code` is for scripts, `fix` what to do.
    """

    code: str
    message: str
    fix: str


@dataclass(frozen=True)
class Pair:
    """A scheduler of the config and the one whose state it takes over, by their classes.

    There is no `old` for one that begins at its step 0, and no `new` for a state that is dropped.
    """

    new: str | None
    old: str | None
    optimizer: str = ""


@dataclass(frozen=True)
class Resume:
    """A training that is resumed from a checkpoint.

    Attributes:
        checkpoint: as the user named it.
        plan: of what the training uses after it was resumed.
        fresh: the plan of the config without the checkpoint.
        entries: at the top level of the checkpoint.
        left: epochs or iterations that are left of the training, as its schedule counts.
        pairs: of the schedulers.
        changes: of the config, since the checkpoint was saved.
        problems: what is silently accepted.
        curves: the lrs from the next step to the end; None where they are not known.
    """

    checkpoint: str
    plan: Plan
    fresh: Plan
    entries: frozenset[str] = frozenset()
    left: int = 0
    pairs: tuple[Pair, ...] = ()
    changes: tuple[Change, ...] = ()
    problems: tuple[Problem, ...] = ()
    curves: LrCurves | None = None

    @property
    def without_effect(self) -> list[Change]:
        """The changes that have no effect."""
        return [change for change in self.changes if not change.has_effect]


#: Option of a scheduler that only one class has -> the class.
_TELLING = {
    "T_max": "CosineAnnealing", "milestones": "MultiStep", "step_size": "Step", "power": "Poly",
    "start_factor": "Linear", "periods": "CosineRestart", "_schedule_phases": "OneCycle",
    "num_bad_epochs": "ReduceOnPlateau", "factor": "Constant", "gamma": "Exponential",
}  # fmt: skip


def scheduler_of_state(state: Mapping[str, Any]) -> str | None:
    """Return the class of mmengine's whose state this is; None where that is not known.

    States do not name their class. Source: mmengine 0.10 `mmengine.optim.scheduler`.
    """
    kind = next((kind for option, kind in _TELLING.items() if option in state), None)
    if kind is None:
        return None
    changed = state.get("param_name")
    return kind + {"lr": "LR", "momentum": "Momentum"}.get(str(changed), "ParamScheduler")


def groups_in(content: object) -> dict[str, list[Mapping[str, Any]]]:
    """Return the param groups in a checkpoint's `optimizer`, by the name of the optimizer."""
    if not isinstance(content, Mapping):
        return {}
    several = {"": content} if "param_groups" in content else content
    found = {}
    for name, state in several.items():
        groups = state.get("param_groups") if isinstance(state, Mapping) else None
        if isinstance(groups, list) and all(map(_is_group, groups)):
            found[str(name)] = groups
    return found


def _is_group(content: object) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get("params"), list)


def epoch_length_in(checkpoint: Checkpoint) -> int | None:
    """Return the iterations of an epoch of the training that saved a checkpoint, if it had any."""
    hub = checkpoint.entry("message_hub")
    info = hub.get("runtime_info") if isinstance(hub, Mapping) else None
    info = info if isinstance(info, Mapping) else {}
    lengths = info.get("max_epochs"), info.get("max_iters")
    finished = checkpoint.meta.get("epoch"), checkpoint.meta.get("iter")
    if not isinstance(finished[0], int) or finished[0] <= 0:
        return None  # of a training by iterations, of which mmengine counts no epochs
    for epochs, iterations in (lengths, finished):
        if isinstance(epochs, int) and isinstance(iterations, int) and iterations >= epochs > 0:
            return iterations // epochs if iterations % epochs == 0 else None
    return None

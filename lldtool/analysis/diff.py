"""Plan × Plan -> PlanDiff: what differs in the effect of two configs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from lldtool.analysis.alignment import align, narrowed
from lldtool.analysis.config_changes import ConfigChange, config_changes, equal
from lldtool.analysis.schedule_diff import ScheduleDiff, diff_schedules
from lldtool.plan import Layer, Parameter, Plan, UntrainedParameter

#: What can differ for a parameter that both plans train. Of `extras`, the other entries of its
#: group, only those that the optimizer reads are compared: `momentum`, not a stray `lr_mult`.
SETTINGS = ("optimizer", "lr", "lr_scale", "weight_decay", "layer_id", "extras", "start")
#: What a comparison can leave out.
IGNORABLE = (*SETTINGS, "schedule")
#: Tells whether the parameter of a name is to be compared; None for all of them.
Only = Callable[[str], bool] | None


class ParameterChange(NamedTuple):
    """A parameter that both train, and which of `SETTINGS` differ."""

    a: Parameter
    b: Parameter
    settings: tuple[str, ...]


class StatusChange(NamedTuple):
    """A parameter of both models whose state differs.

    `a` and `b` are states as in `plan.State`; `frozen` also where the parameter is in no param
    group, and `left out` where it is in none though it requires a gradient; `not in` and the name
    of an optimizer where only the other side has the parameter in that one. The start follows
    where only that differs of one that neither side trains: `frozen, missing`.
    """

    name: str
    a: str
    b: str


class Reshaped(NamedTuple):
    """A parameter of both models that has another shape."""

    name: str
    a: tuple[int, ...]
    b: tuple[int, ...]


class LayerPair(NamedTuple):
    """The same parameters on both sides, which are in one layer on each.

    One side is None where it does not train them, and `elsewhere` is their state there: `absent`,
    or as in `StatusChange`. `changes` are of the parameters that both sides train; `differs` tells
    whether anything does. A layer whose parameters are in two layers of the other side is in two
    pairs.
    """

    a: Layer | None
    b: Layer | None
    elsewhere: str | None
    changes: tuple[ParameterChange, ...]
    differs: bool


@dataclass(frozen=True)
class PlanDiff:
    """What differs between two plans; parameters are matched by name, in any order.

    `added` and `removed` are in the model of one side only. `compared` counts the parameters that
    both train, `looked_at` names the `SETTINGS` that were compared, `only` selects parameters.
    `schedule` is None where it was not compared.
    """

    a: Plan
    b: Plan
    config: tuple[ConfigChange, ...]
    changed: tuple[ParameterChange, ...]
    added: tuple[Parameter | UntrainedParameter, ...]
    removed: tuple[Parameter | UntrainedParameter, ...]
    status: tuple[StatusChange, ...]
    reshaped: tuple[Reshaped, ...]
    compared: int
    looked_at: tuple[str, ...]
    only: Only = None
    schedule: ScheduleDiff | None = None

    @cached_property
    def _rows(self) -> list[tuple[Layer | None, ...]]:
        return align([replace(plan, parameters=plan.trained) for plan in (self.a, self.b)])

    @cached_property
    def layers(self) -> tuple[LayerPair, ...]:
        """The pairs of layers of what is trained, in the order of the layers."""
        return tuple(_layer_pairs(self, self._rows))

    @cached_property
    def names(self) -> tuple[tuple[str, ...], ...]:
        """The names of all parameters of each pair of layers, compared or not."""
        return tuple(tuple(_names(x) | _names(y)) for x, y in self._rows)

    @cached_property
    def identical(self) -> bool:
        """Whether both configs have the same effect; their entries may differ."""
        parameters = (self.changed, self.added, self.removed, self.status, self.reshaped)
        if self.schedule is not None and not self.schedule.identical:
            return False
        return not any(parameters) and not any(change.acts for change in self.config)

    def with_changed(self, setting: str) -> list[ParameterChange]:
        """The parameters that this setting differs for."""
        return [change for change in self.changed if setting in change.settings]

    @property
    def has_layers(self) -> bool:
        """Whether the constructor of either side knows layers."""
        return self.a.has_layers or self.b.has_layers

    @property
    def both_have_layers(self) -> bool:
        """Whether the constructors of both sides do."""
        return self.a.has_layers and self.b.has_layers

    @property
    def shared_layers(self) -> list[LayerPair]:
        """The pairs with a layer on both sides."""
        return [pair for pair in self.layers if pair.a and pair.b]


def diff_plans(
    a: Plan, b: Plan, *, ignore: Collection[str] = (), rtol: float = 0.0, only: Only = None
) -> PlanDiff:
    """Compare what two configs do.

    Args:
        a: the one side.
        b: the other.
        ignore: which of `IGNORABLE` may differ.
        rtol: the relative tolerance of numbers; 0 for exactly equal.
        only: whether to compare the parameter of this name.
    """
    listed_twice = _in_two_optimizers(a) | _in_two_optimizers(b)
    in_a, in_b = _states(a, only, listed_twice), _states(b, only, listed_twice)
    names_a, names_b = ({name for name, _ in side} for side in (in_a, in_b))
    compare_optimizers = bool(a.optimizers and b.optimizers)
    compare = {"optimizer": compare_optimizers, "start": bool(a.loaded or b.loaded)}
    looked_at = tuple(x for x in SETTINGS if x not in ignore and compare.get(x, True))
    read = _read_by_optimizer(a, b)
    changed, status, reshaped = list[ParameterChange](), list[StatusChange](), list[Reshaped]()
    compared = 0
    for (name, optimizer), (p, status_a) in in_a.items():
        if (name, optimizer) not in in_b:
            if name in names_b:
                status.append(StatusChange(name, status_a, _not_in(optimizer)))
            continue
        q, status_b = in_b[name, optimizer]
        if p.shape != q.shape:
            reshaped.append(Reshaped(name, p.shape, q.shape))
        if status_a != status_b:
            status.append(StatusChange(name, status_a, status_b))
            continue
        starts = a.start_of(p), b.start_of(q)
        start_differs = "start" in looked_at and None not in starts and starts[0] != starts[1]
        if status_a == "trained" and isinstance(p, Parameter) and isinstance(q, Parameter):
            compared += 1
            settings = _differing(p, q, looked_at, rtol, read)
            settings += ("start",) if start_differs else ()
            if settings:
                changed.append(ParameterChange(p, q, settings))
        elif start_differs:
            state_a, state_b = (f"{status_a}, {start}" for start in starts)
            status.append(StatusChange(name, state_a, state_b))
    for (name, optimizer), (_, status_b) in in_b.items():
        if optimizer is not None and name in names_a and (name, optimizer) not in in_a:
            status.append(StatusChange(name, _not_in(optimizer), status_b))
    schedule = None if "schedule" in ignore else diff_schedules(a, b)
    return PlanDiff(
        a=a,
        b=b,
        config=tuple(config_changes(a, b, rtol, schedule, starts="start" in looked_at)),
        changed=tuple(changed),
        added=tuple(p for p, _ in in_b.values() if p.name not in names_a),
        removed=tuple(p for p, _ in in_a.values() if p.name not in names_b),
        status=tuple(status),
        reshaped=tuple(reshaped),
        compared=compared,
        looked_at=looked_at,
        only=only,
        schedule=schedule,
    )


#: The name of a parameter, with its optimizer where one of the plans has it in two.
_Key = tuple[str, str | None]


def _in_two_optimizers(plan: Plan) -> set[str]:
    """Return the names of the parameters that several optimizers have."""
    return {name for name, n in Counter(p.name for p in plan.parameters).items() if n > 1}


def _not_in(optimizer: str | None) -> str:
    return "left out" if optimizer is None else f"not in {optimizer}"


def _states(
    plan: Plan, only: Only, listed_twice: Collection[str] = ()
) -> dict[_Key, tuple[Parameter | UntrainedParameter, str]]:
    """Return every parameter of the model with its state."""
    states: list[tuple[Parameter | UntrainedParameter, str]] = [
        *((p, p.state) for p in plan.parameters),
        *((p, "frozen") for p in plan.frozen),
        *((p, "left out") for p in plan.left_out),
    ]
    return {
        (p.name, getattr(p, "optimizer", None) if p.name in listed_twice else None): (p, state)
        for p, state in states
        if only is None or only(p.name)
    }


def _read_by_optimizer(a: Plan, b: Plan) -> Collection[str] | None:
    """Return the group entries that either optimizer reads; None where that is not known."""
    if a.group_options is None or b.group_options is None:
        return None
    return a.group_options | b.group_options


def _differing(
    p: Parameter, q: Parameter, looked_at: Iterable[str], rtol: float, read: Collection[str] | None
) -> tuple[str, ...]:
    settings = []
    for name in looked_at:
        if name == "start":
            continue
        x, y = getattr(p, name), getattr(q, name)
        if name == "extras" and read is not None:
            x, y = ({k: v for k, v in extras.items() if k in read} for extras in (x, y))
        if not equal(x, y, rtol):
            settings.append(name)
    return tuple(settings)


def _names(layer: Layer | None) -> dict[str, None]:
    return dict.fromkeys(p.name for p in layer.parameters) if layer else {}


def _layer_pairs(diff: PlanDiff, rows: Iterable[tuple[Layer | None, ...]]) -> Iterator[LayerPair]:
    changes = {change.a.name: change for change in diff.changed}
    states_a, states_b = (
        {name: state for (name, _), (_, state) in _states(plan, diff.only).items()}
        for plan in (diff.a, diff.b)
    )
    for row in rows:
        x, y = row if diff.only is None else (narrowed(layer, diff.only) for layer in row)
        if x and y:
            own = tuple(changes[name] for name in _names(x) if name in changes)
            yield LayerPair(x, y, None, own, bool(own))
            continue
        by_state: dict[str, set[str]] = defaultdict(set)
        for name in _names(x or y):
            by_state[(states_b if x else states_a).get(name, "absent")].add(name)
        for state, names in by_state.items():
            a, b = (narrowed(layer, names.__contains__) for layer in (x, y))
            yield LayerPair(a, b, state, (), differs=True)

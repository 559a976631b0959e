"""What each custom key and option of a `paramwise_cfg` does: how much it matches and decides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lldtool.plan import Parameter, Plan, Reason, Reasons

#: The order in which mmengine's and mmpretrain's constructors look at their options.
_PRECEDENCE = (
    "norm_decay_mult",
    "bias_decay_mult",
    "dwconv_decay_mult",
    "flat_decay_mult",
    "dcn_offset_lr_mult",
    "bias_lr_mult",
)
#: What the name of a custom key begins with in `Reason.beats` and `Reason.misses`.
_CUSTOM_KEY = "custom_key:"


@dataclass(frozen=True)
class Effect:
    """What leaving a key or an option out would do.

    Counts tensors: `settings` those whose lr or weight decay would be different, `moved` those that
    would enter or leave the optimizer, `layers` and `extras` those that would only lose or change
    their layer or other entries of their group. `error` says what the constructor would raise.
    """

    settings: int = 0
    moved: int = 0
    layers: int = 0
    extras: int = 0
    error: str | None = None


#: The keys that lead from `paramwise_cfg` to one of its entries: `("custom_keys", ".ln")`.
Path = tuple[str, ...]


@dataclass(frozen=True)
class Effects:
    """What entries of `paramwise_cfg` do, measured by running the constructor with them altered.

    `removed` and `changed` say what leaving an entry out and giving it another value does, for the
    entries where that was tried. `undecayed` has the tensors that lose their weight decay where
    an entry is left out.
    """

    removed: Mapping[Path, Effect] = field(default_factory=dict)
    changed: Mapping[Path, Effect] = field(default_factory=dict)
    undecayed: Mapping[Path, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Key:
    """A custom key, or another option of `paramwise_cfg` (`is_custom` false).

    `matched` and `decided` count tensors, None where no rule of lldtool's tells; `taken` counts
    those that it matched and that a custom key before it decided.
    """

    name: str
    is_custom: bool
    matched: int | None
    decided: int | None
    taken: dict[str, int] = field(default_factory=dict)
    effect: Effect = Effect()

    @property
    def path(self) -> Path:
        """The keys that lead to it."""
        return ("custom_keys", self.name) if self.is_custom else (self.name,)


def keys_of(plan: Plan) -> list[Key]:
    """The custom keys and options of a plan's `paramwise_cfg`, in the order of precedence."""
    options = plan.constructor.paramwise_cfg
    counts = _Counts.of(plan.parameters)
    names = sorted(sorted(custom_keys_of(plan)), key=len, reverse=True)
    others = [name for name in _PRECEDENCE if name in options]
    are_custom = isinstance(options.get("custom_keys"), dict)
    shown = (name for name in options if not (are_custom and name == "custom_keys"))
    others += [name for name in shown if name not in others]
    return [*map(counts.custom_key, names), *map(counts.option, others)]


def custom_keys_of(plan: Plan) -> Mapping[str, Any]:
    """The custom keys of a plan; none where a constructor of its own takes no dict of them."""
    keys = plan.constructor.paramwise_cfg.get("custom_keys")
    return keys if isinstance(keys, dict) else {}


@dataclass
class _Counts:
    """How many parameters entries of `paramwise_cfg` decide, and how many they match in vain.

    Entries are named as in `Reason.beats`. `taken` has for each that matched in vain the custom
    keys that decided; `looked_at` are those that some reason names. Nothing is counted where
    something is not `explained`.
    """

    explained: bool = True
    decided: Counter[str] = field(default_factory=Counter)
    beaten: Counter[str] = field(default_factory=Counter)
    taken: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    looked_at: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, parameters: Iterable[Parameter]) -> _Counts:
        """Return the counts, made in one pass over the distinct reasons."""
        counts = cls()
        for reasons, number in Counter(p.reason for p in parameters).items():
            counts.add(reasons, number)
        return counts

    def add(self, reasons: Reasons, number: int) -> None:
        """Count so many parameters with these reasons."""
        self.explained = self.explained and not is_unexplained(reasons)
        both = _each(reasons)
        deciding = [name for name in map(_entry_of, both) if name is not None]
        beaten = {name for reason in both for name in reason.beats}
        self.decided.update(dict.fromkeys(deciding, number))
        self.beaten.update(dict.fromkeys(beaten, number))
        self.looked_at.update(deciding, beaten, *(reason.misses for reason in both))
        taker = next((name for name in deciding if name.startswith(_CUSTOM_KEY)), None)
        if taker is not None:
            for name in beaten:
                self.taken[name][taker.removeprefix(_CUSTOM_KEY)] += number

    def custom_key(self, key: str) -> Key:
        """Return a custom key with its counts."""
        name = f"{_CUSTOM_KEY}{key}"
        if not self.explained or name not in self.looked_at:
            return Key(key, is_custom=True, matched=None, decided=None)
        decided, taken = self.decided[name], dict(self.taken.get(name, {}))
        matched = decided + sum(taken.values())
        return Key(key, is_custom=True, matched=matched, decided=decided, taken=taken)

    def option(self, name: str) -> Key:
        """Return an option with its counts; none where the constructor's rules never look at it."""
        if not self.explained or name not in self.looked_at:
            return Key(name, is_custom=False, matched=None, decided=None)
        decided = self.decided[name]
        return Key(name, is_custom=False, matched=decided + self.beaten[name], decided=decided)


def _each(reasons: Reasons) -> tuple[Reason, Reason]:
    return reasons.weight_decay, reasons.lr


def _entry_of(reason: Reason) -> str | None:
    """What decided: a custom key, a rule's own option, or what gave the rate of a layer decay."""
    if reason.rule == "custom_key":
        return None if reason.key is None else f"{_CUSTOM_KEY}{reason.key}"
    if reason.rule == "layer_decay":
        return reason.key
    return reason.rule if reason.rule in _PRECEDENCE else None


def may_be_redundant(plan: Plan, key: str) -> bool:
    """Whether each parameter that a custom key decides may get the same without it.

    Where all is explained, by what the next rule would give; running the constructor without the
    key shows whether it is so. Where something is not explained, it may.
    """
    base = {"lr": plan.optimizer.lr, "weight_decay": plan.optimizer.weight_decay}
    for p in plan.parameters:
        if is_unexplained(p.reason):
            continue
        for name, reason in (("lr", p.reason.lr), ("weight_decay", p.reason.weight_decay)):
            if reason.rule == "custom_key" and reason.key == key:
                without = reason.would_give[0] if reason.would_give else base[name]
                if without != getattr(p, name):
                    return False
    return True


def is_unexplained(reasons: Reasons) -> bool:
    """Whether the constructor's own code gave the lr or the weight decay."""
    return any(reason.rule == "constructor" for reason in _each(reasons))


def difference(before: Sequence[Parameter], after: Sequence[Parameter]) -> Effect:
    """What changed between the parameters of two optimizers for one model."""
    now = {(p.name, p.optimizer): p for p in after}
    both = ((p, now.get((p.name, p.optimizer))) for p in before)
    stayed = [(p, q) for p, q in both if q is not None]
    settings = [(p, q) for p, q in stayed if (p.lr, p.weight_decay) != (q.lr, q.weight_decay)]
    same = [(p, q) for p, q in stayed if (p.lr, p.weight_decay) == (q.lr, q.weight_decay)]
    layers = [1 for p, q in same if (p.layer_id, p.lr_scale) != (q.layer_id, q.lr_scale)]
    extras = [1 for p, q in same if p.extras != q.extras]
    moved = len(before) + len(after) - 2 * len(stayed)
    return Effect(len(settings), moved, len(layers), len(extras))

"""Plan -> how many tensors each custom key and option of `paramwise_cfg` matches and decides."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lldtool.plan import Parameter, Plan, Reason, Reasons

#: The order in which mmengine's and mmpretrain's constructors apply their options.
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
    """The effect of removing a key or an option, or of changing its value.

    Counts tensors: `settings` those that get another lr or weight decay, `moved` those that enter
    or leave the optimizer, `layers` and `extras` those of which nothing but the layer or other
    entries of their group change. `error` is what the constructor would raise.
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
    """The effects of entries of `paramwise_cfg`, measured by running the constructor without them.

    `removed` and `changed` have those of removing an entry and of giving it another value, where
    that was tried; `undecayed` the tensors that lose their weight decay where it is removed.
    """

    removed: Mapping[Path, Effect] = field(default_factory=dict)
    changed: Mapping[Path, Effect] = field(default_factory=dict)
    undecayed: Mapping[Path, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Key:
    """A custom key, or another option of `paramwise_cfg` (`is_custom` false).

    `matched` and `decided` count tensors, None where the constructor's rules are not known; `taken`
    counts those that it matched and that a custom key with precedence decided.
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
    """Return the custom keys and options of a plan's `paramwise_cfg`, in order of precedence."""
    options = plan.constructor.paramwise_cfg
    custom_keys = sorted(sorted(custom_keys_of(plan)), key=len, reverse=True)
    others = dict.fromkeys((*(name for name in _PRECEDENCE if name in options), *options))
    if isinstance(options.get("custom_keys"), dict):
        del others["custom_keys"]
    counts = _Counts(plan)
    return [*map(counts.custom_key, custom_keys), *map(counts.option, others)]


def custom_keys_of(plan: Plan) -> Mapping[str, Any]:
    """Return the custom keys of a plan; none where its constructor takes no dict of them."""
    keys = plan.constructor.paramwise_cfg.get("custom_keys")
    return keys if isinstance(keys, dict) else {}


class _Counts:
    """Numbers of parameters by entries of `paramwise_cfg`, which are named as in `Reason.beats`.

    `_decided` by the entry decides one of their settings, `_overridden` by an entry that matched
    in vain; `_taken` has for each of these the custom keys that decided. `_known` are the entries
    that some reason names; none where something is unexplained.
    """

    def __init__(self, plan: Plan) -> None:
        self._decided, self._overridden = Counter[str](), Counter[str]()
        self._taken: dict[str, Counter[str]] = defaultdict(Counter)
        self._known: set[str] = set()
        counts = Counter(p.reason for p in plan.parameters)
        for reasons, number in counts.items() if not any(map(is_unexplained, counts)) else ():
            both = (reasons.weight_decay, reasons.lr)
            deciding = [name for name in map(_entry_of, both) if name is not None]
            overridden = {name for reason in both for name in reason.beats}
            self._decided.update(dict.fromkeys(deciding, number))
            self._overridden.update(dict.fromkeys(overridden, number))
            self._known.update(deciding, overridden, *(reason.misses for reason in both))
            taker = next((name for name in deciding if name.startswith(_CUSTOM_KEY)), None)
            for name in overridden if taker is not None else ():
                self._taken[name][str(taker).removeprefix(_CUSTOM_KEY)] += number

    def custom_key(self, key: str) -> Key:
        """Return a custom key with its counts."""
        name = f"{_CUSTOM_KEY}{key}"
        if name not in self._known:
            return Key(key, is_custom=True, matched=None, decided=None)
        decided, taken = self._decided[name], dict(self._taken[name])
        return Key(key, True, decided + sum(taken.values()), decided, taken)

    def option(self, name: str) -> Key:
        """Return an option with its counts; none where the constructor's rules never look it up."""
        if name not in self._known:
            return Key(name, is_custom=False, matched=None, decided=None)
        decided = self._decided[name]
        return Key(name, False, decided + self._overridden[name], decided)


def _entry_of(reason: Reason) -> str | None:
    """Return the custom key or option that decided, that with the rate for a layer decay."""
    if reason.rule == "custom_key":
        return None if reason.key is None else f"{_CUSTOM_KEY}{reason.key}"
    if reason.rule == "layer_decay":
        return reason.key
    return reason.rule if reason.rule in _PRECEDENCE else None


def may_be_redundant(plan: Plan, key: str) -> bool:
    """Whether each parameter that a custom key decides may get the same settings without it.

    True where something is unexplained; running the constructor without the key tells then.
    """
    base = {"lr": plan.optimizer.lr, "weight_decay": plan.optimizer.weight_decay}
    for p in plan.parameters:
        for name, own in base.items() if not is_unexplained(p.reason) else ():
            reason: Reason = getattr(p.reason, name)
            if reason.rule == "custom_key" and reason.key == key:
                without = reason.would_give[0] if reason.would_give else own
                if without != getattr(p, name):
                    return False
    return True


def is_unexplained(reasons: Reasons) -> bool:
    """Whether the constructor's own code set the lr or the weight decay."""
    return "constructor" in (reasons.lr.rule, reasons.weight_decay.rule)


def difference(before: Sequence[Parameter], after: Sequence[Parameter]) -> Effect:
    """Return what changed between the parameters of two optimizers for one model."""
    now = {(p.name, p.optimizer): p for p in after}
    both = [(p, now.get((p.name, p.optimizer))) for p in before]
    stayed = [(p, q) for p, q in both if q is not None]
    same = [(p, q) for p, q in stayed if (p.lr, p.weight_decay) == (q.lr, q.weight_decay)]
    return Effect(
        settings=len(stayed) - len(same),
        moved=len(before) + len(after) - 2 * len(stayed),
        layers=sum((p.layer_id, p.lr_scale) != (q.layer_id, q.lr_scale) for p, q in same),
        extras=sum(p.extras != q.extras for p, q in same),
    )

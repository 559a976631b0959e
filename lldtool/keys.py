"""What each custom key and option of a `paramwise_cfg` does: how much it matches and decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
    reasons = Counter(p.reason for p in plan.parameters)  # many parameters share theirs
    explained = not any(is_unexplained(one) for one in reasons)
    custom = custom_keys_of(plan)
    names = sorted(sorted(custom), key=len, reverse=True)
    others = [name for name in _PRECEDENCE if name in options]
    are_custom = isinstance(options.get("custom_keys"), dict)
    shown = (name for name in options if not (are_custom and name == "custom_keys"))
    others += [name for name in shown if name not in others]
    return [
        *(_custom_key(reasons, name, explained=explained) for name in names),
        *(_option(reasons, name, explained=explained) for name in others),
    ]


def custom_keys_of(plan: Plan) -> Mapping[str, Any]:
    """The custom keys of a plan; none where a constructor of its own takes no dict of them."""
    keys = plan.constructor.paramwise_cfg.get("custom_keys")
    return keys if isinstance(keys, dict) else {}


def _custom_key(reasons: Counter[Reasons], key: str, *, explained: bool) -> Key:
    """A custom key, by the reasons of all parameters and how many have each."""
    name = f"custom_key:{key}"
    looked_at = any(name in (*r.beats, *r.misses) for one in reasons for r in _each(one))
    decided = sum(count for one, count in reasons.items() if key in _deciding_keys(one))
    if not explained or not (looked_at or decided):
        return Key(key, is_custom=True, matched=None, decided=None)
    taken: Counter[str] = Counter()
    for one, count in reasons.items():
        if any(name in r.beats for r in _each(one)):
            taken[_deciding_keys(one)[0]] += count
    matched = decided + sum(taken.values())
    return Key(key, is_custom=True, matched=matched, decided=decided, taken=dict(taken))


def _each(reasons: Reasons) -> tuple[Reason, Reason]:
    return reasons.weight_decay, reasons.lr


def _deciding_keys(reasons: Reasons) -> list[str]:
    return [r.key for r in _each(reasons) if r.rule == "custom_key" and r.key is not None]


def _option(reasons: Counter[Reasons], name: str, *, explained: bool) -> Key:
    """An option; not counted where the constructor's rules never look at it."""
    decided = beaten = 0
    for one, count in reasons.items():
        decided += count * any(name == _option_of(r) for r in _each(one))
        beaten += count * any(name in r.beats for r in _each(one))
    missed = any(name in r.misses for one in reasons for r in _each(one))
    if not explained or not (decided or beaten or missed):
        return Key(name, is_custom=False, matched=None, decided=None)
    return Key(name, is_custom=False, matched=decided + beaten, decided=decided)


def _option_of(reason: Reason) -> str | None:
    """The option that decided: a rule's own name, or what gave the rate of a layer decay."""
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
    now = {p.name: p for p in after}
    stayed = [(p, now[p.name]) for p in before if p.name in now]
    settings = [(p, q) for p, q in stayed if (p.lr, p.weight_decay) != (q.lr, q.weight_decay)]
    same = [(p, q) for p, q in stayed if (p.lr, p.weight_decay) == (q.lr, q.weight_decay)]
    layers = [1 for p, q in same if (p.layer_id, p.lr_scale) != (q.layer_id, q.lr_scale)]
    extras = [1 for p, q in same if p.extras != q.extras]
    moved = len(before) + len(after) - 2 * len(stayed)
    return Effect(len(settings), moved, len(layers), len(extras))

"""Which reasons hold: by running the constructor again with what they rest on altered.

A number alone proves nothing: a constructor that gives every vector no weight decay agrees with
`norm_decay_mult=0` by chance. A reason rests on entries of the config, its sources. It holds where
the setting follows when a source is altered.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lldtool.plan import Parameter, Reason, Reasons

#: `("base", "lr")`, `("option", "norm_decay_mult")` or `("key", ".ln")`.
Source = tuple[str, str]
#: Entries of a custom key that decide a setting: absolute, and as a factor of the base setting.
_OF_KEYS = (("lr", "lr_mult"), ("weight_decay", "decay_mult"))
#: Base setting -> what it is multiplied by, or is where the config gives none.
_BASE = {"lr": (0.83, 0.0123), "weight_decay": (0.89, 0.0171)}


@dataclass(frozen=True)
class Inputs:
    """What a constructor goes by: its options, and the base settings, None where there is none."""

    paramwise_cfg: Mapping[str, Any]
    base: Mapping[str, float | None]


@dataclass(frozen=True)
class Settings:
    """What one parameter was given, or would be by a tracer's rules."""

    lr: float | None
    weight_decay: float | None


#: Name -> what the constructor gave, and what the rules give.
Run = tuple[Mapping[str, Settings], Mapping[str, Settings]]
#: Runs the constructor with other inputs; None where it raised.
Rerun = Callable[[Inputs], Run | None]


def sources_of(setting: str, reason: Reason) -> tuple[Source, ...]:
    """What a reason rests on; nothing where it is the constructor's own code."""
    if reason.rule in ("base", "optimizer_default") or reason.rule == "layer_decay":
        option = [("option", reason.key)] if reason.key is not None else []
        return (*option, ("base", setting))
    if reason.rule == "custom_key" and reason.key is not None:
        return (("key", reason.key),)
    return (("option", reason.rule),) if reason.rule.endswith("_mult") else ()


def settings_of(items: Iterable[tuple[str, Any]]) -> dict[str, Settings]:
    """Name -> the settings of a parameter, or of a trace."""
    return {name: Settings(item.lr, item.weight_decay) for name, item in items}


def proven(
    parameters: Sequence[Parameter], inputs: Inputs, rerun: Rerun, reads: Iterable[str]
) -> tuple[Parameter, ...]:
    """Return the parameters with the reasons that hold, `constructor` in the place of others.

    Args:
        parameters: with reasons whose numbers agree with the constructor's.
        inputs: what the constructor was run with.
        rerun: runs it again.
        reads: the options that it was seen to read.
    """
    proof = _Proof(settings_of((p.name, p) for p in parameters), inputs, rerun)
    checked = {
        p.name: Reasons(
            lr=proof.checked(p.name, "lr", p.reason.lr),
            weight_decay=proof.checked(p.name, "weight_decay", p.reason.weight_decay),
        )
        for p in parameters
    }
    looked_at = proof.effective | {("option", option) for option in reads}
    keys = any(source[0] == "key" for source in looked_at) or ("option", "custom_keys") in looked_at
    return tuple(
        replace(
            p,
            reason=Reasons(
                lr=_without_unread(checked[p.name].lr, looked_at, keys=keys),
                weight_decay=_without_unread(checked[p.name].weight_decay, looked_at, keys=keys),
            ),
        )
        for p in parameters
    )


def _without_unread(reason: Reason, looked_at: Iterable[Source], *, keys: bool) -> Reason:
    """The reason without options that the constructor does not look at, as far as one can see."""

    def is_looked_at(name: str) -> bool:
        return keys if name.startswith("custom_key:") else ("option", name) in looked_at

    pairs = zip(reason.beats, reason.would_give, strict=False)
    kept = [(name, would) for name, would in pairs if is_looked_at(name)]
    return replace(
        reason,
        beats=tuple(name for name, _ in kept),
        would_give=tuple(would for _, would in kept),
        misses=tuple(filter(is_looked_at, reason.misses)),
    )


class _Proof:
    """Runs with altered inputs, each made once when it is first needed."""

    def __init__(self, given: Mapping[str, Settings], inputs: Inputs, rerun: Rerun) -> None:
        self._given = given
        self._inputs = inputs
        self._rerun = rerun
        self._runs: dict[Source | None, Run | None] = {}
        #: The sources that some setting was seen to follow.
        self.effective: set[Source] = set()

    def checked(self, name: str, setting: str, reason: Reason) -> Reason:
        """The reason if it holds for this parameter."""
        sources = sources_of(setting, reason)
        if sources and (self._follows_all(name, setting) or self._follows(name, setting, sources)):
            self.effective.update(sources)
            return reason
        return Reason("constructor")

    def _follows_all(self, name: str, setting: str) -> bool:
        """Whether the rules give what the constructor does when everything is altered at once.

        Each number is another then, so that they agree by no chance.
        """
        run = self._run(None)
        if run is None:
            return False
        given, by_rules = run
        actual, expected = given.get(name), by_rules.get(name)
        if actual is None or expected is None:
            return False
        return bool(getattr(actual, setting) == getattr(expected, setting))

    def _follows(self, name: str, setting: str, sources: Iterable[Source]) -> bool:
        """Whether altering one of the sources alone changes the setting."""
        for source in sources:
            run = self._run(source)
            actual = None if run is None else run[0].get(name)
            if actual is not None and getattr(actual, setting) != getattr(
                self._given[name], setting
            ):
                return True
        return False

    def _run(self, source: Source | None) -> Run | None:
        if source not in self._runs:
            self._runs[source] = self._rerun(_altered(self._inputs, source))
        return self._runs[source]


def _altered(inputs: Inputs, source: Source | None) -> Inputs:
    """The inputs with a source altered, or with all of them; no two numbers are the same."""
    options: Any = copy.deepcopy(inputs.paramwise_cfg)
    base = dict(inputs.base)
    numbers = iter(0.31 + 0.0137 * i for i in range(10**6))
    for setting, (multiplier, instead) in _BASE.items():
        if source in (None, ("base", setting)):
            value = base[setting]
            base[setting] = value * multiplier if value else instead
    for option, value in options.items():
        is_rate = _is_number(value) and not isinstance(value, int)
        if (option.endswith("_mult") or is_rate) and source in (None, ("option", option)):
            # Some constructors take a multiplier for a switch, of 0 or 1.
            options[option] = 1.0 if value == 0 and source is not None else next(numbers)
    keys = options.get("custom_keys", {})
    for key, entry in keys.items() if isinstance(keys, dict) else ():
        if source in (None, ("key", key)) and isinstance(entry, dict):
            for absolute, factor in _OF_KEYS:  # a factor that is not given is 1
                entry[absolute if absolute in entry else factor] = next(numbers)
    return Inputs(options, base)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)

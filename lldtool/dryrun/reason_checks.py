"""Check reasons by running the constructor again with the entries altered that they name.

A number alone proves nothing: a constructor that gives every vector no weight decay agrees with
`norm_decay_mult=0` by chance. A reason names entries of the config, its sources. It holds where
the setting follows when a source is altered.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lldtool.dryrun.config_loading import optimizer_header
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter, Reason, Reasons

if TYPE_CHECKING:
    from lldtool.dryrun.construction import Construction
    from lldtool.dryrun.training import Training

#: `("base", "lr")`, `("option", "norm_decay_mult")` or `("key", ".ln")`.
Source = tuple[str, str]
#: Entries of a custom key that decide a setting: absolute, and as a factor of the base setting.
_OF_KEYS = (("lr", "lr_mult"), ("weight_decay", "decay_mult"))
#: Base setting -> what it is multiplied by, or is where the config gives none.
_BASE = {"lr": (0.83, 0.0123), "weight_decay": (0.89, 0.0171)}


def with_checked_reasons(
    parameters: Sequence[Parameter], training: Training, reads: Iterable[str]
) -> tuple[Parameter, ...]:
    """Return the parameters with the reasons that hold, `constructor` in the place of others.

    Args:
        parameters: with reasons whose numbers agree with the constructor's.
        training: whose constructor made them; it is run again.
        reads: the options that it was seen to read.
    """
    check = _Check(training)
    checked = {
        p.name: Reasons(
            lr=check.checked(p, "lr", p.reason.lr),
            weight_decay=check.checked(p, "weight_decay", p.reason.weight_decay),
        )
        for p in parameters
    }
    looked_at = check.effective | {("option", option) for option in reads}
    return tuple(
        replace(
            p,
            reason=Reasons(
                lr=_without_unread(checked[p.name].lr, looked_at),
                weight_decay=_without_unread(checked[p.name].weight_decay, looked_at),
            ),
        )
        for p in parameters
    )


def _without_unread(reason: Reason, looked_at: set[Source]) -> Reason:
    """The reason without options that the constructor does not look at, as far as one can see."""
    has_keys = ("option", "custom_keys") in looked_at or any(kind == "key" for kind, _ in looked_at)

    def is_looked_at(name: str) -> bool:
        return has_keys if name.startswith("custom_key:") else ("option", name) in looked_at

    pairs = zip(reason.beats, reason.would_give, strict=False)
    kept = [(name, would) for name, would in pairs if is_looked_at(name)]
    return replace(
        reason,
        beats=tuple(name for name, _ in kept),
        would_give=tuple(would for _, would in kept),
        misses=tuple(filter(is_looked_at, reason.misses)),
    )


class _Check:
    """Runs with altered inputs, each made once when it is first needed."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._runs: dict[Source | None, Construction | None] = {}
        #: The sources that some setting was seen to follow.
        self.effective: set[Source] = set()

    def checked(self, parameter: Parameter, setting: str, reason: Reason) -> Reason:
        """The reason if it holds for this parameter."""
        sources = _sources_of(setting, reason)
        if sources and (
            self._follows_all(parameter.name, setting)
            or any(self._follows(parameter, setting, source) for source in sources)
        ):
            self.effective.update(sources)
            return reason
        return Reason("constructor")

    def _follows_all(self, name: str, setting: str) -> bool:
        """Whether the rules give what the constructor does when everything is altered at once.

        Each number is another then, so that they agree by no chance.
        """
        run = self._run(None)
        expected = None if run is None else (run.traces or {}).get(name)
        actual = None if run is None else run.by_name.get(name)
        if actual is None or expected is None:
            return False
        return bool(getattr(actual, setting) == getattr(expected, setting))

    def _follows(self, parameter: Parameter, setting: str, source: Source) -> bool:
        """Whether altering the source alone changes the setting."""
        run = self._run(source)
        actual = None if run is None else run.by_name.get(parameter.name)
        return actual is not None and getattr(actual, setting) != getattr(parameter, setting)

    def _run(self, source: Source | None) -> Construction | None:
        """What the constructor makes with a source altered, or all; None where it raises."""
        if source not in self._runs:
            self._runs[source] = None
            wrapper = self._training.config.optim_wrapper
            if isinstance(wrapper.get("optimizer", None), dict):  # else the constructor chooses it
                try:
                    altered = _altered(wrapper, source)
                    self._runs[source] = self._training.run_again(altered, is_traced=True)
                except LldtoolError:
                    pass
        return self._runs[source]


def _sources_of(setting: str, reason: Reason) -> tuple[Source, ...]:
    """The entries that a reason names; nothing where it is the constructor's own code."""
    if reason.rule in ("base", "optimizer_default", "layer_decay"):
        option = [("option", reason.key)] if reason.key is not None else []
        return (*option, ("base", setting))
    if reason.rule == "custom_key" and reason.key is not None:
        return (("key", reason.key),)
    return (("option", reason.rule),) if reason.rule.endswith("_mult") else ()


def _altered(wrapper: Any, source: Source | None) -> Any:
    """The `optim_wrapper` with a source altered, or all of them; no two numbers are the same."""
    altered, header = copy.deepcopy(wrapper), optimizer_header(wrapper)
    options: Any = altered.get("paramwise_cfg", None) or {}
    numbers = iter(0.31 + 0.0137 * i for i in range(10**6))
    for setting, (multiplier, fallback) in _BASE.items():
        value = getattr(header, setting)
        if source in (None, ("base", setting)):
            value = value * multiplier if value else fallback
        altered["optimizer"][setting] = value
    for option, value in options.items():
        if (option.endswith("_mult") or isinstance(value, float)) and source in (
            None,
            ("option", option),
        ):
            # Some constructors take a multiplier for a switch, of 0 or 1.
            options[option] = 1.0 if value == 0 and source is not None else next(numbers)
    keys = options.get("custom_keys", {})
    for key, entry in keys.items() if isinstance(keys, dict) else ():
        if source in (None, ("key", key)) and isinstance(entry, dict):
            for absolute, factor in _OF_KEYS:  # a factor that is not given is 1
                entry[absolute if absolute in entry else factor] = next(numbers)
    if options:
        altered["paramwise_cfg"] = options
    return altered

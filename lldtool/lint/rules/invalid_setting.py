"""LLD210 invalid-setting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from lldtool.config.edit import PARAMWISE_CFG
from lldtool.lint.rules._parameters import is_valid_setting
from lldtool.lint.rules.base import (
    CONSTRUCTOR,
    CUSTOM_KEYS,
    Diagnostic,
    Rule,
    Severity,
    Subject,
    count,
)
from lldtool.lint.rules.examples import ADAMW, LAYER_DECAY, SGD, Example, keys
from lldtool.plan import Parameter
from lldtool.text import setting

#: The settings, as a message calls them.
_SETTINGS = {"lr": "lr", "weight_decay": "weight decay"}


class InvalidSetting(Rule):
    """An lr or a weight decay is negative, infinite or not a number.

    torch checks the values of the optimizer, but not those of param groups: with a negative
    `lr_mult` training increases the loss, and with a negative `decay_mult` the weights grow. torch
    accepts an infinite lr everywhere, and the weights are NaN after the first step. No other rule
    reports these parameters.

    Write the number that is meant.
    """

    severity = Severity.error
    passes = (
        Example(
            SGD,
            keys("head", lr_mult=10, decay_mult=0.0),
            config={
                "optim_wrapper.optimizer.weight_decay": 0.0,
                "optim_wrapper.clip_grad": {"max_norm": float("inf")},
            },
        ),
    )
    finds = (
        Example(LAYER_DECAY, config={"optim_wrapper.optimizer.lr": float("inf")}),
        Example(
            ADAMW, {"custom_keys": {"head": {"lr_mult": float("nan")}, "ln1": {"decay_mult": -1.0}}}
        ),
        Example(SGD, {"bias_lr_mult": -2.0}),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each entry that gives invalid settings."""
        for name, words in _SETTINGS.items():
            members: dict[tuple[str, ...], list[Parameter]] = defaultdict(list)
            for p in subject.plan.trained:
                if not is_valid_setting(getattr(p, name)):
                    members[_entry(subject, p, name)].append(p)
            for at, parameters in members.items():
                values = dict.fromkeys(setting(getattr(p, name)) for p in parameters)
                tensors = count(parameters, "tensor has", "tensors have")
                message = f"{tensors} {words} {' or '.join(values)}, from {_described(at)}"
                yield self.diagnostic(message, at, parameters)


def _entry(subject: Subject, p: Parameter, name: str) -> tuple[str, ...]:
    """The keys that lead to the entry that a setting is from."""
    if not is_valid_setting(getattr(subject.plan.optimizer, name)):
        return ("optim_wrapper", "optimizer", name)
    reason = getattr(p.reason, name)
    if reason.rule == "custom_key" and reason.key is not None:
        return (*CUSTOM_KEYS, reason.key)
    for option in (reason.rule, reason.key):  # `layer_decay` has its rate's option as the key
        if option in subject.paramwise_cfg:
            return (*PARAMWISE_CFG, option)
    return CONSTRUCTOR


def _described(at: tuple[str, ...]) -> str:
    if at == CONSTRUCTOR:
        return "the constructor"
    if at[:2] == PARAMWISE_CFG:
        return f"custom key {at[-1]!r}" if len(at) > 3 else f"paramwise_cfg.{at[-1]}"
    return f"optimizer.{at[-1]}"

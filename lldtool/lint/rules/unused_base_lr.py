"""LLD209 unused-base-lr."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lldtool.config.edit import DELETE, Edit
from lldtool.lint.rules._depth import has_lr_asked_for
from lldtool.lint.rules.base import CUSTOM_KEYS, Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, SGD, Example, keys
from lldtool.text import setting

#: Where the base lr is.
_BASE_LR = ("optim_wrapper", "optimizer", "lr")


class UnusedBaseLr(Rule):
    """No parameter trains at `optimizer.lr`: `paramwise_cfg` gives each one another lr.

    A custom key with an `lr` ignores the base lr, and an `lr_mult` whose key matches every name
    multiplies it for all of them. Then no parameter has the lr that the optimizer names, that a
    log or a paper's table is compared with, and that a sweep changes.

    It is only information where several keys set different multiples, such as 0.1 for the backbone
    and 10 for the head: there the base lr still scales every lr.

    Set `optimizer.lr` to the lr that is meant.
    """

    passes = (
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0}),
        Example(SGD, keys("head", lr_mult=10)),
    )
    finds = (
        Example(SGD, keys("", lr=0.01)),
        Example(SGD, keys(".", lr_mult=0.5)),
        Example(SGD, {"custom_keys": {"backbone": {"lr_mult": 0.1}, "head": {"lr_mult": 10}}}),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding if keys give every trained parameter another lr than the base lr."""
        base, ratio = subject.plan.optimizer.lr, subject.plan.auto_scale_lr
        lrs = {p.lr / ratio for p in subject.parameters if p.lr is not None}
        if not base or not lrs or any(math.isclose(lr, base) for lr in lrs):
            return
        if not all(map(has_lr_asked_for, subject.parameters)):
            return
        names = {p.reason.lr.key for p in subject.parameters}
        entries = {key: entry for key, entry in subject.custom_keys if key in names}
        said = " and ".join(f"{key!r} {_said(entry)}" for key, entry in entries.items())
        is_relative = not any("lr" in entry for entry in entries.values())
        yield self.diagnostic(
            f"no parameter trains at optimizer.lr {setting(base)}: custom key {said}",
            _BASE_LR,
            (),
            _ways(entries, lrs),
            Severity.info if is_relative and len(lrs) > 1 else None,
        )


def _said(entry: dict[str, object]) -> str:
    """What a key does: `multiplies it by 0.1`."""
    lr, mult = entry.get("lr"), entry.get("lr_mult")
    if isinstance(lr, (int, float)):
        return f"gives lr {setting(lr)}"
    return f"multiplies it by {setting(mult)}" if isinstance(mult, (int, float)) else "decides"


def _ways(entries: dict[str, dict[str, object]], lrs: set[float]) -> list[list[Edit]]:
    """The one lr of all in the optimizer, and no more in the keys."""
    if len(lrs) > 1:
        return []
    options = [
        Edit((*CUSTOM_KEYS, key, option), DELETE)
        for key, entry in entries.items()
        for option in ("lr", "lr_mult")
        if option in entry
    ]
    return [[Edit(_BASE_LR, float(f"{lrs.copy().pop():.12g}")), *options]]

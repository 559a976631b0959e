"""The input of a rule, a `Subject`, and `Rule`, the base class of rules."""

from __future__ import annotations

import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from lldtool.analysis.keys import Effects, Key, keys_of
from lldtool.analysis.resume import Resume
from lldtool.config.edit import PARAMWISE_CFG
from lldtool.errors import ConstructorError, ResumeError
from lldtool.lint.diagnostics import Diagnostic, Fix, Fixes, Severity
from lldtool.lint.rules._blocks import Backbone, backbones
from lldtool.lint.rules._parameters import NameIndex, is_valid_setting, kind_of
from lldtool.lint.rules.examples import RECIPE, Example
from lldtool.plan import Parameter, Plan, UntrainedParameter

__all__ = [
    "CONSTRUCTOR", "CUSTOM_KEYS", "Diagnostic", "Fix", "Rule", "Severity", "Subject", "count",
]  # fmt: skip

#: The keys that lead to entries of the config.
CONSTRUCTOR = ("optim_wrapper", "constructor")
CUSTOM_KEYS = (*PARAMWISE_CFG, "custom_keys")
_CODE_AND_NAME = re.compile(r"(LLD\d{3}) ([a-z-]+)\.")
#: Constructors that decay the lr by layers, by the names of their classes.
_LAYER_DECAY = re.compile(r".*(LayerDecay|LearningRateDecay|LayerWise|Layerwise|LrDecay|LRDecay).*")


@dataclass(frozen=True)
class Subject:
    """The input of the rules: the plan of one config, and the effects of changing its entries.

    `effects` are those of entries of `paramwise_cfg`, where they were measured; a saved plan has no
    constructor to run. `resume` is the training after it was resumed, where it is to be, and
    `no_resume` why it can't be. `no_decay`, `must_decay` and `may_decay` are the user's own lists.
    """

    plan: Plan
    effects: Effects = field(default_factory=Effects)
    no_decay: tuple[str, ...] = ()
    must_decay: tuple[str, ...] = ()
    may_decay: tuple[str, ...] = ()
    resume: Resume | None = None
    no_resume: ResumeError | None = None

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that are trained, except those of which LLD210 reports a setting."""
        return tuple(
            p
            for p in self.plan.trained
            if is_valid_setting(p.lr) and is_valid_setting(p.weight_decay)
        )

    @cached_property
    def backbones(self) -> Sequence[Backbone]:
        """The backbones of the model, with those of their parameters that are trained."""
        return backbones(self.plan, self.parameters)

    @cached_property
    def by_kind(self) -> Mapping[str, Sequence[Parameter]]:
        """Kind of parameter, as in `kind_of` -> those of them that train."""
        kinds: dict[str, list[Parameter]] = defaultdict(list)
        for p in self.parameters:
            kinds[kind_of(p)].append(p)
        return kinds

    @cached_property
    def names(self) -> NameIndex:
        """The names of the parameters in param groups."""
        return NameIndex(p.name for p in self.plan.parameters)

    @cached_property
    def keys(self) -> Sequence[Key]:
        """The entries of `paramwise_cfg`, and how many parameters they match and decide."""
        return keys_of(self.plan)

    @property
    def paramwise_cfg(self) -> Mapping[str, Any]:
        """The config's `paramwise_cfg`; empty where it has none."""
        return self.plan.constructor.paramwise_cfg

    @property
    def custom_keys(self) -> list[tuple[str, dict[str, object]]]:
        """The custom keys with their entries."""
        keys = self.paramwise_cfg.get("custom_keys", None)
        known = keys.items() if isinstance(keys, dict) else ()
        return [(key, value) for key, value in known if isinstance(value, dict)]

    @property
    def decays_by_layer(self) -> bool:
        """Whether the config names a constructor of layer-wise lr decay, whatever it did."""
        constructor = self.plan.constructor
        names = (constructor.type, *constructor.bases)
        return self.plan.has_layers or any(_LAYER_DECAY.fullmatch(name) for name in names)


class Rule:
    """One rule. Its docstring is its page: a line on what it finds, then why and what to do.

    The docstring of its module is its code and its name: `LLD101 decayed-norm.`
    """

    code: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity] = Severity.warning
    #: Whether it is selected where the user selects nothing.
    by_default: ClassVar[bool] = True
    passes: ClassVar[Sequence[Example]] = (Example(RECIPE),)
    finds: ClassVar[Sequence[Example]] = ()

    def __init_subclass__(cls) -> None:
        """Take code and name from the module."""
        if named := _CODE_AND_NAME.fullmatch(sys.modules[cls.__module__].__doc__ or ""):
            cls.code, cls.name = named.groups()

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield what the rule finds in a plan."""
        yield from ()

    def check_error(self, error: ConstructorError) -> Iterator[Diagnostic]:
        """Yield what the rule finds in a constructor that raised."""
        yield from ()

    def diagnostic(
        self,
        message: str,
        entry: tuple[str, ...] = (),
        parameters: Sequence[Parameter | UntrainedParameter] = (),
        fixes: Fixes = (),
        severity: Severity | None = None,
        **details: Any,  # noqa: ANN401
    ) -> Diagnostic:
        """Return a diagnostic of this rule.

        Args:
            message: one sentence without a full stop.
            entry: the keys that lead to the config's entry to blame; if it is missing, to what it
                would be in.
            parameters: that it is about.
            fixes: possible ones, best first.
            severity: where it is less severe than the rule's own.
            details: other fields of `Diagnostic`.
        """
        names = tuple(dict.fromkeys(p.name for p in parameters))
        return Diagnostic(
            self.code, self.name, severity or self.severity, message, names, entry,
            fixes=fixes, is_capped=severity is not None, **details,
        )  # fmt: skip

    @property
    def summary(self) -> str:
        """The docstring's first line, without the full stop."""
        return self.page.partition("\n")[0].removesuffix(".")

    @property
    def page(self) -> str:
        """The docstring: Markdown."""
        return inspect.cleandoc(type(self).__doc__ or "")


def count(members: Sequence[object] | int, one: str, several: str) -> str:
    """`1 tensor gets`, `5 tensors get`: a number and what follows it for one or several."""
    number = members if isinstance(members, int) else len(members)
    return f"{number:,} {one if number == 1 else several}"

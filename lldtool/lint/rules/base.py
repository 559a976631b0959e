"""The input of a rule, a `Subject`, and its output, `Found` findings with their fixes."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from lldtool.analysis.keys import Effects, Key, keys_of
from lldtool.config.edit import Edit
from lldtool.errors import ConstructorError
from lldtool.lint.diagnostics import Severity
from lldtool.lint.rules._blocks import Backbone, backbones
from lldtool.lint.rules._parameters import NameIndex, is_valid_setting, kind_of
from lldtool.lint.rules.examples import Example
from lldtool.plan import Parameter, Plan

#: Constructors that decay the lr by layers, by the names of their classes.
_LAYER_DECAY = re.compile(r".*(LayerDecay|LearningRateDecay|LayerWise|Layerwise|LrDecay|LRDecay).*")


@dataclass(frozen=True)
class Fix:
    """Edits that may fix a finding.

    `hint` is what the finding's message ends with where they are suggested. `must_change` is true
    where they are of use only if some parameter gets other settings; `may_retrain` where they may
    change which parameters train: the message says so then. No other fix may.
    """

    edits: Sequence[Edit]
    hint: str = ""
    must_change: bool = False
    may_retrain: bool = False


@dataclass(frozen=True)
class Found:
    """A finding, as a rule makes it: about what, and which entry of the config is to blame.

    `at` are the keys that lead to that entry; where there is none, to what it would be in.
    `instead` are possible fixes, best first, or a function that returns them, called only where
    fixes are tried; the first one that works is suggested.
    `severity` is given where it is not the rule's own. `changes_nothing` is true where a fix is
    known to leave the plan as it is, and need not be tried; `only_decay` where it must change the
    weight decay of these parameters and nothing else; `may_uncover` where it is right though other
    findings come up, as they do once a misspelt option takes effect. `see` are the keys that lead
    to another entry that the message ends with: its file and line are added.
    """

    message: str
    at: tuple[str, ...]
    parameters: Sequence[Parameter] | Sequence[str] = ()
    instead: Sequence[Fix | Sequence[Edit]] | Callable[[], Sequence[Sequence[Edit]]] = ()
    severity: Severity | None = None
    changes_nothing: bool = False
    only_decay: bool = False
    may_uncover: bool = False
    see: tuple[str, ...] = ()

    @property
    def fixes(self) -> Sequence[Fix]:
        """The possible fixes, best first."""
        found = self.instead() if callable(self.instead) else self.instead
        return [one if isinstance(one, Fix) else Fix(one) for one in found]


@dataclass(frozen=True)
class Subject:
    """The input of the rules: the plan of one config, and the effects of altering its entries.

    `effects` has what altering entries of `paramwise_cfg` does, where that was tried; nothing for
    a saved plan, which has no constructor to run. `no_decay`, `must_decay` and `may_decay` are the
    user's own lists.
    """

    plan: Plan
    effects: Effects = field(default_factory=Effects)
    no_decay: tuple[str, ...] = ()
    must_decay: tuple[str, ...] = ()
    may_decay: tuple[str, ...] = ()

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that are trained, but those of which LLD210 reports a setting."""
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
        """Kind of parameter, as `kind_of` has it -> those of them that train."""
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
        """The entries of `paramwise_cfg`, and how much they match and decide."""
        return keys_of(self.plan)

    @property
    def paramwise_cfg(self) -> Mapping[str, Any]:
        """The config's `paramwise_cfg`; empty where it has none."""
        return self.plan.constructor.paramwise_cfg

    @property
    def decays_by_layer(self) -> bool:
        """Whether a constructor of layer-wise lr decay is named, whatever it did."""
        constructor = self.plan.constructor
        names = (constructor.type, *constructor.bases)
        return self.plan.has_layers or any(_LAYER_DECAY.fullmatch(name) for name in names)


class Rule:
    """One rule. Its docstring is its page: a line on what it finds, then why and what to do."""

    code: ClassVar[str]
    name: ClassVar[str]
    severity: ClassVar[Severity] = Severity.warning
    #: Whether it is selected where the user selects nothing.
    by_default: ClassVar[bool] = True
    passes: ClassVar[Sequence[Example]] = ()
    finds: ClassVar[Sequence[Example]] = ()

    def check(self, subject: Subject) -> Iterator[Found]:
        """Yield what the rule finds in a plan."""
        yield from ()

    def check_error(self, error: ConstructorError) -> Iterator[Found]:
        """Yield what the rule finds in a constructor that raised."""
        yield from ()

    @property
    def summary(self) -> str:
        """The docstring's first line, without the full stop."""
        return self.page.partition("\n")[0].removesuffix(".")

    @property
    def page(self) -> str:
        """The docstring: Markdown."""
        return inspect.cleandoc(type(self).__doc__ or "")

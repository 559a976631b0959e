"""Try the fixes that rules propose for a config, and keep those that work and do no harm."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lldtool.config.edit import PARAMWISE_CFG, Edit
from lldtool.errors import ResumeError
from lldtool.lint.diagnostics import Diagnostic, Fix, Severity
from lldtool.lint.policy import Policy
from lldtool.lint.rules import Rule, Subject
from lldtool.plan import Plan
from lldtool.text import plural

if TYPE_CHECKING:
    from lldtool.dryrun import Capture


def judge(
    rules: Sequence[Rule], policy: Policy, plan: Plan, capture: Capture | None = None
) -> list[Diagnostic]:
    """Return what the rules find in a plan, or in the capture that it is of; no fix is tried."""
    subject = Subject(
        plan,
        no_decay=policy.no_decay,
        must_decay=policy.must_decay,
        may_decay=policy.may_decay,
    )
    if capture is not None:
        error = capture.no_resume
        subject = replace(
            subject,
            effects=capture.effects,
            resume=capture.resume,
            no_resume=error if isinstance(error, ResumeError) else None,
        )
    return [diagnostic for rule in rules for diagnostic in rule.check(subject)]


def with_fixes(
    diagnostics: Sequence[Diagnostic],
    rules: Sequence[Rule],
    policy: Policy,
    capture: Capture,
    *,
    is_warm: bool = True,
) -> list[Diagnostic]:
    """Return the diagnostics with only the fixes that work, the best first.

    Args:
        diagnostics: what the rules found in the config.
        rules: all that the config is checked for.
        policy: the user's.
        capture: of the config; without a plan if its constructor raised.
        is_warm: whether the config is still loaded; otherwise all trials are made at once.
    """
    return _Fixing(diagnostics, rules, policy, capture).fixed(at_once=not is_warm)


@dataclass(frozen=True)
class _Edited:
    """The plan with some edits, and what the rules find in it."""

    plan: Plan
    diagnostics: Sequence[Diagnostic]
    lr_rises: bool


class _Fixing:
    """The diagnostics of one config, and the edited configs that were tried for them."""

    def __init__(
        self,
        diagnostics: Sequence[Diagnostic],
        rules: Sequence[Rule],
        policy: Policy,
        capture: Capture,
    ) -> None:
        self._diagnostics, self._rules, self._policy = diagnostics, rules, policy
        self._capture, self._before = capture, capture.plan
        self._tried: dict[str, _Edited | None] = {}

    def fixed(self, *, at_once: bool) -> list[Diagnostic]:
        fixed = self._with_first_that_works(at_once=at_once)
        plan = self._before
        if plan is None:
            return fixed
        fixed = self._with_common_fixes(fixed, plan)
        return [replace(d, fixes=_with_whole_list(_edits_of(d), plan)) for d in fixed]

    def _with_first_that_works(self, *, at_once: bool) -> list[Diagnostic]:
        """Return each diagnostic with its first fix that works, and with what the fix changes."""
        fixed = [replace(d, fixes=()) for d in self._diagnostics]
        waiting = {i: d.possible_fixes for i, d in enumerate(self._diagnostics)}
        if at_once:
            self._try(fix.edits for fixes in waiting.values() for fix in fixes if not fix.is_noop)
        while waiting := {i: fixes for i, fixes in waiting.items() if fixes}:
            first = {i: fixes.pop(0) for i, fixes in waiting.items()}
            self._try(fix.edits for fix in first.values() if not fix.is_noop)
            for i, fix in first.items():
                edited = None if fix.is_noop else self._tried[repr(fix.edits)]
                if not fix.is_noop and not (edited and self._works(fixed[i], fix, edited)):
                    continue
                message = fixed[i].message
                if edited is not None:
                    message += f"{fix.hint}{self._retrained_hint(edited.plan)}"
                fixed[i] = replace(fixed[i], message=message, fixes=(fix.edits,))
                del waiting[i]
        return fixed

    def _try(self, edit_lists: Iterable[Sequence[Edit]]) -> None:
        """Run the config with each list of edits, unless that was done before."""
        from lldtool.dryrun import trial

        new = {key: edits for edits in edit_lists if (key := repr(edits)) not in self._tried}
        trials = trial(self._capture.request, list(new.values())) if new else []
        for key, one in zip(new, trials, strict=True):
            self._tried[key] = None
            if one.plan is not None:
                found = judge(self._rules, self._policy, one.plan)
                self._tried[key] = _Edited(one.plan, found, one.lr_rises)

    def _works(self, diagnostic: Diagnostic, fix: Fix, edited: _Edited) -> bool:
        """Whether the diagnostic goes with a fix, and nothing else gets worse."""
        before, plan = self._before, edited.plan
        if any(_is_same(diagnostic, other) for other in edited.diagnostics):
            return False
        if before is None:  # any plan is better than none
            return True
        known_in = plan if fix.may_retrain else before
        return (
            (diagnostic.may_uncover or self._are_known(edited.diagnostics, known_in))
            and (fix.may_retrain or not any(self._retrained(plan)))
            and (not fix.must_change or _settings(before) != _settings(plan))
            and (
                not diagnostic.of_decay or _same_but_decay(before, plan, self._at_fault(diagnostic))
            )
            and not edited.lr_rises
        )

    def _are_known(self, after: Sequence[Diagnostic], plan: Plan) -> bool:
        """Whether all diagnostics after a fix, infos aside, are of the same places or parameters.

        Those of parameters that start or stop to train in `plan` are expected.
        """
        retrained = frozenset().union(*self._retrained(plan))
        places = {(d.code, _where(d)) for d in self._diagnostics}
        names = {(d.code, name) for d in self._diagnostics for name in d.parameters}
        return all(
            (d.code, _where(d)) in places
            or (d.parameters and names.issuperset((d.code, name) for name in d.parameters))
            or (d.parameters and retrained.issuperset(d.parameters))
            for d in after
            if d.severity is not Severity.info
        )

    def _at_fault(self, diagnostic: Diagnostic) -> Collection[str]:
        """Return the parameters whose weight decay a fix of this diagnostic may change.

        They are those of all diagnostics on weight decay that are as severe: where one is only
        information, the weight decay may be meant.
        """
        return {
            name
            for d in self._diagnostics
            if d.of_decay and d.severity.rank <= diagnostic.severity.rank
            for name in d.parameters
        }

    def _retrained(self, after: Plan) -> tuple[set[str], set[str]]:
        """Return the parameters that stop to train with a fix, and those that start."""
        if self._before is None:
            return set(), set()
        before, now = ({p.name for p in plan.trained} for plan in (self._before, after))
        return before - now, now - before

    def _retrained_hint(self, after: Plan) -> str:
        """Return the end of a message: what a fix changes about which parameters train, if any."""
        stopped, started = map(len, self._retrained(after))
        parts = [
            *([f"{plural(stopped, 'tensor')} no longer {_train(stopped)}"] if stopped else []),
            *([f"{plural(started, 'more tensor')} {_train(started)}"] if started else []),
        ]
        return f"; with the fix, {' and '.join(parts)}" if parts else ""

    def _with_common_fixes(self, fixed: Sequence[Diagnostic], plan: Plan) -> list[Diagnostic]:
        """Return the diagnostics with a combined fix where several would add the same dict.

        Only one of several statements that write a dict which the config does not have can be
        pasted, so each has the edits of all that are as severe, if that was seen to work.
        """
        container = _missing_container(plan)
        adding = [
            d for d in fixed if d.fixes and all(_is_in(edit, container) for edit in _edits_of(d))
        ]
        common = {
            severity: self._common_fix([d for d in adding if d.severity.rank <= severity.rank])
            for severity in {d.severity for d in adding}
        }
        return [
            replace(d, fixes=(common[d.severity] or _edits_of(d),)) if d in adding else d
            for d in fixed
        ]

    def _common_fix(self, adding: Sequence[Diagnostic]) -> list[Edit]:
        """Return the edits of all these fixes; none where they do not work together."""
        edits = list({edit.path: edit for d in adding for edit in _edits_of(d)}.values())
        if len(adding) < 2:
            return edits
        self._try([edits])
        edited = self._tried[repr(edits)]
        if edited is None or any(self._retrained(edited.plan)):
            return []
        left = any(_is_same(d, after) for after in edited.diagnostics for d in adding)
        return [] if left else edits


def _edits_of(diagnostic: Diagnostic) -> Sequence[Edit]:
    """Return the edits of the fix that works; none where there is none."""
    return diagnostic.possible_fixes[0].edits if diagnostic.fixes else ()


def _is_same(one: Diagnostic, other: Diagnostic) -> bool:
    """Whether two diagnostics are about the same, before and after an edit."""
    if one.code != other.code:
        return False
    if one.of_decay:
        return not set(one.parameters).isdisjoint(other.parameters)
    return one.entry == other.entry


def _where(diagnostic: Diagnostic) -> tuple[str, ...]:
    """Return the option or custom key to blame; the constructor and its options are one place."""
    return diagnostic.entry if len(diagnostic.entry) > len(PARAMWISE_CFG) else ()


def _train(number: int) -> str:
    return "trains" if number == 1 else "train"


def _same_but_decay(before: Plan, after: Plan, names: Collection[str]) -> bool:
    """Whether two plans differ in the weight decay of these parameters at most."""
    old, new = _settings(before), _settings(after)
    return old.keys() == new.keys() and all(
        (lr, extras) == new[name, optimizer][::2]
        and (name in names or decay == new[name, optimizer][1])
        for (name, optimizer), (lr, decay, extras) in old.items()
    )


def _settings(
    plan: Plan,
) -> dict[tuple[str, str | None], tuple[float | None, float | None, dict[str, Any]]]:
    """Name, optimizer -> lr, weight decay and what else of the param group is read."""
    options = plan.group_options
    read = None if options is None else {*options, *plan.optimizer.group_entries}
    return {
        (p.name, p.optimizer): (
            p.lr,
            p.weight_decay,
            {key: value for key, value in p.extras.items() if read is None or key in read},
        )
        for p in plan.parameters
    }


def _missing_container(plan: Plan) -> tuple[str, ...]:
    """Return the outermost dict of constructor options that the config does not have, or ()."""
    options = plan.constructor.paramwise_cfg
    if "custom_keys" in options:
        return ()
    return (*PARAMWISE_CFG, "custom_keys") if options else PARAMWISE_CFG


def _is_in(edit: Edit, container: tuple[str, ...]) -> bool:
    return container != () and edit.path[: len(container)] == container


def _with_whole_list(edits: Sequence[Edit], plan: Plan) -> list[Sequence[Edit]]:
    """Return the fix, and after it, for one of a list of schedulers, the list written whole.

    A list that is inherited has to be written whole.
    """
    schedulers = plan.param_scheduler
    if not edits:
        return []
    if any(edit.path[0] != "param_scheduler" for edit in edits) or not isinstance(
        schedulers, tuple
    ):
        return [edits]
    parts = {"param_scheduler": copy.deepcopy(list(schedulers))}
    for edit in edits:
        edit.apply_to(parts)
    return [edits, [Edit(("param_scheduler",), parts["param_scheduler"])]]

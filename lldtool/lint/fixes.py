"""Try the fixes that rules propose for a config, and keep those that work and do no harm."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lldtool.analysis.keys import Effects
from lldtool.config.edit import PARAMWISE_CFG, Edit
from lldtool.errors import LldtoolError
from lldtool.lint.diagnostics import Severity
from lldtool.lint.policy import Policy
from lldtool.lint.rules import Found, Rule, Subject
from lldtool.lint.rules.base import Fix
from lldtool.plan import Parameter, Plan
from lldtool.text import plural

if TYPE_CHECKING:
    from lldtool.dryrun.examination import Examination


@dataclass(frozen=True)
class Judged:
    """What a rule found, and the edits that were tried and fix it.

    `whole_list` is the same with a list written whole whose items they change, as one has to where
    it is inherited.
    """

    rule: Rule
    found: Found
    fix: Sequence[Edit] = ()
    whole_list: Sequence[Edit] = ()

    @property
    def severity(self) -> Severity:
        """The rule's own severity where the finding has none."""
        return self.found.severity or self.rule.severity


def judge(
    rules: Sequence[Rule], policy: Policy, plan: Plan, effects: Effects | None = None
) -> list[Judged]:
    """Return what the rules find in a plan, without fixes."""
    subject = Subject(
        plan, effects or Effects(), policy.no_decay, policy.must_decay, policy.may_decay
    )
    return [Judged(rule, found) for rule in rules for found in rule.check(subject)]


def with_fixes(
    judged: Sequence[Judged],
    rules: Sequence[Rule],
    policy: Policy,
    examination: Examination,
    before: Plan | None,
) -> list[Judged]:
    """Return the findings with the fixes that work, and with what these add to their messages.

    Args:
        judged: what the rules found in the config, or made of what its constructor raised.
        rules: all that the config is checked for.
        policy: the user's.
        examination: of the config.
        before: the config's plan; None where its constructor raised.
    """
    return _Trials(judged, rules, policy, examination, before).fixed()


@dataclass(frozen=True)
class _Trials:
    """Runs of the constructor with edits of the config; the fields are as in `with_fixes`."""

    judged: Sequence[Judged]
    rules: Sequence[Rule]
    policy: Policy
    examination: Examination
    before: Plan | None

    def fixed(self) -> list[Judged]:
        fixed = [self._fixed(one) for one in self.judged]
        if self.before is None:
            return fixed
        fixed = self._opening_together(fixed, self.before)
        return [replace(one, whole_list=_whole_list(one.fix, self.before)) for one in fixed]

    def _fixed(self, one: Judged) -> Judged:
        """The finding with the first fix that works."""
        for fix in one.found.fixes:
            if one.found.changes_nothing:
                return replace(one, fix=fix.edits)
            with contextlib.suppress(LldtoolError):
                edited = self.examination.edited(fix.edits)
                if edited is not None and self._works(one, fix, edited):
                    message = f"{one.found.message}{fix.hint}{self._retrained_hint(edited.plan)}"
                    return replace(one, fix=fix.edits, found=replace(one.found, message=message))
        return one

    def _works(self, one: Judged, fix: Fix, edited: Examination) -> bool:
        """Whether the finding goes with a fix, and nothing else gets worse.

        Raises:
            LldtoolError: training would fail with it.
        """
        plan, found = edited.plan, one.found
        after = judge(self.rules, self.policy, plan)
        if any(other.rule is one.rule and _is_same(found, other.found) for other in after):
            return False
        before = self.before
        if before is None:  # any plan is better than none
            return True
        return (
            (found.may_uncover or self._is_known(after, plan if fix.may_retrain else before))
            and (fix.may_retrain or not any(self._retrained(plan)))
            and (not fix.must_change or _settings(before) != _settings(plan))
            and (not found.only_decay or _same_but_decay(before, plan, self._at_fault(one)))
            and not (_is_of_schedule(fix.edits) and self._rises_again(edited))
        )

    def _is_known(self, after: Sequence[Judged], plan: Plan) -> bool:
        """Whether all findings with a fix, infos aside, are of the same places or parameters.

        What is found in parameters that start or stop to train in `plan` comes with that.
        """
        retrained = frozenset().union(*self._retrained(plan))
        places = {(one.rule.code, _where(one.found)) for one in self.judged}
        names = {(one.rule.code, name) for one in self.judged for name in names_of(one.found)}
        return all(
            (one.rule.code, _where(one.found)) in places
            or (names_of(one.found) and names.issuperset(_coded(one)))
            or (names_of(one.found) and retrained.issuperset(names_of(one.found)))
            for one in after
            if one.severity is not Severity.info
        )

    def _at_fault(self, one: Judged) -> Collection[str]:
        """The parameters whose weight decay a fix of this finding may change.

        They are those of all findings on weight decay that are as serious: where one is only
        information, the weight decay may be meant.
        """
        return {
            name
            for other in self.judged
            if other.found.only_decay and other.severity.rank <= one.severity.rank
            for name in names_of(other.found)
        }

    def _retrained(self, after: Plan) -> tuple[set[str], set[str]]:
        """The parameters that a fix makes stop to train, and those that it makes start."""
        if self.before is None:
            return set(), set()
        before, now = ({p.name for p in plan.trained} for plan in (self.before, after))
        return before - now, now - before

    def _retrained_hint(self, after: Plan) -> str:
        """What a fix changes about which parameters train, as the end of a message; or nothing."""
        stopped, started = map(len, self._retrained(after))
        parts = [
            *([f"{plural(stopped, 'tensor')} no longer {_train(stopped)}"] if stopped else []),
            *([f"{plural(started, 'more tensor')} {_train(started)}"] if started else []),
        ]
        return f"; with the fix, {' and '.join(parts)}" if parts else ""

    def _rises_again(self, edited: Examination) -> bool:
        """Whether with the edits an lr rises after it has fallen, and does not without."""
        from lldtool.dryrun.stepping import rises_again

        if self.before is None or not rises_again(edited.training, edited.plan):
            return False
        with contextlib.suppress(LldtoolError):
            return not rises_again(self.examination.training, self.before)
        return True

    def _opening_together(self, fixed: Sequence[Judged], plan: Plan) -> list[Judged]:
        """Return the findings with one common fix for those that would each open the same dict.

        Only one of several statements that write a dict which the config does not have can be
        pasted, so each says what all do that are as serious, if that was seen to work.
        """
        container = _missing_container(plan)
        opening = [
            one for one in fixed if one.fix and all(_is_in(edit, container) for edit in one.fix)
        ]
        common = {
            severity: self._common_fix([o for o in opening if o.severity.rank <= severity.rank])
            for severity in {one.severity for one in opening}
        }
        return [
            replace(one, fix=common[one.severity] or one.fix) if one in opening else one
            for one in fixed
        ]

    def _common_fix(self, opening: Sequence[Judged]) -> list[Edit]:
        """Return the edits of all these fixes; none where they do not work together."""
        edits = list({edit.path: edit for one in opening for edit in one.fix}.values())
        if len(opening) < 2:
            return edits
        with contextlib.suppress(LldtoolError):
            edited = self.examination.edited(edits)
            after = [] if edited is None else judge(self.rules, self.policy, edited.plan)
            left = any(
                a.rule is b.rule and _is_same(b.found, a.found) for a in after for b in opening
            )
            if edited is not None and not left and not any(self._retrained(edited.plan)):
                return edits
        return []


def _is_same(one: Found, other: Found) -> bool:
    """Whether two findings of a rule are about the same, before and after an edit."""
    if one.only_decay:
        return not set(names_of(one)).isdisjoint(names_of(other))
    return one.at == other.at


def _where(found: Found) -> tuple[str, ...]:
    """The option or custom key to blame; the constructor and all of its options are one place."""
    return found.at if len(found.at) > len(PARAMWISE_CFG) else ()


def _coded(one: Judged) -> Iterator[tuple[str, str]]:
    return ((one.rule.code, name) for name in names_of(one.found))


def names_of(found: Found) -> tuple[str, ...]:
    """Return the names of the parameters that a finding is about."""
    names = (p.name if isinstance(p, Parameter) else p for p in found.parameters)
    return tuple(dict.fromkeys(names))


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
    """Name, optimizer -> lr, weight decay and what else that reads in the param group."""
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


def _is_of_schedule(edits: Sequence[Edit]) -> bool:
    return any(edit.path[0] == "param_scheduler" for edit in edits)


def _missing_container(plan: Plan) -> tuple[str, ...]:
    """The outermost dict of the constructor's options that the config does not have, or ()."""
    options = plan.constructor.paramwise_cfg
    if "custom_keys" in options:
        return ()
    return (*PARAMWISE_CFG, "custom_keys") if options else PARAMWISE_CFG


def _is_in(edit: Edit, container: tuple[str, ...]) -> bool:
    return container != () and edit.path[: len(container)] == container


def _whole_list(edits: Sequence[Edit], plan: Plan) -> Sequence[Edit]:
    """Edits of schedulers as one of their list; none where they are not in one."""
    schedulers = plan.param_scheduler
    if not edits or any(edit.path[0] != "param_scheduler" for edit in edits):
        return ()
    if not isinstance(schedulers, tuple):
        return ()
    parts = {"param_scheduler": copy.deepcopy(list(schedulers))}
    for edit in edits:
        edit.apply_to(parts)
    return [Edit(("param_scheduler",), parts["param_scheduler"])]

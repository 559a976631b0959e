"""A config or a plan, held against the rules: what `lldtool check` does for each."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lldtool.baseline import Baseline
from lldtool.errors import ConstructorError, LldtoolError
from lldtool.findings import Checked, Finding, Place, Report, Severity, Status
from lldtool.keys import Effects
from lldtool.plan import Parameter, Plan
from lldtool.policy import Policy
from lldtool.request import Request
from lldtool.rules import Edit, Found, Rule, Subject, all_rules, codes_of
from lldtool.rules.base import PARAMWISE_CFG
from lldtool.rules.unused_ignore import UnusedIgnore
from lldtool.schedule import Length, Schedule
from lldtool.source.pasteable import config_text
from lldtool.source.places import Sources
from lldtool.source.suppressions import Suppression

if TYPE_CHECKING:
    from lldtool.dryrun.examination import Examination


@dataclass(frozen=True)
class Ignore:
    """A comment in a config's files, and the codes that it did ignore there."""

    comment: Suppression
    used: frozenset[str]


@dataclass(frozen=True)
class Outcome:
    """What the rules found in one config, before it is set beside the others."""

    config: str
    findings: tuple[Finding, ...]
    path: Path | None = None
    ignores: tuple[Ignore, ...] = ()
    codes: frozenset[str] = frozenset()
    error: str | None = None


@dataclass(frozen=True)
class _Judged:
    """What a rule found, and the edits that were seen to mend it.

    `in_whole` is the same, with a list whose items they change written whole, as one has to where
    it is inherited.
    """

    rule: Rule
    found: Found
    mend: Sequence[Edit] = ()
    in_whole: Sequence[Edit] = ()


@dataclass(frozen=True)
class Survey:
    """All that there is to say about one config.

    `plan` is None where it has none; the outcome says why. `schedule` is None where it was not
    asked for, or can't be had; `no_schedule` says why. `files` are the user's own that were read,
    `modules` those that the process had imported before.
    """

    outcome: Outcome
    plan: Plan | None = None
    schedule: Schedule | None = None
    no_schedule: str | None = None
    files: frozenset[Path] = frozenset()
    modules: frozenset[Path] = frozenset()


def check_config(policy: Policy, request: Request) -> Outcome:
    """Dry-run a config and hold the rules against it. What went wrong is in the outcome."""
    from lldtool.dryrun.examination import examine

    rules = policy.rules_for(request.name, request.path)
    try:
        error, judged = examine(request, partial(_judge_live, rules, policy))
    except LldtoolError as raised:
        error, judged = _judge_error(rules, raised)
    return _outcome(policy, request, rules, error, judged)


def survey(policy: Policy, request: Request, length: Length | None = None) -> Survey:
    """The same, with the plan, and the schedule where its length is given; and what was read."""
    from lldtool.dryrun.examination import examine_noting_files
    from lldtool.dryrun.files_read import loaded_modules

    rules, modules = policy.rules_for(request.name, request.path), loaded_modules()
    look = partial(_survey_live, rules, policy, length)
    try:
        (error, judged, plan, schedule), files = examine_noting_files(request, look)
    except LldtoolError as raised:
        outcome = _outcome(policy, request, rules, *_judge_error(rules, raised))
        return Survey(outcome, files=raised.files, modules=modules)
    outcome = _outcome(policy, request, rules, error, judged)
    if isinstance(schedule, str):
        return Survey(outcome, plan, None, schedule, files, modules)
    return Survey(outcome, plan, schedule, None, files, modules)


def _survey_live(
    rules: Sequence[Rule], policy: Policy, length: Length | None, examination: Examination
) -> tuple[str | None, list[_Judged], Plan | None, Schedule | str | None]:
    """What there is against a config; its plan; its schedule, or why it has none."""
    error, judged = _judge_live(rules, policy, examination)
    if error is not None or length is None:
        return error, judged, None if error is not None else examination.plan, None
    try:
        return None, judged, examination.plan, examination.schedule(length)
    except LldtoolError as raised:
        return None, judged, examination.plan, raised.without_config()


def _judge_error(rules: Sequence[Rule], raised: LldtoolError) -> tuple[str, list[_Judged]]:
    """What there is against a config that has no plan."""
    if not isinstance(raised, ConstructorError):
        return raised.without_config(), []
    found = [(rule, found) for rule in rules for found in rule.check_error(raised)]
    return raised.message, [_Judged(*one) for one in found]


def _outcome(
    policy: Policy,
    request: Request,
    rules: Sequence[Rule],
    error: str | None,
    judged: Sequence[_Judged],
) -> Outcome:
    path = Path(os.path.normpath(Path.cwd() / request.path))
    sources = Sources(path)
    findings = [_finding(one, policy, sources) for one in judged]
    kept, ignores = _without_ignored(findings, sources.suppressions())
    if request.checkout is not None:  # whose files go with this process
        kept, ignores = tuple(replace(f, place=None, inheriting=()) for f in kept), ()
    codes = frozenset(rule.code for rule in rules)
    return Outcome(request.name, kept, path, ignores, codes, error)


def check_plan(policy: Policy, plan: Plan, name: str | None = None) -> Outcome:
    """Hold the rules against a plan; there are no places then, and nothing to suggest."""
    name = plan.config if name is None else name
    rules = policy.rules_for(name, Path(name))
    findings = [_finding(one, policy, None) for one in _judge(rules, _subject(policy, plan))]
    return Outcome(name, tuple(findings), codes=frozenset(rule.code for rule in rules))


def report_of(
    outcomes: Iterable[Outcome], policy: Policy, baseline: Baseline | None = None
) -> Report:
    """The outcomes of several configs together: unused comments, and what a baseline accepts."""
    outcomes = list(outcomes)
    unused = _unused(outcomes, policy)
    configs = []
    for outcome in outcomes:
        findings = sorted((*outcome.findings, *unused.get(outcome.config, ())), key=_by_place)
        if baseline is not None:
            findings = [f for f in findings if not baseline.accepts(outcome.config, f)]
        configs.append(
            Checked(
                outcome.config,
                _status(outcome.error, findings, policy),
                tuple(findings),
                outcome.error,
            )
        )
    return Report(tuple(configs))


def _judge_live(
    rules: Sequence[Rule], policy: Policy, examination: Examination
) -> tuple[str | None, list[_Judged]]:
    """What there is against a config whose constructor can be run again, with mends that work."""
    try:
        plan = examination.plan
    except ConstructorError as raised:
        if not raised.certain:
            raise
        return raised.message, [
            _Judged(rule, found, _mend(rule, found, rules, policy, examination, before=None))
            for rule in rules
            for found in rule.check_error(raised)
        ]
    judged = _judge(rules, _subject(policy, plan, examination.effects()))
    mended = [
        replace(one, mend=_mend(one.rule, one.found, rules, policy, examination, judged))
        for one in judged
    ]
    mended = _together(mended, rules, policy, examination)
    return None, [replace(one, in_whole=_in_whole(one.mend, plan)) for one in mended]


def _subject(policy: Policy, plan: Plan, effects: Effects | None = None) -> Subject:
    return Subject(plan, effects or Effects(), policy.no_decay, policy.must_decay, policy.may_decay)


def _judge(rules: Sequence[Rule], subject: Subject) -> list[_Judged]:
    return [_Judged(rule, found) for rule in rules for found in rule.check(subject)]


def _mend(
    rule: Rule,
    found: Found,
    rules: Sequence[Rule],
    policy: Policy,
    examination: Examination,
    before: Sequence[_Judged] | None,
) -> Sequence[Edit]:
    """The first way to mend a finding that makes it go and does no harm.

    Args:
        rule: whose finding it is.
        found: the finding.
        rules: all that are held against the config.
        policy: the user's.
        examination: of the config.
        before: what was found in the config as it is; None where it raised.
    """
    for edits in found.instead:
        if found.changes_nothing:
            return edits
        with contextlib.suppress(LldtoolError):
            plan = examination.edited(edits)
            if plan is None:
                continue
            after = _judge(rules, _subject(policy, plan))
            gone = not any(_is_same(found, one.found) for one in after if one.rule is rule)
            harmless = before is None or found.may_uncover or _is_covered(after, before)
            if found.only_decay:
                contested = {n for b in before or () if b.found.only_decay for n in _names(b.found)}
                harmless = harmless and _same_but_decay(examination.plan, plan, contested)
            if gone and harmless:
                return edits
    return ()


def _is_same(one: Found, other: Found) -> bool:
    """Whether two findings of a rule are about the same, before and after an edit."""
    if one.only_decay:
        return not set(_names(one)).isdisjoint(_names(other))
    return one.at == other.at


def _is_covered(after: Sequence[_Judged], before: Sequence[_Judged]) -> bool:
    """Whether all that is found after an edit, infos aside, was found there before it."""
    known = {(one.rule.code, _where(one.found)) for one in before}
    serious = (x for x in after if (x.found.severity or x.rule.severity) is not Severity.info)
    return known.issuperset((one.rule.code, _where(one.found)) for one in serious)


def _where(found: Found) -> tuple[str, ...]:
    """The option or custom key to blame; the constructor and all of its options are one place."""
    return found.at if len(found.at) > len(PARAMWISE_CFG) else ()


def _same_but_decay(before: Plan, after: Plan, names: Container[str]) -> bool:
    """Whether two plans differ in the weight decay of these parameters at most."""
    new = {p.name: p for p in after.parameters}
    return len(new) == len(before.parameters) and all(
        (p.lr, p.extras) == (q.lr, q.extras)
        and (p.name in names or p.weight_decay == q.weight_decay)
        for p in before.parameters
        if (q := new.get(p.name, p))
    )


def _together(
    mended: Sequence[_Judged], rules: Sequence[Rule], policy: Policy, examination: Examination
) -> list[_Judged]:
    """The same, where several mends would each write a dict of the config that is not there yet.

    Only one can be pasted, so each of them says what all do, if that was seen to work.
    """
    container = _missing_container(examination.plan)
    opening = [
        one for one in mended if one.mend and all(_is_in(edit, container) for edit in one.mend)
    ]
    edits = list({edit.path: edit for one in opening for edit in one.mend}.values())
    if len(opening) < 2:
        return list(mended)
    with contextlib.suppress(LldtoolError):
        plan = examination.edited(edits)
        after = [] if plan is None else _judge(rules, _subject(policy, plan))
        left = [
            (a.rule, b.found)
            for a in after
            for b in opening
            if a.rule is b.rule and _is_same(b.found, a.found)
        ]
        if plan is not None and not left:
            return [replace(one, mend=edits) if one in opening else one for one in mended]
    return list(mended)


def _missing_container(plan: Plan) -> tuple[str, ...]:
    """The outermost dict of the constructor's options that the config does not have, or ()."""
    options = plan.constructor.paramwise_cfg
    if "custom_keys" in options:
        return ()
    return (*PARAMWISE_CFG, "custom_keys") if options else PARAMWISE_CFG


def _in_whole(edits: Sequence[Edit], plan: Plan) -> Sequence[Edit]:
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


def _is_in(edit: Edit, container: tuple[str, ...]) -> bool:
    return container != () and edit.path[: len(container)] == container


def _names(found: Found) -> tuple[str, ...]:
    return tuple(p.name if isinstance(p, Parameter) else p for p in found.parameters)


def _finding(judged: _Judged, policy: Policy, sources: Sources | None) -> Finding:
    rule, found = judged.rule, judged.found
    suggestion = None
    if judged.mend and sources is not None:
        suggestion = config_text(judged.mend, sources) or config_text(judged.in_whole, sources)
    severity = policy.severity_of(rule)
    if found.severity is not None and found.severity.rank > severity.rank:
        severity = found.severity
    place = None if sources is None else sources.place(found.at)
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=severity,
        message=found.message,
        parameters=_names(found),
        key=".".join(found.at),
        place=place,
        suggestion=suggestion or None,
        inheriting=sources.inheriting(place.file) if sources is not None and place else (),
    )


def _without_ignored(
    findings: Sequence[Finding], comments: Sequence[Suppression]
) -> tuple[tuple[Finding, ...], tuple[Ignore, ...]]:
    """The findings that no comment on their line ignores, and what each comment ignored."""
    used: dict[Suppression, set[str]] = {comment: set() for comment in comments}
    kept = []
    for finding in findings:
        ignoring = [comment for comment in comments if _ignores(comment, finding)]
        for comment in ignoring:
            used[comment].add(finding.code)
        if not ignoring:
            kept.append(finding)
    return tuple(kept), tuple(Ignore(c, frozenset(codes)) for c, codes in used.items())


def _ignores(comment: Suppression, finding: Finding) -> bool:
    place = finding.place
    on_line = place is not None and (place.file, place.line) == (comment.file, comment.line)
    return on_line and (not comment.codes or finding.code in _meant(comment.codes))


def _meant(selectors: Iterable[str]) -> set[str]:
    """The codes that a comment names: by a code, the beginning of one, or a name."""
    return {code for selector in selectors for code in codes_of(selector)}


def _unused(outcomes: Sequence[Outcome], policy: Policy) -> dict[str, list[Finding]]:
    """Config -> the findings on comments of its files that no config needs."""
    rule = UnusedIgnore()
    used: dict[tuple[Path, int], set[str]] = {}
    held: dict[tuple[Path, int], set[str]] = {}
    first: dict[tuple[Path, int], tuple[Outcome, Suppression]] = {}
    for outcome in outcomes:
        for ignore in outcome.ignores:
            place = ignore.comment.file, ignore.comment.line
            used.setdefault(place, set()).update(ignore.used)
            held.setdefault(place, set()).update(outcome.codes)
            # A config without a plan says nothing on what would be found in it.
            if outcome.error is not None:
                used[place].update(rule.code for rule in all_rules())
            if rule.code in outcome.codes:
                first.setdefault(place, (outcome, ignore.comment))
    found: dict[str, list[Finding]] = {}
    for place, (outcome, comment) in first.items():
        message = _why_unused(comment, used[place], held[place])
        if message is not None:
            # Another config, that is not checked now, may need a comment in a base.
            own = comment.file == outcome.path
            severity = policy.severity_of(rule) if own else Severity.info
            finding = Finding(rule.code, rule.name, severity, message, place=comment.place)
            found.setdefault(outcome.config, []).append(finding)
    return found


def _why_unused(comment: Suppression, used: set[str], held: set[str]) -> str | None:
    """What is wrong with a comment, None if nothing is.

    Args:
        comment: in some config's file.
        used: the codes that it ignored.
        held: the codes of the rules that were held against the configs with the file.
    """
    unknown = [selector for selector in comment.codes if not _meant([selector])]
    if unknown:
        return f"there is no rule {', '.join(unknown)}"
    idle = [s for s in comment.codes if _meant([s]) <= held and not _meant([s]) & used]
    defaults = {rule.code for rule in all_rules() if rule.by_default}
    if not comment.codes and not used and defaults <= held:
        return "there is nothing to ignore here"
    return f"there is no {', '.join(idle)} to ignore here" if idle else None


def _status(error: str | None, findings: Sequence[Finding], policy: Policy) -> Status:
    if error is not None:
        return Status.error
    bad = any(finding.severity.rank <= policy.fail_on.rank for finding in findings)
    return Status.failed if bad else Status.passed


def _by_place(finding: Finding) -> tuple[str, int, int, str]:
    place: Place | None = finding.place
    where = ("", 0, 0) if place is None else (str(place.file), place.line, place.column)
    return (*where, finding.code)

"""A config or a plan, held against the rules: what `lldtool check` does for each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lldtool.analysis.lr_curves import Length, Schedule
from lldtool.config.config_text import config_text
from lldtool.config.location import Location
from lldtool.config.locations import Sources
from lldtool.config.request import Request
from lldtool.config.suppressions import Suppression
from lldtool.errors import ConstructorError, LldtoolError
from lldtool.lint.baseline import Baseline
from lldtool.lint.diagnostics import Checked, Finding, Report, Severity, Status
from lldtool.lint.fixes import Judged, judge, names_of, with_fixes
from lldtool.lint.policy import Policy
from lldtool.lint.rules import Found, Rule, all_rules, codes_of
from lldtool.lint.rules.unused_ignore import UnusedIgnore
from lldtool.plan import Plan

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
) -> tuple[str | None, list[Judged], Plan | None, Schedule | str | None]:
    """What there is against a config; its plan; its schedule, or why it has none."""
    error, judged = _judge_live(rules, policy, examination)
    if error is not None or length is None:
        return error, judged, None if error is not None else examination.plan, None
    try:
        return None, judged, examination.plan, examination.schedule(length)
    except LldtoolError as raised:
        return None, judged, examination.plan, raised.without_config()


def _judge_error(rules: Sequence[Rule], raised: LldtoolError) -> tuple[str, list[Judged]]:
    """What there is against a config that has no plan."""
    if not isinstance(raised, ConstructorError):
        return raised.without_config(), []
    found = [(rule, found) for rule in rules for found in rule.check_error(raised)]
    return raised.message, [Judged(*one) for one in found]


def _outcome(
    policy: Policy,
    request: Request,
    rules: Sequence[Rule],
    error: str | None,
    judged: Sequence[Judged],
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
    findings = [_finding(one, policy, None) for one in judge(rules, policy, plan)]
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
) -> tuple[str | None, list[Judged]]:
    """What there is against a config whose constructor can be run again, with fixes that work."""
    try:
        plan = examination.plan
    except ConstructorError as raised:
        if not raised.certain:
            raise
        error, judged = _judge_error(rules, raised)
        return error, with_fixes(judged, rules, policy, examination, None)
    judged = judge(rules, policy, plan, examination.effects())
    return None, with_fixes(judged, rules, policy, examination, plan)


def _finding(judged: Judged, policy: Policy, sources: Sources | None) -> Finding:
    rule, found = judged.rule, judged.found
    suggestion = None
    if judged.fix and sources is not None:
        suggestion = config_text(judged.fix, sources) or config_text(judged.whole_list, sources)
    severity = policy.severity_of(rule)
    if found.severity is not None and found.severity.rank > severity.rank:
        severity = found.severity
    place = None if sources is None else sources.location(found.at)
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=severity,
        message=found.message + _seen(found, sources),
        parameters=names_of(found),
        key=".".join(found.at),
        place=place,
        suggestion=suggestion or None,
        inheriting=sources.inheriting(place.file) if sources is not None and place else (),
    )


def _seen(found: Found, sources: Sources | None) -> str:
    """The file and line of the other entry that a message speaks of: ` (_base.py:11)`."""
    entry = sources.entry(found.see) if found.see and sources is not None else None
    return f" ({entry.location.file.name}:{entry.location.line})" if entry is not None else ""


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
            finding = Finding(rule.code, rule.name, severity, message, place=comment.location)
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
    place: Location | None = finding.place
    where = ("", 0, 0) if place is None else (str(place.file), place.line, place.column)
    return (*where, finding.code)

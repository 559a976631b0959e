"""Check a config or a plan: run it, apply the rules, locate what they find, try fixes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lldtool.config.config_text import config_text
from lldtool.config.locations import Sources
from lldtool.config.request import START, Request
from lldtool.config.suppressions import Suppression
from lldtool.errors import ConstructorError, LldtoolError
from lldtool.files import is_checkpoint
from lldtool.lint.baseline import Baseline
from lldtool.lint.diagnostics import CheckResult, Diagnostic, Severity
from lldtool.lint.fixes import judge, with_fixes
from lldtool.lint.policy import Policy
from lldtool.lint.rules import Rule, all_rules, codes_of
from lldtool.lint.rules.unused_ignore import UnusedIgnore
from lldtool.plan import Plan

if TYPE_CHECKING:
    from lldtool.dryrun import Capture, Want


def check_config(policy: Policy, request: Request) -> CheckResult:
    """Run a config and check it; an error is part of the result."""
    return capture_and_check(policy, request)[1]


def capture_and_check(
    policy: Policy, request: Request, want: Want | None = None
) -> tuple[Capture, CheckResult]:
    """Run a config and check it; return both results.

    Args:
        policy: has the rules.
        request: the config.
        want: what the capture is to have beside what the rules need.
    """
    from lldtool.dryrun import Want, capture, warm

    rules = policy.rules_for(request.name, request.path)
    request = policy.with_dataset_size(request)
    if request.curves == "none":
        request = replace(request, curves="main")
    if is_checkpoint(request.path):
        found = capture(replace(request, at=START), want)
        error = found.error
        if found.plan is not None:
            if found.plan.parameters:
                return found, check_plan(policy, found.plan, request.name)
            error = LldtoolError("the checkpoint has no optimizer state: there is nothing to check")
        return found, _result(policy, request, rules, error, [])
    with warm():
        found = capture(request, replace(want or Want(), effects="doubtful", resume=True))
        if found.plan is not None:
            diagnostics, is_certain = judge(rules, policy, found.plan, found), True
        else:
            diagnostics, is_certain = _of_error(rules, found.error)
        if is_certain:
            is_warm = found.request == request
            diagnostics = with_fixes(diagnostics, rules, policy, found, is_warm=is_warm)
    return found, _result(policy, request, rules, found.error, diagnostics)


def check_plan(policy: Policy, plan: Plan, name: str | None = None) -> CheckResult:
    """Check a plan; there are no locations then, and no suggestions."""
    name = plan.config if name is None else name
    rules = policy.rules_for(name, Path(name))
    diagnostics = [_completed(d, policy, None) for d in judge(rules, policy, plan)]
    codes = frozenset(rule.code for rule in rules)
    return CheckResult(name, tuple(diagnostics), fail_on=policy.fail_on, codes=codes)


def final_results(
    results: Sequence[CheckResult], policy: Policy, baseline: Baseline | None = None
) -> list[CheckResult]:
    """Return the results with what can be told of all together.

    That is comments which suppress nothing in any config; what a baseline accepts is left out.
    """
    unused = _unused_comments(results, policy)
    return [
        replace(
            result,
            diagnostics=tuple(
                d
                for d in sorted((*result.diagnostics, *unused[result.config]), key=_by_location)
                if baseline is None or not baseline.accepts(result.config, d)
            ),
        )
        for result in results
    ]


def _of_error(rules: Sequence[Rule], error: LldtoolError | None) -> tuple[list[Diagnostic], bool]:
    """Return what the rules find in an error, and whether training is certain to raise it."""
    if not isinstance(error, ConstructorError):
        return [], False
    return [d for rule in rules for d in rule.check_error(error)], error.certain


def _result(
    policy: Policy,
    request: Request,
    rules: Sequence[Rule],
    error: LldtoolError | None,
    diagnostics: Sequence[Diagnostic],
) -> CheckResult:
    path = Path(os.path.normpath(Path.cwd() / request.path))
    sources = Sources(path)
    located = [_completed(d, policy, sources) for d in diagnostics]
    kept, suppressed = _without_suppressed(located, sources.suppressions())
    if request.checkout is not None:  # its files go with this process
        kept, suppressed = [replace(d, location=None, inheriting=()) for d in kept], {}
    text = None
    if error is not None:
        text = error.message if isinstance(error, ConstructorError) else error.without_config()
    codes = frozenset(rule.code for rule in rules)
    return CheckResult(request.name, tuple(kept), text, policy.fail_on, path, codes, suppressed)


def _completed(diagnostic: Diagnostic, policy: Policy, sources: Sources | None) -> Diagnostic:
    """Return a diagnostic with the user's severity, its location and its suggestion.

    Args:
        diagnostic: of a rule.
        policy: has the severities.
        sources: of the config; None for a saved plan.
    """
    severity = policy.severity_of(diagnostic)
    if diagnostic.is_capped and diagnostic.severity.rank > severity.rank:
        severity = diagnostic.severity
    completed = replace(diagnostic, severity=severity, fixes=())
    if sources is None:
        return completed
    location, seen = sources.location(diagnostic.entry), sources.entry(diagnostic.see)
    texts = (config_text(fix.edits, sources) for fix in diagnostic.possible_fixes)
    also = f" ({seen.location.file.name}:{seen.location.line})" if seen is not None else ""
    return replace(
        completed,
        message=diagnostic.message + also,
        location=location,
        suggestion=next(filter(None, texts), None),
        inheriting=sources.inheriting(location.file) if location is not None else (),
    )


def _without_suppressed(
    diagnostics: Sequence[Diagnostic], comments: Sequence[Suppression]
) -> tuple[list[Diagnostic], dict[Suppression, frozenset[str]]]:
    """Return the diagnostics that no comment suppresses, and the codes that each one suppresses."""
    kept, used = [], dict.fromkeys(comments, frozenset[str]())
    for diagnostic in diagnostics:
        suppressing = [comment for comment in comments if _suppresses(comment, diagnostic)]
        used |= {comment: used[comment] | {diagnostic.code} for comment in suppressing}
        if not suppressing:
            kept.append(diagnostic)
    return kept, used


def _suppresses(comment: Suppression, diagnostic: Diagnostic) -> bool:
    at = diagnostic.location
    on_line = at is not None and (at.file, at.line) == (comment.file, comment.line)
    return on_line and (not comment.codes or diagnostic.code in _meant(comment.codes))


def _meant(selectors: Iterable[str]) -> set[str]:
    """Return the codes that a comment names: by a code, the beginning of one, or a name."""
    return {code for selector in selectors for code in codes_of(selector)}


def _unused_comments(
    results: Sequence[CheckResult], policy: Policy
) -> Mapping[str, list[Diagnostic]]:
    """Config -> a diagnostic for each comment that suppresses nothing in any config."""
    rule, every_code = UnusedIgnore(), frozenset(rule.code for rule in all_rules())
    used: dict[tuple[Path, int], set[str]] = defaultdict(set)
    checked: dict[tuple[Path, int], set[str]] = defaultdict(set)
    first: dict[tuple[Path, int], tuple[CheckResult, Suppression]] = {}
    for result in results:
        for comment, codes in result.suppressed.items():
            line = comment.file, comment.line
            # A config without a plan doesn't tell what would be found in it.
            used[line] |= codes if result.error is None else every_code
            checked[line] |= result.codes
            if rule.code in result.codes:
                first.setdefault(line, (result, comment))
    found = defaultdict(list)
    for line, (result, comment) in first.items():
        message = _why_unused(comment, used[line], checked[line])
        if message is not None:
            # Another config, which is not checked now, may need a comment in a base.
            own = comment.file == result.path
            severity = policy.severity_of(rule) if own else Severity.info
            diagnostic = replace(
                rule.diagnostic(message), severity=severity, location=comment.location
            )
            found[result.config].append(diagnostic)
    return found


def _why_unused(comment: Suppression, used: set[str], checked: set[str]) -> str | None:
    """Return what is wrong with a comment, None if nothing is.

    Args:
        comment: in some config's file.
        used: the codes that it suppressed.
        checked: the codes of the rules that the configs with the file were checked for.
    """
    unknown = [selector for selector in comment.codes if not _meant([selector])]
    if unknown:
        return f"there is no rule {', '.join(unknown)}"
    idle = [s for s in comment.codes if _meant([s]) <= checked and not _meant([s]) & used]
    defaults = {rule.code for rule in all_rules() if rule.by_default}
    if not comment.codes and not used and defaults <= checked:
        return "there is nothing to ignore here"
    return f"there is no {', '.join(idle)} to ignore here" if idle else None


def _by_location(diagnostic: Diagnostic) -> tuple[str, int, int, str]:
    at = diagnostic.location
    where = ("", 0, 0) if at is None else (str(at.file), at.line, at.column)
    return (*where, diagnostic.code)

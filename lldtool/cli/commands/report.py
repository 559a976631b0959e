"""`lldtool report`: everything about one or more configs, as one HTML page."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lldtool.cli.options import (
    ConfigArguments,
    DryRunOptions,
    LengthOptions,
    OutputFile,
    SettingsFile,
)
from lldtool.cli.run_all import run_all
from lldtool.cli.streams import check_writable, emit, say
from lldtool.config.request import Request
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lldtool.config.request import Length
    from lldtool.dryrun import Capture
    from lldtool.lint.diagnostics import CheckResult
    from lldtool.lint.policy import Policy
    from lldtool.plan import Plan

POSITION = 60


def report(
    configs: ConfigArguments,
    *,
    output: OutputFile = None,
    training: LengthOptions,
    settings: SettingsFile = None,
    run: DryRunOptions,
) -> None:
    """Write an HTML report on one or more configs.

    Shows layers, parameters, findings and the lr schedule and, for two configs, what differs. The
    page is a single file that loads nothing else. Exit code 2: a config failed; the page shows why.
    """
    from lldtool.analysis.plan_curves import why_no_curves
    from lldtool.lint.engine import final_results
    from lldtool.lint.policy import load_policy
    from lldtool.output.formats import written
    from lldtool.output.report import report_document

    length = training.length
    if output is None and sys.stdout is not None and sys.stdout.isatty():
        hint = "write it to a file with -o report.html"
        raise LldtoolError("a report is an HTML page, not text for a terminal", hint=hint)
    policy = load_policy(Path.cwd(), settings)
    check_writable(output, *map(Path, configs))
    found = _captures(configs, run, policy, length)
    captures, results = [one for one, _ in found], [result for _, result in found]
    failed = [result for one, result in found if one.plan is None]
    if len(failed) < len(found):
        document = report_document(captures, final_results(results, policy))
        emit(written(document, "html"), output, utf8=True)
    for one, result in found:
        if one.plan is not None and (why := why_no_curves(one.plan)):
            say(f"note: {result.config}: no schedule in the report: {why}")
    for result in failed:
        say(f"error: {LldtoolError(result.error or 'no plan', config=result.config)}")
    raise typer.Exit(2 if failed else 0)


def _captures(
    configs: Sequence[str],
    run: DryRunOptions,
    policy: Policy,
    length: Length,
) -> list[tuple[Capture, CheckResult]]:
    """Return the capture of each config, and the result of checking it."""
    from lldtool.dryrun import Capture
    from lldtool.lint.diagnostics import CheckResult
    from lldtool.lint.engine import capture_and_check, check_plan

    def saved(plan: Plan, name: str) -> tuple[Capture, CheckResult]:
        capture = Capture(Request(Path(name), name), plan)
        return capture, check_plan(policy, plan, name)

    def failed(name: str, error: LldtoolError) -> tuple[Capture, CheckResult]:
        capture = Capture(Request(Path(name), name), error=error)
        return capture, CheckResult(name, error=error.without_config())

    return run_all(
        configs,
        partial(run.request, length=length, curves="all", with_settings=False),
        saved=saved,
        live=partial(capture_and_check, policy),
        failed=failed,
        title="running configs",
        policy=policy,
    )

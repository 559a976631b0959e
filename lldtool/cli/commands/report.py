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
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lldtool.analysis.lr_curves import Length
    from lldtool.lint.engine import Survey
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
    from lldtool.lint.engine import report_of
    from lldtool.lint.policy import load_policy
    from lldtool.output.formats import written
    from lldtool.output.report import Reported, report_document

    length = training.length
    if output is None and sys.stdout is not None and sys.stdout.isatty():
        hint = "write it to a file with -o report.html"
        raise LldtoolError("a report is an HTML page, not text for a terminal", hint=hint)
    policy = load_policy(Path.cwd(), settings)
    check_writable(output, *map(Path, configs))
    found = _surveys(configs, run, policy, length)
    failed = [one.outcome for one in found if one.plan is None]
    if len(failed) < len(found):
        reported = [
            Reported(one.outcome.config, one.plan, one.schedule, one.no_schedule or "")
            for one in found
        ]
        document = report_document(reported, report_of([one.outcome for one in found], policy))
        emit(written(document, "html"), output, utf8=True)
    for one in found:
        if one.no_schedule and not one.outcome.error:
            say(f"note: {one.outcome.config}: no schedule in the report: {one.no_schedule}")
    for outcome in failed:
        say(f"error: {LldtoolError(outcome.error or 'no plan', config=outcome.config)}")
    raise typer.Exit(2 if failed else 0)


def _surveys(
    configs: Sequence[str],
    run: DryRunOptions,
    policy: Policy,
    length: Length,
) -> list[Survey]:
    """Return the plan, findings and schedule of each config, in their order."""
    from lldtool.lint.engine import Outcome, Survey, check_plan, survey

    no_schedule = "a saved plan has no schedulers to step: name the config instead"

    def saved(plan: Plan, name: str) -> Survey:
        return Survey(check_plan(policy, plan, name), plan, no_schedule=no_schedule)

    def failed(name: str, error: LldtoolError) -> Survey:
        return Survey(Outcome(name, (), error=error.without_config()))

    return run_all(
        configs,
        run.request,
        saved=saved,
        live=partial(survey, policy, length=length),
        failed=failed,
        title="running configs",
        policy=policy,
    )

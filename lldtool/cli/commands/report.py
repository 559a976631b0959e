"""`lldtool report`: all there is to say about configs, as one HTML page."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lldtool.cli.fleets import of_each
from lldtool.cli.options import (
    AllowNetwork,
    AutoScaleLr,
    CfgOptions,
    DatasetSize,
    Device,
    EpochLength,
    Epochs,
    Output,
    Settings,
    Traceback,
    WorldSize,
    length,
    requests,
)
from lldtool.cli.output import check_writable, emit, say
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lldtool.analysis.lr_curves import Length
    from lldtool.config.request import Request
    from lldtool.lint.engine import Survey
    from lldtool.lint.policy import Policy
    from lldtool.plan import Plan


def report(
    configs: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG", show_default=False,
            help="Config files, mmpretrain::path/of/config.py or saved plans; also x.py@REVISION.",
        ),
    ],
    output: Output = None,
    epoch_length: EpochLength = None,
    dataset_size: DatasetSize = None,
    epochs: Epochs = None,
    settings: Settings = None,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Write all there is to say about configs as one HTML page.

    Layers, parameters, findings, schedule; of two configs what differs. The page needs nothing
    else, and loads nothing. Exit code 2: a config could not be looked at, the page says why.
    """
    from lldtool.lint.engine import report_of
    from lldtool.lint.policy import load_policy
    from lldtool.output.formats import written
    from lldtool.output.report import Reported, report_document

    duration = length(epoch_length, dataset_size, epochs)
    if output is None and sys.stdout is not None and sys.stdout.isatty():
        hint = "-o report.html writes it to a file"
        raise LldtoolError("a report is an HTML page, not text for a terminal", hint=hint)
    policy = load_policy(Path.cwd(), settings)
    request_of = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)
    check_writable(output, *map(Path, configs))
    found = _surveys(configs, request_of, policy, duration)
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
    request_of: Callable[[str], Request],
    policy: Policy,
    duration: Length,
) -> list[Survey]:
    """What there is to say about each."""
    from lldtool.lint.engine import Outcome, Survey, check_plan, survey

    no_schedule = "a saved plan has no schedulers to step: name the config instead"

    def saved(plan: Plan, name: str) -> Survey:
        return Survey(check_plan(policy, plan, name), plan, no_schedule=no_schedule)

    def failed(name: str, error: LldtoolError) -> Survey:
        return Survey(Outcome(name, (), error=error.without_config()))

    return of_each(
        configs,
        request_of,
        saved=saved,
        live=partial(survey, policy, length=duration),
        failed=failed,
        title="looking at configs",
        policy=policy,
    )

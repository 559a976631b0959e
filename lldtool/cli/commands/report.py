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
from lldtool.config.request import Request
from lldtool.errors import LldtoolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lldtool.analysis.lr_curves import Length
    from lldtool.dryrun import Capture
    from lldtool.lint.diagnostics import CheckResult
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
    from lldtool.lint.engine import final_results
    from lldtool.lint.policy import load_policy
    from lldtool.output.formats import written
    from lldtool.output.report import report_document

    duration = length(epoch_length, dataset_size, epochs)
    if output is None and sys.stdout is not None and sys.stdout.isatty():
        hint = "-o report.html writes it to a file"
        raise LldtoolError("a report is an HTML page, not text for a terminal", hint=hint)
    policy = load_policy(Path.cwd(), settings)
    request_of = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)
    check_writable(output, *map(Path, configs))
    found = _captures(configs, request_of, policy, duration)
    captures, results = [one for one, _ in found], [result for _, result in found]
    failed = [result for one, result in found if one.plan is None]
    if len(failed) < len(found):
        document = report_document(captures, final_results(results, policy))
        emit(written(document, "html"), output, utf8=True)
    for one, result in found:
        if one.no_schedule:
            why = one.no_schedule.without_config()
            say(f"note: {result.config}: no schedule in the report: {why}")
    for result in failed:
        say(f"error: {LldtoolError(result.error or 'no plan', config=result.config)}")
    raise typer.Exit(2 if failed else 0)


def _captures(
    configs: Sequence[str],
    request_of: Callable[[str], Request],
    policy: Policy,
    duration: Length,
) -> list[tuple[Capture, CheckResult]]:
    """Return the capture of each config, and the result of checking it."""
    from lldtool.dryrun import Capture, Want
    from lldtool.lint.diagnostics import CheckResult
    from lldtool.lint.engine import capture_and_check, check_plan

    no_schedule = LldtoolError("a saved plan has no schedulers to step: name the config instead")

    def saved(plan: Plan, name: str) -> tuple[Capture, CheckResult]:
        capture = Capture(Request(Path(name), name), plan, no_schedule=no_schedule)
        return capture, check_plan(policy, plan, name)

    def failed(name: str, error: LldtoolError) -> tuple[Capture, CheckResult]:
        capture = Capture(Request(Path(name), name), error=error)
        return capture, CheckResult(name, error=error.without_config())

    return of_each(
        configs,
        request_of,
        saved=saved,
        live=partial(capture_and_check, policy, want=Want(length=duration)),
        failed=failed,
        title="looking at configs",
        policy=policy,
    )

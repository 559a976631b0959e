"""`lldtool report`: all there is to say about configs, as one HTML page."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lldtool.cli.fleets import in_processes
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
from lldtool.cli.output import check_writable, emit
from lldtool.errors import LldtoolError
from lldtool.source import saved_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lldtool.checking import Survey
    from lldtool.policy import Policy
    from lldtool.request import Request
    from lldtool.schedule import Length


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
    from lldtool.checking import report_of
    from lldtool.policy import load_policy
    from lldtool.render.report import Reported, report_html

    duration = length(epoch_length, dataset_size, epochs)
    policy = load_policy(Path.cwd(), settings)
    request_of = requests(cfg_options, device, auto_scale_lr, world_size, allow_network)
    asked = [request_of(config) for config in configs]
    check_writable(output, *(request.path for request in asked))
    found = _surveys(asked, policy, duration)
    if all(one.plan is None for one in found):
        first = found[0].outcome
        raise LldtoolError(first.error or "no plan", config=first.config)
    reported = [
        Reported(one.outcome.config, one.plan, one.schedule, one.no_schedule or "") for one in found
    ]
    emit(report_html(reported, report_of([one.outcome for one in found], policy)), output)
    for one in found:
        if one.plan is None and sys.stderr is not None:
            print(f"error: {one.outcome.config}: {one.outcome.error}", file=sys.stderr)
    raise typer.Exit(2 if any(one.plan is None for one in found) else 0)


def _surveys(asked: Sequence[Request], policy: Policy, duration: Length) -> list[Survey]:
    """What there is to say about each."""
    from lldtool.checking import Outcome, Survey, check_plan, survey

    saved = {i: plan for i, r in enumerate(asked) if (plan := saved_plan(r.path, r.name))}
    live = [i for i in range(len(asked)) if i not in saved]
    no_schedule = "A saved plan has no schedulers to step: name the config instead."
    found = {
        i: Survey(check_plan(policy, plan, asked[i].name), plan, no_schedule=no_schedule)
        for i, plan in saved.items()
    }
    done = in_processes(
        partial(survey, policy, length=duration),
        [asked[i] for i in live],
        title="looking at configs",
        jobs=policy.jobs,
        timeout=policy.timeout,
    )
    for i, one in zip(live, done, strict=True):
        if isinstance(one, LldtoolError):
            one = Survey(Outcome(asked[i].name, (), error=one.without_config()))
        found[i] = one
    return [found[i] for i in range(len(asked))]

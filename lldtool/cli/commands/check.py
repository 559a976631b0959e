"""`lldtool check`: what there is against what configs do, by rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lldtool.cli.fleets import DASK_TIMEOUT, Cluster, of_each
from lldtool.cli.options import (
    AllowNetwork,
    AutoScaleLr,
    CfgOptions,
    ColorOption,
    Device,
    Output,
    Settings,
    Traceback,
    WorldSize,
    requests,
)
from lldtool.cli.output import Color, check_writable, emit, say
from lldtool.cli.sinks import append_github_summary, rendered, sinks
from lldtool.config.request import Request
from lldtool.errors import LldtoolError
from lldtool.lint.diagnostics import Severity
from lldtool.text import plural

if TYPE_CHECKING:
    from lldtool.lint.diagnostics import CheckResult
    from lldtool.lint.policy import Policy


def check(
    configs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG|DIRECTORY...", show_default=False,
            help="Configs, saved plans, directories of configs; mmpretrain::mae too. Default: .",
        ),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(
            "--select", metavar="RULE,...", show_default=False,
            help="Only these rules: codes, beginnings of codes, names, ALL.",
        ),
    ] = None,
    extend_select: Annotated[
        list[str] | None,
        typer.Option(
            "--extend-select", metavar="RULE,...", show_default=False, help="These rules as well."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore", metavar="RULE,...", show_default=False, help="Not these rules."
        ),
    ] = None,
    fail_on: Annotated[
        Severity | None,
        typer.Option(
            "--fail-on", show_default=False,
            help="The least severity that makes the exit code 1. Default: warning.",
        ),
    ] = None,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit with 0 also where something was found.")
    ] = False,
    settings: Settings = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline", metavar="FILE", show_default=False,
            help="Accept the findings in this file.",
        ),
    ] = None,
    new_baseline: Annotated[
        Path | None,
        typer.Option(
            "--write-baseline", metavar="FILE", show_default=False,
            help="Write what is found to this file, to be accepted later.",
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format", metavar="FORMAT[=FILE]", show_default=False,
            help="text, json, github, sarif, junit or markdown. Repeatable. Default: text.",
        ),
    ] = None,
    output: Output = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude", metavar="GLOB", show_default=False,
            help="Leave these out of directories. Repeatable.",
        ),
    ] = None,
    include_base: Annotated[
        bool | None, typer.Option("--include-base", help="Also what is in _base_.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", metavar="N", show_default=False,
            help="Configs at a time. Default: as many as there are cores.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", show_default=False,
            help="What one config may take. Default: 120.",
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="K/N", show_default=False, help="The K-th of N parts of the configs."
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            "--dask", metavar="tcp://HOST:PORT", show_default=False,
            help="Dry-run the configs on this Dask cluster.",
        ),
    ] = None,
    dask_timeout: Annotated[
        float,
        typer.Option(
            "--dask-timeout", metavar="SECONDS", min=0.1, show_default=False,
            help=f"How long to wait while the cluster has no worker. Default: {DASK_TIMEOUT:g}.",
        ),
    ] = DASK_TIMEOUT,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Hold configs against the rules, in CI or before a run.

    `lldtool rules` lists them. Runs each config's own code, in a process of its own. Exit code 0:
    nothing found that is as bad as --fail-on, 1: something is, 2: a config could not be checked.
    """
    if "" in (configs or ()):
        raise typer.BadParameter("an empty CONFIG")
    from lldtool.config.discovery import discover, parse_shard, shard
    from lldtool.lint.baseline import baseline_json, load_baseline
    from lldtool.lint.diagnostics import exit_code
    from lldtool.lint.engine import final_results
    from lldtool.lint.policy import load_policy

    policy = load_policy(Path.cwd(), settings).overridden(
        select=_selectors(select),
        extend_select=_selectors(extend_select),
        ignore=_selectors(ignore),
        exclude=exclude,
        include_base=include_base,
        fail_on=fail_on,
        timeout=timeout,
        jobs=jobs,
    )
    if world_size is not None and not auto_scale_lr:
        say("note: without --auto-scale-lr, --world-size is for configs that enable auto_scale_lr")
    to = sinks(formats or (), output)
    known = load_baseline(baseline) if baseline is not None else None
    names = discover(
        configs or ["."],
        include=policy.include,
        exclude=policy.exclude,
        include_base=policy.include_base,
        root=policy.root,
    )
    if part is not None:
        names = shard(names, *parse_shard(part))
    inputs = [Path(name) for name in names]
    for sink in to:
        check_writable(sink.file, *inputs, option=sink.option)
    check_writable(new_baseline, *inputs, option="--write-baseline")
    checked = _results(
        names,
        requests(cfg_options, device, auto_scale_lr, world_size, allow_network),
        policy,
        None if dask is None else Cluster(dask, dask_timeout),
    )
    everything = final_results(checked, policy)
    if new_baseline is not None:
        for one in everything:
            if one.error is not None:
                say(f"error: {one.config}: {one.error}")
        emit(baseline_json(everything, new_baseline.absolute()), new_baseline)
        number = sum(len(one.diagnostics) for one in everything)
        say(f"{plural(number, 'finding')} written to {new_baseline}")
        raise typer.Exit(2 if exit_code(everything) == 2 else 0)
    results = everything if known is None else final_results(checked, policy, known)
    for sink in to:
        emit(rendered(results, sink, color), sink.file)
    append_github_summary(results, to)
    if known is not None and (gone := known.unused(everything)):
        say(f"note: {baseline} has {plural(len(gone), 'finding')} that are gone")
    code = exit_code(results)
    raise typer.Exit(0 if exit_zero and code == 1 else code)


def _selectors(given: Sequence[str] | None) -> list[str] | None:
    """`--select LLD1,LLD201 --select LLD3` -> all three. An empty text stays, as no rule's."""
    from lldtool.config.selectors import split_selectors

    return [one for text in given for one in split_selectors(text) or [text]] if given else None


def _results(
    names: Sequence[str],
    request_of: Callable[[str], Request],
    policy: Policy,
    dask: Cluster | None,
) -> list[CheckResult]:
    """Return the result of each, in their order."""
    from lldtool.lint.engine import check_config, check_plan

    return of_each(
        names,
        request_of,
        saved=partial(check_plan, policy),
        live=partial(check_config, policy),
        failed=_failed,
        title="checking configs",
        policy=policy,
        dask=dask,
    )


def _failed(name: str, error: LldtoolError) -> CheckResult:
    from lldtool.lint.diagnostics import CheckResult

    return CheckResult(name, error=error.without_config())

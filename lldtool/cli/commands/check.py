"""`lldtool check`: what rules find in configs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lldtool.cli.destinations import FORMATS, append_github_summary, destinations, rendered
from lldtool.cli.load_plans import require_resumable
from lldtool.cli.options import DryRunOptions, OutputOptions, SettingsFile, argument, option
from lldtool.cli.run_all import DASK_TIMEOUT, Cluster, run_all
from lldtool.cli.streams import check_writable, emit, say
from lldtool.config.request import Request
from lldtool.errors import LldtoolError
from lldtool.lint.diagnostics import Severity
from lldtool.text import plural

if TYPE_CHECKING:
    from lldtool.lint.diagnostics import CheckResult
    from lldtool.lint.policy import Policy

POSITION = 80


@dataclass(frozen=True)
class SettingOptions:
    """Settings on the command line, which override those of the settings file."""

    # fmt: off
    select: Annotated[list[str] | None, option(
        "--select", metavar="RULE,...", help="Rules to check, by code, code prefix, name or ALL.",
    )] = None
    extend_select: Annotated[list[str] | None, option(
        "--extend-select", metavar="RULE,...", help="Rules to check in addition to those selected.",
    )] = None
    ignore: Annotated[list[str] | None, option(
        "--ignore", metavar="RULE,...", help="Rules to skip.",
    )] = None
    fail_on: Annotated[Severity | None, option(
        "--fail-on", help="Least severity that makes the exit code 1. Default: warning.",
    )] = None
    exclude: Annotated[list[str] | None, option(
        "--exclude", metavar="GLOB", help="Files and directories to skip. Repeatable.",
    )] = None
    include_base: Annotated[bool | None, option(
        "--include-base", help="Also check the configs in _base_ directories.",
    )] = None
    jobs: Annotated[int | None, option(
        "--jobs", "-j", metavar="N",
        help="Number of configs to run in parallel. Default: one per core.",
    )] = None
    timeout: Annotated[float | None, option(
        "--timeout", metavar="SECONDS", help="Time limit for each config. Default: 120.",
    )] = None
    # fmt: on

    def override(self, policy: Policy) -> Policy:
        """Return the policy with these settings.

        Raises:
            LldtoolError: one of them is not valid.
        """
        lists = {
            name: _split(getattr(self, name)) for name in ("select", "extend_select", "ignore")
        }
        return policy.overridden(**{**asdict(self), **lists})


def _split(given: Sequence[str] | None) -> list[str] | None:
    """Split `LLD1,LLD201` at commas. An empty text stays, and is an error later."""
    from lldtool.config.selectors import split_selectors

    return [one for text in given for one in split_selectors(text) or [text]] if given else None


@dataclass(frozen=True)
class DaskOptions:
    """The Dask cluster to run configs on, if any."""

    # fmt: off
    dask: Annotated[str | None, option(
        "--dask", metavar="tcp://HOST:PORT", help="Run the configs on this Dask cluster.",
    )] = None
    dask_timeout: Annotated[float, option(
        "--dask-timeout", metavar="SECONDS", min=0.1,
        help=f"How long to wait for a worker of the cluster. Default: {DASK_TIMEOUT:g}.",
    )] = DASK_TIMEOUT
    # fmt: on

    @property
    def cluster(self) -> Cluster | None:
        """The cluster; None to run the configs on this machine."""
        return None if self.dask is None else Cluster(self.dask, self.dask_timeout)


def check(
    configs: Annotated[list[str] | None, argument(
        metavar="CONFIG|DIRECTORY...",
        help="Configs, saved plans, and directories such as mmpretrain::mae. Default: .",
    )] = None,
    *,
    options: SettingOptions,
    exit_zero: Annotated[bool, option(
        "--exit-zero", help="Exit with code 0 even if there are findings.",
    )] = False,
    settings: SettingsFile = None,
    baseline: Annotated[Path | None, option(
        "--baseline", metavar="FILE", help="Ignore the findings recorded in FILE.",
    )] = None,
    new_baseline: Annotated[Path | None, option(
        "--write-baseline", metavar="FILE", help="Record all findings in FILE, for --baseline.",
    )] = None,
    formats: Annotated[list[str] | None, option(
        "--format", metavar="FORMAT[=FILE]",
        help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}. Repeatable. Default: text.",
    )] = None,
    part: Annotated[str | None, option(
        "--shard", metavar="K/N", help="Only check the K-th of N parts of the configs.",
    )] = None,
    resume: Annotated[str | None, option(
        "--resume", metavar="CHECKPOINT",
        help="Also check what happens when training is resumed from this checkpoint.",
    )] = None,
    dask: DaskOptions,
    output: OutputOptions,
    run: DryRunOptions,
) -> None:  # fmt: skip
    """Check configs for mistakes, in CI or before a run.

    `lldtool rules` lists the rules. Each config's code runs in a process of its own. Exit code 0:
    no finding as severe as --fail-on, 1: at least one, 2: a config could not be checked.
    """
    if "" in (configs or ()):
        raise typer.BadParameter("an empty CONFIG")
    from lldtool.config.discovery import discover, parse_shard, shard
    from lldtool.lint.baseline import baseline_json, load_baseline
    from lldtool.lint.diagnostics import exit_code
    from lldtool.lint.engine import final_results
    from lldtool.lint.policy import load_policy

    if resume is not None and not Path(resume).expanduser().is_file():
        raise LldtoolError("there is no such file", config=resume)
    policy = options.override(load_policy(Path.cwd(), settings))
    if run.world_size is not None and not run.auto_scale_lr:
        say("note: without --auto-scale-lr, --world-size scales lrs only if the config does")
    to = destinations(formats or (), output.output)
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
    for destination in to:
        check_writable(destination.file, *inputs, option=destination.option)
    check_writable(new_baseline, *inputs, option="--write-baseline")
    checked = _results(names, partial(_request, run, resume), policy, dask.cluster)
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
    for destination in to:
        emit(rendered(results, destination, output.color), destination.file)
    append_github_summary(results, to)
    if known is not None and (gone := known.unused(everything)):
        say(f"note: {baseline} has {plural(len(gone), 'finding')} that are gone")
    code = exit_code(results)
    raise typer.Exit(0 if exit_zero and code == 1 else code)


def _request(run: DryRunOptions, resume: str | None, config: str) -> Request:
    """Return the request for a config.

    Raises:
        LldtoolError: there is no such config, or a saved plan or a checkpoint is to be resumed.
    """
    request = run.request(config, with_settings=False)
    if resume is not None:
        require_resumable(request)
    return replace(request, resume=resume)


def _results(
    names: Sequence[str],
    request_of: Callable[[str], Request],
    policy: Policy,
    dask: Cluster | None,
) -> list[CheckResult]:
    """Return the result of checking each config, in their order."""
    from lldtool.lint.engine import check_config, check_plan

    return run_all(
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

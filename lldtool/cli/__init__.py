"""The command line: parses, dispatches, and turns an error into one line and exit code 2."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from lldtool.cli import check as check_cli
from lldtool.cli import compare as compare_cli
from lldtool.cli import diff as diff_cli
from lldtool.cli import explain as explain_cli
from lldtool.cli import rules as rules_cli
from lldtool.cli import schedule as schedule_cli
from lldtool.cli.inspect import Format, inspect
from lldtool.cli.options import (
    AllowNetwork,
    AutoScaleLr,
    CfgOptions,
    ColorOption,
    ConfigArgument,
    Dark,
    Device,
    Match,
    Output,
    PlotFile,
    Traceback,
    WorldSize,
)
from lldtool.cli.output import Color
from lldtool.cli.pictures import Plot
from lldtool.errors import LldtoolError
from lldtool.findings import Severity
from lldtool.request import Request
from lldtool.schedule import Length
from lldtool.source import locate
from lldtool.text import printable, to_encoding
from lldtool.versions import lldtool_version, package_versions

app = typer.Typer(
    name="lldtool",
    help="See what an OpenMMLab optimizer will do to every parameter, before training starts.",
    epilog="Exit codes: 0 nothing to report, 1 something to report, 2 could not do it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    typer.echo(f"lldtool {lldtool_version()}")
    for package, version in package_versions().items():
        typer.echo(f"{package} {version or 'not installed'}")
    typer.echo(f"python {platform.python_version()}")
    raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_print_version, is_eager=True,
            help="Show the versions of lldtool and of what it works with.",
        ),
    ] = False,
) -> None:  # fmt: skip
    pass


@app.command("inspect", short_help="Show the lr, lr_scale and weight decay of every layer.")
def _inspect(
    config: ConfigArgument,
    params: Annotated[
        bool, typer.Option("--params", help="List the parameters of every layer.")
    ] = False,
    layer: Annotated[
        list[int] | None,
        typer.Option(
            "--layer", metavar="N", help="Only this layer. Repeatable.", show_default=False
        ),
    ] = None,
    match: Match = None,
    decayed: Annotated[bool, typer.Option("--decayed", help="Only with weight decay.")] = False,
    undecayed: Annotated[bool, typer.Option("--undecayed", help="Only without.")] = False,
    form: Annotated[
        Format, typer.Option("--format", help="The form of the result.")
    ] = Format.table,
    output: Output = None,
    plot: PlotFile = None,
    dark: Dark = False,
    save_svg: Annotated[
        Path | None,
        typer.Option(
            "--save-svg", metavar="FILE", show_default=False,
            help="Write the table as a picture of a terminal, too.",
        ),
    ] = None,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Show the lr, lr_scale and weight decay of every layer, stem first.

    Runs the config's own code: its Python, its model's and its constructor's. It builds the
    model without initialising it, uses no GPU unless asked to, and reads no data set.
    """
    request = _requests(
        cfg_options, device, auto_scale_lr, world_size, allow_network=allow_network
    )(config)
    code = inspect(
        request,
        params=params,
        layers=layer or (),
        match=match,
        decayed=decayed,
        undecayed=undecayed,
        form=form,
        output=output,
        color=color,
        plot=Plot(plot, dark),
        svg=save_svg,
    )
    raise typer.Exit(code)


@app.command("explain", short_help="Say why a parameter has its settings.")
def _explain(
    config: ConfigArgument,
    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATTERN...", help="Globs, or parts of names.", show_default=False),
    ] = None,
    keys: Annotated[
        bool, typer.Option("--keys", help="What each custom key and option does, and if at all.")
    ] = False,
    form: Annotated[
        explain_cli.Format, typer.Option("--format", help="The form of the result.")
    ] = explain_cli.Format.text,
    output: Output = None,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:
    """Say why each parameter has its lr and weight decay.

    With PATTERN, the trail of every parameter like one of them: depth, formula, the rule that
    fired, what it beat, what does not apply and why. Without, a line for each distinct reason.
    """
    request = _requests(
        cfg_options, device, auto_scale_lr, world_size, allow_network=allow_network
    )(config)
    code = explain_cli.explain(
        request, patterns or (), keys=keys, form=form, output=output, color=color
    )
    raise typer.Exit(code)


@app.command("diff", short_help="Show what differs between what two configs do.")
def _diff(
    config: ConfigArgument,
    other: Annotated[
        str | None,
        typer.Argument(metavar="OTHER", help="What to compare it with.", show_default=False),
    ] = None,
    edits: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="KEY=VALUE", show_default=False,
            help="Compare CONFIG with itself after this change; DELETE as VALUE removes KEY. "
            "Repeatable.",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against", metavar="REVISION", show_default=False,
            help="Compare CONFIG at this git revision with CONFIG.",
        ),
    ] = None,
    every_layer: Annotated[
        bool, typer.Option("--all", help="Also the layers that do not differ.")
    ] = False,
    params: Annotated[
        bool, typer.Option("--params", help="List every parameter that differs.")
    ] = False,
    match: Match = None,
    ignore: Annotated[
        list[diff_cli.Setting] | None,
        typer.Option(
            "--ignore", metavar="SETTING", show_default=False,
            help="Do not compare lr, lr_scale, weight_decay or layer_id. Repeatable.",
        ),
    ] = None,
    rtol: Annotated[
        float, typer.Option("--rtol", metavar="X", help="Relative tolerance of numbers.")
    ] = 0.0,
    form: Annotated[
        diff_cli.Format, typer.Option("--format", help="The form of the result.")
    ] = diff_cli.Format.table,
    output: Output = None,
    plot: PlotFile = None,
    dark: Dark = False,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Show what differs between what two configs do: lr, lr_scale, weight decay, layers.

    OTHER is a CONFIG too; each may be x.py@REVISION. Instead of it, --with or --against.
    Exit code 0: the same, 1: different, 2: could not do it.
    """
    if [other is not None, bool(edits), against is not None].count(True) != 1:
        raise typer.BadParameter("give exactly one of OTHER, --with and --against")
    request = _requests(cfg_options, device, auto_scale_lr, world_size, allow_network=allow_network)
    a = request(config if against is None else f"{config}@{against}")
    b = a.edited(edits) if edits else request(other or config)
    code = diff_cli.diff(
        a,
        b,
        every_layer=every_layer,
        every_parameter=params,
        match=match,
        ignore=ignore or (),
        rtol=rtol,
        form=form,
        output=output,
        color=color,
        plot=Plot(plot, dark),
    )
    raise typer.Exit(code)


@app.command("compare", short_help="Show the lr of every layer in several configs side by side.")
def _compare(
    configs: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG", show_default=False,
            help="Config files, mmpretrain::path/of/config.py or saved plans; also x.py@REVISION.",
        ),
    ],
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep", metavar="KEY=V1,V2,...", show_default=False,
            help="Compare one CONFIG with itself for each value of this entry.",
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="The form of the result.")
    ] = Format.table,
    output: Output = None,
    plot: PlotFile = None,
    dark: Dark = False,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Show the lr of every layer, a column for each config or each value of an entry.

    The last row counts the parameters whose weight decay is not that of the first column.
    """
    if sweep is None and len(configs) < 2:
        raise typer.BadParameter("two CONFIGs or more, or one and --sweep, are needed")
    if sweep is not None and len(configs) > 1:
        raise typer.BadParameter("--sweep takes one CONFIG")
    request = _requests(cfg_options, device, auto_scale_lr, world_size, allow_network=allow_network)
    requests = [request(config) for config in configs]
    titles = compare_cli.letters(len(requests))
    legend = list(zip(titles, configs, strict=True))
    if sweep is not None:
        edits = compare_cli.swept(sweep)
        legend = [("config", configs[0]), ("columns", sweep.partition("=")[0])]
        requests = [requests[0].edited([edit]) for edit in edits]
        titles = [edit.partition("=")[2] for edit in edits]
    raise typer.Exit(
        compare_cli.compare(
            requests,
            titles,
            legend,
            form=form,
            output=output,
            color=color,
            plot=Plot(plot, dark),
        )
    )


@app.command("schedule", short_help="Show the lr of every layer over the whole training.")
def _schedule(
    config: ConfigArgument,
    epoch_length: Annotated[
        int | None,
        typer.Option(
            "--epoch-length", metavar="N", min=1, show_default=False, help="Iterations an epoch."
        ),
    ] = None,
    dataset_size: Annotated[
        int | None,
        typer.Option(
            "--dataset-size", metavar="N", min=1, show_default=False,
            help="Samples an epoch; with the config's batch size and --world-size.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            "--epochs", metavar="N", min=1, show_default=False, help="Instead of train_cfg's."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="N,N,...", show_default=False,
            help="The lr at the beginning of these epochs; iterations where there are no epochs.",
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="The form of the result.")
    ] = Format.table,
    output: Output = None,
    plot: PlotFile = None,
    dark: Dark = False,
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Show the lr of every layer over the whole training.

    Steps the config's own param schedulers, as training would. Marks layers whose lr rises (↑)
    or that end at one lr (=).
    """
    if epoch_length is not None and dataset_size is not None:
        raise typer.BadParameter("--epoch-length and --dataset-size exclude each other")
    request = _requests(
        cfg_options, device, auto_scale_lr, world_size, allow_network=allow_network
    )(config)
    code = schedule_cli.schedule(
        request,
        Length(epoch_length, dataset_size, epochs),
        at=schedule_cli.epochs_of(at),
        form=form,
        output=output,
        color=color,
        plot=Plot(plot, dark),
    )
    raise typer.Exit(code)


@app.command("check", short_help="Hold configs against the rules, in CI or before a run.")
def _check(
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
    settings: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", show_default=False,
            help="The settings to use; else the nearest lldtool.toml or pyproject.toml.",
        ),
    ] = None,
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
            "--jobs", "-j", metavar="N", min=1, show_default=False,
            help="Configs at a time. Default: as many as there are cores.",
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="SECONDS", min=0.1, show_default=False,
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
    cfg_options: CfgOptions = None,
    device: Device = "cpu",
    auto_scale_lr: AutoScaleLr = False,
    world_size: WorldSize = None,
    allow_network: AllowNetwork = False,
    color: ColorOption = Color.auto,
    traceback: Traceback = False,
) -> None:  # fmt: skip
    """Hold what configs do against the rules: `lldtool rules` lists them.

    Runs each config's own code, in a process of its own. Exit code 0: nothing found that is as bad
    as --fail-on, 1: something is, 2: a config could not be checked.
    """
    from lldtool.policy import load_policy

    if "" in (configs or ()) or (select is not None and not _codes(select)):
        raise typer.BadParameter("an empty CONFIG, or a --select without rules")
    policy = load_policy(Path.cwd(), settings).overridden(
        select=_codes(select),
        extend_select=_codes(extend_select) or (),
        ignore=_codes(ignore) or (),
        exclude=exclude or (),
        include_base=include_base,
        fail_on=fail_on,
        timeout=timeout,
        jobs=jobs,
    )
    code = check_cli.check(
        configs or ["."],
        _requests(cfg_options, device, auto_scale_lr, world_size, allow_network=allow_network),
        policy,
        dask,
        check_cli.sinks(formats or (), output),
        part=part,
        baseline=baseline,
        new_baseline=new_baseline,
        exit_zero=exit_zero,
        color=color,
    )
    raise typer.Exit(code)


def _codes(given: Sequence[str] | None) -> list[str] | None:
    """`--select LLD1,LLD201`, as ruff takes it."""
    return [code for text in given for code in text.split(",") if code] if given else None


@app.command("rules", short_help="List the rules of check.")
def _rules(color: ColorOption = Color.auto) -> None:
    """List the rules of check: code, name, severity, what they find."""
    raise typer.Exit(rules_cli.rules(color=color))


@app.command("rule", short_help="Say what a rule finds, why, and what to do.")
def _rule(
    name: Annotated[str, typer.Argument(metavar="RULE", help="A code or a name.")],
    color: ColorOption = Color.auto,
) -> None:
    """Say what a rule finds, why it matters, when to ignore it and what to write instead."""
    raise typer.Exit(rules_cli.rule(name, color=color))


def _requests(
    cfg_options: Sequence[str] | None,
    device: str,
    auto_scale_lr: bool,
    world_size: int | None,
    *,
    allow_network: bool,
) -> Callable[[str], Request]:
    """CONFIG -> what the options that all commands share ask for."""

    def request(config: str) -> Request:
        found = locate(config)
        return Request(
            path=found.path,
            name=config,
            checkout=found.checkout,
            cfg_options=tuple(cfg_options or ()),
            device=device,
            auto_scale_lr=auto_scale_lr,
            world_size=world_size,
            allow_network=allow_network,
            own_process=True,
        )

    return request


def run() -> None:
    """The entry point of `lldtool` and `python -m lldtool`: `main` in a process of its own.

    The process ends without taking torch apart piece by piece, a tenth of the time of a dry run,
    and without waiting for threads that a config started.
    """
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    tidy_up = getattr(atexit, "_run_exitfuncs", None)
    if tidy_up is None:  # no Python is known to lack it
        sys.exit(code)
    tidy_up()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or closed
            stream.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Parse the arguments, do what they say, and raise `SystemExit` with the exit code."""
    gc.disable()  # a short life; collecting costs a fifth of the import of torch
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=_split_cfg_options(given))
    except LldtoolError as error:
        _fail(str(error), error.__cause__ if "--traceback" in given else None)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except Exception as error:
        text = f"lldtool itself failed: {type(error).__name__}: {error}"
        _fail(f"{text} (--traceback shows where)", error if "--traceback" in given else None)
    sys.exit(0)


def _fail(message: str, error: BaseException | None) -> NoReturn:
    """One line on stderr, the traceback of an error before it, and exit code 2."""
    if error is not None:
        import traceback

        traceback.print_exception(error)
    _say(f"error: {message}")
    sys.exit(2)


def _say(line: str) -> None:
    if sys.stderr is not None:
        text = printable(" ".join(line.split("\n")))
        print(to_encoding(text, sys.stderr.encoding or "utf-8"), file=sys.stderr)


def _split_cfg_options(arguments: Sequence[str]) -> list[str]:
    """`--cfg-options A=1 B=2`, as argparse takes it in OpenMMLab, -> an option for each pair."""
    split: list[str] = []
    in_pairs = False
    for argument in arguments:
        in_pairs = in_pairs and "=" in argument and not argument.startswith("-")
        if in_pairs and split[-2:-1] == ["--cfg-options"]:
            split.append("--cfg-options")
        split.append(argument)
        in_pairs = in_pairs or argument == "--cfg-options"
    return split

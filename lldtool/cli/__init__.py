"""The command line: parses arguments, runs a command, and reports an error as one line."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import platform
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from lldtool.cli.commands import Commands
from lldtool.cli.streams import say
from lldtool.errors import LldtoolError, text_of
from lldtool.signals import ENDING
from lldtool.versions import lldtool_version, package_versions

app = typer.Typer(
    name="lldtool",
    cls=Commands,
    help="See what an OpenMMLab optimizer will do to every parameter, before training starts.",
    epilog="Exit codes: 0 nothing to report, 1 differences or findings, 2 error.",
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
            help="Show the versions of lldtool and the packages it works with.",
        ),
    ] = False,
) -> None:  # fmt: skip
    pass


#: The signals received that end this process.
_received: list[int] = []


def run() -> None:
    """Run `main` as the entry point of `lldtool` and `python -m lldtool`.

    A signal such as Ctrl-C gives the exit code 128 + its number, as in a shell. The process exits
    without tearing down torch, which takes a tenth of the time of a dry run, and without waiting
    for threads that a config started.
    """
    _open_standard_streams()
    try:
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # by nohup, or a shell's `&`
                signal.signal(number, _end)
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except KeyboardInterrupt:  # in the middle of an error
        code = 130
    tidy_up = getattr(atexit, "_run_exitfuncs", None)
    if tidy_up is None:  # no Python is known to lack it
        sys.exit(code)
    tidy_up()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, or closed
            stream.flush()
    os._exit(128 + _received[0] if _received else code)


def _open_standard_streams() -> None:
    """Open closed standard streams on /dev/null.

    Otherwise the next file to be opened would get the number of stderr, say, and with it all that
    libraries and child processes write there.
    """
    for descriptor in range(3):
        if not _is_open(descriptor):
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _end(number: int, _: object) -> None:
    """Unwind by a KeyboardInterrupt; a second signal ends the process at once."""
    if _received:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    _received.append(number)
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line, and raise `SystemExit` with the exit code."""
    gc.disable()  # short-lived process; collecting costs a fifth of the import of torch
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=_split_cfg_options(given))
    except LldtoolError as error:
        _fail(str(error), error.__cause__ if "--traceback" in given else None)
    except Exception as error:
        text = f"lldtool itself failed: {type(error).__name__}: {text_of(error)}"
        _fail(f"{text} (--traceback shows where)", error if "--traceback" in given else None)
    sys.exit(0)


def _fail(message: str, error: BaseException | None) -> NoReturn:
    """Print one line to stderr, after the traceback if there is an error, and exit with 2."""
    if error is not None:
        import traceback

        traceback.print_exception(error)
    say(f"error: {message}")
    sys.exit(2)


def _split_cfg_options(arguments: Sequence[str]) -> list[str]:
    """Repeat the option for each pair of `--cfg-options A=1 B=2`, which OpenMMLab's tools allow."""
    split: list[str] = []
    in_pairs = False
    for argument in arguments:
        in_pairs = in_pairs and "=" in argument and not argument.startswith("-")
        if in_pairs and split[-2:-1] == ["--cfg-options"]:
            split.append("--cfg-options")
        split.append(argument)
        in_pairs = in_pairs or argument == "--cfg-options"
    return split

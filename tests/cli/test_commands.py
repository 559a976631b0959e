"""Commands are discovered by listing the directory, and imported when they are run."""

import shutil
import subprocess
import sys

from conftest import ROOT, lldtool_process

NEW = '''
from dataclasses import dataclass
from typing import Annotated

import typer

from lldtool.cli.options import DryRunOptions

POSITION = 15


@dataclass(frozen=True)
class Own:
    """A group of its own."""

    often: Annotated[int, typer.Option("--often", help="How often.")] = 2


def hello(name: str, *, own: Own, run: DryRunOptions) -> None:
    """Greet someone."""
    typer.echo(f"{name} " * own.often + run.device)
'''


def test_a_new_command_is_one_file(tmp_path):
    shutil.copytree(ROOT / "lldtool", tmp_path / "lldtool")
    (tmp_path / "lldtool/cli/commands/hello.py").write_text(NEW)

    def run(*arguments):
        return lldtool_process(*arguments, cwd=tmp_path, PYTHONPATH=str(tmp_path))

    listed = run("--help").out
    assert listed.index("  inspect ") < listed.index("Greet someone.") < listed.index("  explain ")
    assert run("hello", "you", "--often", "3", "--device", "cuda").out == "you you you cuda\n"
    assert "Number of GPUs" in run("hello", "--help").out
    assert "Did you mean 'hello'" in run("helo").err


def test_only_the_command_that_runs_is_imported():
    code = (
        "import sys; from lldtool.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*sorted(m for m in sys.modules if m.startswith('lldtool.cli.commands.')),"
        " file=sys.stderr)"
    )

    def imported(*arguments):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stderr.split()

    assert imported("--version") == []
    assert imported("rules") == ["lldtool.cli.commands.rules"]

"""Scripts that do without lldtool what one would do without it, each a process of its own."""

import sys
from pathlib import Path

from measure import Process

HERE = Path(__file__).parent


def peer(name, *arguments):
    """The process of a script here."""
    scripts = [str(HERE / "run.py"), str(HERE / f"{name}.py")]
    return Process([sys.executable, "-W", "ignore", *scripts, *arguments])

"""Scripts that do without lldtool what lldtool does, each in a process of its own."""

import sys
from pathlib import Path

from measure import Process

HERE = Path(__file__).parent


def peer(name, *arguments):
    """Return a script of this directory as a case."""
    scripts = [str(HERE / "run.py"), str(HERE / f"{name}.py")]
    return Process([sys.executable, "-W", "ignore", *scripts, *arguments])

"""`python -m lldtool`."""

from lldtool.cli import run

run()

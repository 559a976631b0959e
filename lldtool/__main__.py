"""`python -m lldtool`."""

from lldtool.cli import main

main()

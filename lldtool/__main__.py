"""`python -m lldtool`, and the script `lldtool`."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports ends them quietly

from lldtool.cli import run

if __name__ == "__main__":
    run()

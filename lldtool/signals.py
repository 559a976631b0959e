"""The signals that end lldtool."""

from __future__ import annotations

import signal

#: Ctrl-C, `kill`, a terminal that is closed, Ctrl-\; each tidies up. Windows lacks some.
ENDING = tuple(
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
    if name in signal.Signals.__members__
)

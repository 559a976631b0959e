"""Run a command, and print its exit code, its seconds and the peak resident MB of its processes.

    python -S bench/timed.py COMMAND [ARGUMENT...]

This is a small process of its own because a child's peak includes the memory of its parent.
"""

import os
import sys
import time

null = os.open(os.devnull, os.O_RDWR)
streams = [(os.POSIX_SPAWN_DUP2, null, stream) for stream in (0, 1, 2)]
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=streams)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - start
print(os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss / 1024)

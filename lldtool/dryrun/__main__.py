"""The other end of `session.start_over`: a task on stdin, its result or failure on stdout."""

import os
import pickle
import sys

from lldtool.errors import LldtoolError

os.environ["LLDTOOL_REAL_IMPORTS"] = "1"
path, task, request = pickle.load(sys.stdin.buffer)
sys.path[:] = path
answer: tuple[object, tuple[str, str | None] | None]
try:
    from lldtool.dryrun.session import run

    answer = run(task, request), None
except LldtoolError as error:
    answer = None, (error.message, error.hint)
sys.stdout.buffer.write(pickle.dumps(answer))

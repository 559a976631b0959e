"""The other end of `session.start_over`: a task on stdin, its result or failure on stdout."""

import os
import pickle
import sys
import traceback

from lldtool.errors import LldtoolError

os.environ["LLDTOOL_REAL_IMPORTS"] = "1"
path, task, request = pickle.load(sys.stdin.buffer)
sys.path[:] = path
answer: tuple[object, tuple[str, str | None, str] | None]
try:
    from lldtool.dryrun.session import run

    answer = run(task, request), None
except LldtoolError as error:
    trace = "".join(traceback.format_exception(error.__cause__ or error))
    answer = None, (error.message, error.hint, trace)
sys.stdout.buffer.write(pickle.dumps(answer))

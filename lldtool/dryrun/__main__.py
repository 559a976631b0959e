"""The other end of `session.in_fresh_process`: a task on stdin, its answer on stdout.

That is its result or failure, and the user's own files that were read for it.
"""

import pickle
import sys
import traceback

from lldtool.dryrun.files_read import collected_files
from lldtool.errors import LldtoolError

path, task, requests = pickle.load(sys.stdin.buffer)
sys.path[:] = path
answer: tuple[object, tuple[LldtoolError, str] | None]
with collected_files() as files:
    try:
        from lldtool.dryrun.session import run

        answer = run(task, *requests), None
    except LldtoolError as error:
        trace = "".join(traceback.format_exception(error.__cause__ or error))
        answer = None, (error, trace)
sys.stdout.buffer.write(pickle.dumps((*answer, files)))

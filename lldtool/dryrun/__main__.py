"""The other end of `start_over`: a request on stdin, a plan or a failure on stdout."""

import pickle
import sys

from lldtool.dryrun import dry_run
from lldtool.errors import LldtoolError
from lldtool.plan import plan_to_json

path, request = pickle.load(sys.stdin.buffer)
sys.path[:] = path
answer: tuple[str | None, tuple[str, str | None] | None]
try:
    answer = plan_to_json(dry_run(request)), None
except LldtoolError as error:
    answer = None, (error.message, error.hint)
sys.stdout.buffer.write(pickle.dumps(answer))

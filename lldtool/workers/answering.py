"""In a worker process: read one call, make it, and send back what it returned or raised."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import traceback
from typing import NoReturn

from lldtool.errors import LldtoolError

#: Environment variables, module path and working directory of a call.
Environment = tuple[dict[str, str], list[str], str | None]
# What a config may have patched by the time that its answer is sent.
_dumps, _loads, _exit, _getpid = pickle.dumps, pickle.loads, os._exit, os.getpid
_fstat, _kill, _write = os.fstat, os.kill, os.write


def send(descriptor: int, message: object) -> None:
    """Write a pickled object, all of it."""
    rest = memoryview(_dumps(message))
    while rest:
        rest = rest[_write(descriptor, rest) :]


def answer_call(requests: int, answers: int) -> NoReturn:
    """Send the ids of this process and its parent, make the call that comes, and end the process.

    Args:
        requests: the descriptor to read the call and its `Environment` from.
        answers: the descriptor to write the answer to.
    """
    pid, pipe = _getpid(), _fstat(answers)
    send(answers, (pid, os.getppid()))
    with open(requests, "rb", closefd=requests != answers) as stream:
        try:
            call, (variables, path, folder) = pickle.load(stream)
        except EOFError:  # nobody waits for an answer any more
            _exit(0)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[:] = path
    with contextlib.suppress(OSError):
        os.chdir(folder or ".")
    answer = _answer(call)
    if _getpid() != pid:  # the call forked
        _exit(0)
    for output in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            output.flush()
    try:
        if not os.path.samestat(_fstat(answers), pipe):  # closed, and opened as something else
            raise BrokenPipeError
        send(answers, ("answer", answer))
    except OSError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        _kill(pid, signal.SIGPIPE)
    _exit(0)


def _answer(call: bytes) -> tuple[bool, bytes, str]:
    """Return whether the call returned, what it returned or raised, pickled, and a traceback."""
    try:
        task, args = _loads(call)
        return True, _dumps(task(*args)), ""
    except BaseException as error:
        is_ours = isinstance(error, LldtoolError)
        trace = "".join(traceback.format_exception((is_ours and error.__cause__) or error))
        return False, _pickled(_translated(error)), trace


def _translated(error: BaseException) -> Exception:
    """Return an error that does not end the process that reads it."""
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return LldtoolError(ended_with(code))
    if isinstance(error, MemoryError):
        return LldtoolError("ran out of memory")
    return error if isinstance(error, Exception) else LldtoolError(_described(error))


def ended_with(code: int) -> str:
    """Return the message for a config that ended its process."""
    return f"the config ended the process with exit code {code}"


def _pickled(error: Exception) -> bytes:
    """Return the error pickled; as an `LldtoolError` where it can't be read again."""
    try:
        content = _dumps(error)
        _loads(content)
    except Exception:
        return _dumps(LldtoolError(_described(error)))
    return content


def _described(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()

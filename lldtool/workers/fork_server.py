"""The server process: it imports once what dry runs need, and forks a worker for each call.

Stdin brings a socket for each call. The server forks a guard for it, and the guard forks the
worker, which makes the call, waits for it and sends how it ended: a config that ends or stops its
parent process harms no other call. EOF on stdin ends the server and all that it forked. With the
argument `one` it makes a single call itself, where there is no fork.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
import warnings
from pathlib import Path
from typing import NoReturn

from lldtool.config.request import Request
from lldtool.dryrun.stubs import current_stubs
from lldtool.errors import LldtoolError
from lldtool.workers.answering import answer_call, send

#: What the first dry run of a process imports.
WARM = (
    "mmengine.registry",
    "mmengine.optim",
    "lldtool.dryrun.capturing",
    "lldtool.dryrun.batches",
    "lldtool.dryrun.key_effects",
    "lldtool.dryrun.tracers.mmengine",
    "lldtool.dryrun.tracers.mmpretrain",
    "email.policy",
    "encodings.unicode_escape",
    "numpy.random",
    "resource",
    "mmpretrain.registry",  # and what comes after may be missing
    "mmpretrain.models",
    "mmpretrain.engine",
)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
#: Signals that end a server which still imports, and that it ignores later.
_IGNORED = (signal.SIGTERM, signal.SIGINT)


def main(arguments: list[str]) -> None:
    """Serve the calls that stdin brings; what is printed goes to stderr.

    Args:
        arguments: `one`, or names of modules to import in advance.
    """
    gc.disable()  # collecting costs a seventh of what is imported, and finds next to nothing
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    if arguments == ["one"]:
        answer_call(requests, answers)
    os.close(answers)
    _warm_up()
    for module in arguments:
        with contextlib.suppress(Exception):  # the call will say so
            importlib.import_module(module)
    gc.freeze()  # what is there stays shared with the workers
    _Server(socket.socket(fileno=requests)).serve()
    os._exit(0)


def _warm_up() -> None:
    """Import what a dry run imports, as it does; what fails here is reported by the dry run."""
    from lldtool.dryrun.session import run

    # mmengine asks for GPUs when it is imported, which must not keep the children from using them.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    # Each of some small operations would start and stop a thread pool: an eighth of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    request = Request(Path("config.py").absolute(), "warm-up", own_process=True)
    with contextlib.suppress(Exception):
        run(_import_all, request)
    current_stubs().forget_uses()


def _import_all(request: Request) -> None:
    try:
        for module in WARM:
            importlib.import_module(module)
    except Exception as error:
        raise LldtoolError(str(error)) from error


class _Server:
    """Forks a guard and a worker for each socket that it receives."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._guards: set[int] = set()

    def serve(self) -> None:
        """Fork until the other end of the socket is closed, then end all that was forked."""
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: self._reap())
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        while (received := socket.recv_fds(self._requests, 1, 1))[0]:
            for connection in received[1]:
                self._fork(connection)
        self._end()

    def _fork(self, connection: int) -> None:
        # Else a guard that ends at once would be forgotten before it is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        try:
            pid = _fork()
            if pid == 0:
                self._requests.close()
                _guard(connection)
            self._guards.add(pid)
        except OSError as error:
            _send_not_started(connection, error)
        finally:
            os.close(connection)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def _reap(self) -> None:
        """Forget the guards that have ended, and kill what their workers left behind."""
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                self._guards.discard(pid)
        for pid in _children():
            if pid not in self._guards:
                _kill(pid)

    def _end(self) -> None:
        """Kill all processes that were forked, and what they started."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        for pid in self._guards:
            _kill(pid)
        self._guards.clear()
        give_up = time.monotonic() + 2
        while _children() and time.monotonic() < give_up:
            self._reap()
            time.sleep(0.002)


def _guard(connection: int) -> NoReturn:
    """In a guard: fork the worker, wait for it, and send how it ended."""
    try:
        os.setsid()  # so that a signal to its group reaches no other
        for number in (*_IGNORED, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        try:
            pid = _fork()
        except OSError as error:
            _send_not_started(connection, error)
            os._exit(1)
        if pid == 0:
            _stand_alone()
            answer_call(connection, connection)
        _wait(pid, connection)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):  # nobody wants to know any more
            send(connection, ("exit", code) if code >= 0 else ("signal", -code))
    finally:
        os._exit(1)


def _wait(pid: int, connection: int) -> None:
    """Wait for the worker to end; kill it when the other end of the connection is closed."""
    with contextlib.suppress(AttributeError, OSError):  # not every system has these
        events = select.poll()
        events.register(os.pidfd_open(pid), select.POLLIN)
        events.register(connection, select.POLLRDHUP)
        if connection in dict(events.poll()):
            _kill(pid)


def _send_not_started(connection: int, error: OSError) -> None:
    with contextlib.suppress(OSError):  # nobody wants to know any more
        send(connection, ())  # no process ids
        send(connection, ("not started", str(error)))


def _fork() -> int:
    with warnings.catch_warnings():  # a newer Python's, of the threads that numpy has
        warnings.simplefilter("ignore")
        return os.fork()


def _stand_alone() -> None:
    """In a worker: start a session, write no core file, be the first to go without memory."""
    import resource

    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _children() -> list[int]:
    """Return the children of this process, none where the system does not list them."""
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    """Call Linux's `prctl`; do nothing elsewhere."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(option, value)


if __name__ == "__main__":
    main(sys.argv[1:])

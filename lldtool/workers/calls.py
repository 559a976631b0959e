"""Make calls in worker processes, from any thread, and explain where one has no answer.

Where processes can be forked, `fork_server` forks them after the slow imports. A server that is
killed or stopped is replaced; the calls that it started go on, the others start again.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from lldtool.config.request import Request
from lldtool.errors import LldtoolError, RemoteError
from lldtool.workers.answering import Environment, ended_with
from lldtool.workers.memory import available_memory, memory_of, own_memory_of
from lldtool.workers.processes import Forked, Process, Server, Spawned

#: Whether a process can be forked; elsewhere each call imports everything anew.
CAN_FORK = hasattr(os, "fork")
#: How many processes in a row may end before they have started a call.
TRIES = 3
#: The interval between checks of the time and memory that calls take, in seconds.
CHECK_INTERVAL = 0.1


@dataclass(eq=False)
class Call:
    """A call of a module's function, in the environment and folder where this object is made.

    Raises:
        Exception: the function or an argument can't be pickled.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    timeout: float | None
    request: bytes = field(init=False)
    config: str | None = field(init=False)
    deadline: float = math.inf
    process: Process | None = None
    #: Why it was ended, if it was.
    ended: str | None = None

    def __post_init__(self) -> None:
        self.request = pickle.dumps((pickle.dumps((self.function, self.args)), _environment()))
        self.config = next((one.name for one in self.args if isinstance(one, Request)), None)

    @property
    def module(self) -> str:
        """The name of the module that the function is defined in."""
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        return str(function.__module__)

    @property
    def pid(self) -> int:
        """The process that makes the call; 0 before and after."""
        process = self.process
        return process.pids[0] if process is not None and process.pids else 0

    def end(self, reason: str) -> None:
        """End its process; the call raises an error with the reason."""
        self.ended = self.ended or reason
        process = self.process
        if process is not None:
            process.end()

    @contextlib.contextmanager
    def made_by(self, process: Process) -> Iterator[None]:
        """Let `end` end this process."""
        self.process = process
        if self.ended is not None:
            process.end()
        try:
            yield
        finally:
            self.process = None

    def result(self, process: Process) -> Any:
        """Return what the call returned.

        Raises:
            LldtoolError: its process ended without an answer, or the function raised it.
            Exception: the function raised it.
        """
        try:
            ending, value = pickle.load(process.answers)
        except (OSError, EOFError):
            ending, value = process.ending()
        except Exception as error:
            ending, value = "unreadable", error
        if self.ended is not None or ending != "answer":
            raise self.error(self.ended or ending, value)
        is_result, content, trace = value
        try:
            result = pickle.loads(content)
        except Exception as error:
            raise self.error("unreadable", error) from error
        if is_result:
            return result
        if isinstance(result, LldtoolError) and self.config is not None:
            result = result.with_config(self.config)
        raise result from RemoteError(trace)

    def error(self, ending: str, value: object = None) -> LldtoolError:
        """Return the error that explains why there is no answer."""
        hint = "a larger timeout allows more" if ending == "timeout" else None
        message = {
            "timeout": f"took longer than {self.timeout or 0:g} s",
            "memory": "ran out of memory",
            "interrupted": "was interrupted",
            "exit": ended_with(value) if isinstance(value, int) else "",
            "signal": _ended_by(value) if isinstance(value, int) else "",
            "no guard": "the parent of its process was killed",
            "not started": f"its process could not be started: {value}",
            "unreadable": f"an unreadable answer: {value}",
        }[ending]
        return LldtoolError(message, config=self.config, hint=hint)


def _environment() -> Environment:
    try:
        folder = os.getcwd()  # noqa: PTH109
    except OSError:  # it was deleted
        folder = None
    return dict(os.environ), sys.path[:], folder


def _ended_by(number: int) -> str:
    """Return the message for a process that a signal ended."""
    if number == signal.SIGKILL:
        return "was killed, out of memory?"
    if number == signal.SIGPIPE:
        return "the config closed the pipe that its plan comes through"
    return f"crashed with signal {_signal_name(number)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


class Workers:
    """Makes calls, each in a process of its own, one for each thread that asks.

    Args:
        stderr: the file descriptor that calls print to; None for this process's stderr.
    """

    def __init__(self, stderr: int | None = None) -> None:
        self._stderr = stderr
        self._lock = threading.Lock()
        self._server: Server | None = None
        self._is_closed = False
        #: How many processes in a row ended before they had started a call, and how the last did.
        self._failures = 0
        self._failure = ""
        self._check_lock = threading.Lock()
        self._running: set[Call] = set()
        self._is_checking = False

    def make(self, call: Call) -> Any:
        """Return what the call returns.

        Raises:
            LldtoolError: the process ended without an answer, or the function raised it.
            Exception: the function raised it.
        """
        while True:
            with contextlib.closing(self._process(call)) as process, call.made_by(process):
                if process.has_begun(call.request):
                    self._failures = 0
                    if call.ended is not None:  # before its process was known
                        process.end()
                    with self._checked(call):
                        return call.result(process)
                if call.ended is None:
                    self._replace(process)

    def close(self, *, wait: bool) -> None:
        """End the server; no call runs any more, and none will."""
        with self._lock:
            self._is_closed = True
            server = self._server
        if server is not None:
            server.close()
            if wait:
                server.wait()

    def _process(self, call: Call) -> Process:
        """Return a process that may make the call.

        Raises:
            LldtoolError: the call was ended, or no process starts.
        """
        with self._lock:
            if call.ended is not None or self._is_closed:
                raise call.error(call.ended or "interrupted")
            if self._failures >= TRIES:
                message = f"the process that configs run in ended early, with {self._failure}"
                raise LldtoolError(message, config=call.config)
            if not CAN_FORK:
                return Spawned(self._stderr)
            if self._server is None:
                self._server = Server(call.module, self._stderr)
            return Forked(self._server)

    def _replace(self, process: Process) -> None:
        """Discard a process that has started nothing, with its server."""
        with self._lock:
            if isinstance(process, Forked):
                if process.server is not self._server:
                    return
                self._server = None
            code = process.exit_code()
            self._failures += 1
            self._failure = _signal_name(-code) if code < 0 else f"exit code {code}"

    @contextlib.contextmanager
    def _checked(self, call: Call) -> Iterator[None]:
        """Have the call ended where it takes too long, or most of the memory when that runs out."""
        call.deadline = math.inf if call.timeout is None else time.monotonic() + call.timeout
        with self._check_lock:
            self._running.add(call)
            if not self._is_checking:
                threading.Thread(target=self._check_calls, daemon=True).start()
                self._is_checking = True
        try:
            yield
        finally:
            with self._check_lock:
                self._running.discard(call)

    def _check_calls(self) -> None:
        """Check the time and memory of calls as long as some run."""
        allowed = 0.9 * available_memory()
        while True:
            with self._check_lock:
                running = list(self._running)
                self._is_checking = bool(running)
            if not running:
                return
            for call in running:
                if time.monotonic() > call.deadline:
                    call.end("timeout")
            largest = _too_large(running, allowed)
            if largest is not None:
                largest.end("memory")
            time.sleep(CHECK_INTERVAL)


def _too_large(calls: Collection[Call], allowed: float) -> Call | None:
    """Return the call that uses most where all together use more memory than is allowed."""
    sizes = {call: memory_of(call.pid) for call in calls}
    if sum(sizes.values()) > allowed:
        sizes = {call: own_memory_of(call.pid) or size for call, size in sizes.items()}
    return max(sizes, key=sizes.__getitem__) if sum(sizes.values()) > allowed else None

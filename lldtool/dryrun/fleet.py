"""Calls -> futures: each call in a process of its own, forked after the slow imports.

A config that raises, hangs, exits, crashes or runs out of memory there is one future's error and
nothing else's. `fork_server` is the other end.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from lldtool.dryrun.fork_server import Place, ended_with, frame, read_frame
from lldtool.dryrun.session import RemoteError
from lldtool.dryrun.surroundings import quiet
from lldtool.errors import LldtoolError
from lldtool.request import Request

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
#: Whether a process can be forked; elsewhere each call imports everything anew.
CAN_FORK = hasattr(os, "fork")
#: How long a Dask scheduler has to answer, in seconds.
DASK_TIMEOUT = 10


@dataclass
class _Work:
    """A call that has not ended yet."""

    future: Future[Any]
    call: bytes
    place: Place
    config: str | None


class Fleet(Executor):
    """Runs calls of modules' functions, up to `jobs` at a time.

    Environment, module path and working directory of a call are those at its `submit`. What the
    function raises becomes the future's exception, with a `__cause__` that prints its traceback;
    where the process ended instead, that is an `LldtoolError`. Leaving the fleet with an
    exception, Ctrl-C too, ends what still runs.

    Args:
        jobs: how many calls run at a time.
        timeout: how many seconds a call may take; None for any number.
        stderr: where what calls print goes, a file descriptor; None for this process's stderr.
    """

    def __init__(self, jobs: int, timeout: float | None, stderr: int | None = None) -> None:
        self._jobs = jobs
        self._stderr = stderr
        self._timeout = timeout
        self._numbers = itertools.count()
        self._waiting: deque[_Work] = deque()
        self._running: dict[int, _Work] = {}
        self._processes: _Server | _Spawner | None = None
        self._is_shut_down = False
        self._changed = threading.Condition()

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Have the function called.

        Raises:
            RuntimeError: the fleet was shut down.
        """
        future: Future[Result] = Future()
        try:
            call = pickle.dumps((functools.partial(fn, **kwargs), args))
        except Exception as error:
            future.set_exception(error)
            return future
        config = next((one.name for one in args if isinstance(one, Request)), None)
        with self._changed:
            if self._is_shut_down:
                raise RuntimeError("the fleet was shut down")
            if self._processes is None:
                kind = _Server if CAN_FORK else _Spawner
                self._processes = kind(self._settle, self._lost, self._stderr)
            self._waiting.append(_Work(future, call, _place(), config))
            self._go_on()
        return future

    def end(self, future: Future[Any]) -> None:
        """End the process of a call that nobody waits for any more; its future says so."""
        with self._changed:
            numbers = [n for n, work in self._running.items() if work.future is future]
            if numbers and self._processes is not None:
                self._processes.end(numbers[0])
        future.cancel()  # which does something where it has not begun

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the processes once all are done.

        Args:
            wait: return when that has happened.
            cancel_futures: end them now, with the calls that still run.
        """
        with self._changed:
            self._is_shut_down = True
            processes = self._processes
            given_up = self._take_all() if cancel_futures else []
            if cancel_futures and processes is not None:
                processes.kill()
            self._go_on()
        for work in given_up:
            if work.future.cancel():
                work.future.set_running_or_notify_cancel()
            else:
                work.future.set_exception(LldtoolError("was interrupted", config=work.config))
        if wait and processes is not None:
            processes.join()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.shutdown(cancel_futures=exc_type is not None)

    def _go_on(self) -> None:
        """Start as many calls as may run; let go of the processes when none will."""
        processes = self._processes
        if processes is None:
            return
        while self._waiting and len(self._running) < self._jobs:
            work = self._waiting.popleft()
            if work.future.set_running_or_notify_cancel():
                number = next(self._numbers)
                self._running[number] = work
                processes.start(number, work, self._timeout)
        if self._is_shut_down and not self._running:
            processes.close()

    def _take_all(self) -> list[_Work]:
        works = [*self._running.values(), *self._waiting]
        self._running.clear()
        self._waiting.clear()
        return works

    def _settle(self, number: int, ending: str, value: Any) -> None:
        """A call has ended."""
        with self._changed:
            work = self._running.pop(number, None)
            self._go_on()
        if work is None:
            return
        try:
            work.future.set_result(self._result(work, ending, value))
        except Exception as error:
            work.future.set_exception(error)

    def _result(self, work: _Work, ending: str, value: Any) -> Any:
        """What the call returned.

        Raises:
            LldtoolError: its process ended without an answer, or the function raised it.
            Exception: the function raised it.
        """
        if ending != "answer":
            raise _ending_error(ending, value, self._timeout, work.config)
        try:
            is_result, content, trace = pickle.loads(value)
            result = pickle.loads(content)
        except Exception as error:
            raise LldtoolError(f"an unreadable answer: {error}", config=work.config) from error
        if is_result:
            return result
        if isinstance(result, LldtoolError):
            result.config = result.config or work.config
        raise result from RemoteError(trace)

    def _lost(self, code: int) -> None:
        """The server has ended; if that was too early, so have its calls."""
        with self._changed:
            self._processes = None
            works = self._take_all()
        how = _signal_name(-code) if code < 0 else f"exit code {code}"
        for work in works:
            if work.future.running() or work.future.set_running_or_notify_cancel():
                message = f"the process that configs run in ended early, with {how}"
                work.future.set_exception(LldtoolError(message, config=work.config))


def _place() -> Place:
    try:
        folder = os.getcwd()  # noqa: PTH109
    except OSError:  # it was deleted
        folder = None
    return dict(os.environ), sys.path[:], folder


#: How a call's process ended -> what is said of that.
_ENDINGS = {"memory": "ran out of memory", "ended": "was interrupted"}


def _ending_error(
    ending: str, value: Any, timeout: float | None, config: str | None
) -> LldtoolError:
    """Why a call's process has no answer."""
    hint = None
    if ending == "timeout":
        message, hint = f"took longer than {timeout:g} s", "a larger timeout allows more"
    elif ending == "exit":
        message = ended_with(value)
    elif ending in _ENDINGS:
        message = _ENDINGS[ending]
    elif ending != "signal":
        message = f"its process could not be started: {value}"
    elif value == signal.SIGKILL:
        message = "was killed, out of memory?"
    elif value == signal.SIGPIPE:
        message = "the config closed the pipe that its plan comes through"
    else:
        message = f"crashed with signal {_signal_name(value)}"
    return LldtoolError(message, config=config, hint=hint)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


class _Server:
    """The process that forks, with a thread to write to it and one to read from it."""

    def __init__(
        self,
        settle: Callable[[int, str, Any], None],
        lost: Callable[[int], None],
        stderr: int | None,
    ) -> None:
        self._settle = settle
        self._lost = lost
        # A session of its own, so that Ctrl-C in a terminal is left to the parent.
        self._process = _python_module((), stderr)
        self._frames: SimpleQueue[bytes | None] = SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        threading.Thread(target=self._write, daemon=True).start()

    def start(self, number: int, work: _Work, timeout: float | None) -> None:
        """Have a call made."""
        self._frames.put(frame(pickle.dumps((number, work.call, work.place, timeout))))

    def end(self, number: int) -> None:
        """End a call."""
        self._frames.put(frame(pickle.dumps((number, None, None, None))))

    def close(self) -> None:
        """Let the process end, which ends all that it forked."""
        self._frames.put(None)

    def kill(self) -> None:
        """The same at once, be it in the middle of an import."""
        self._process.terminate()
        self.close()

    def join(self) -> None:
        """Wait until it has ended and all is said."""
        self._reader.join()

    def _write(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError), self._process.stdin as stdin:
            while (content := self._frames.get()) is not None:
                stdin.write(content)
                stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            while (content := read_frame(stdout.read)) is not None:
                self._settle(*pickle.loads(content))
        self._lost(self._process.wait())


class _Spawner:
    """Where nothing can be forked: a process and a thread for each call."""

    def __init__(
        self,
        settle: Callable[[int, str, Any], None],
        lost: Callable[[int], None],
        stderr: int | None,
    ) -> None:
        self._settle = settle
        self._stderr = stderr
        self._threads: set[threading.Thread] = set()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int, work: _Work, timeout: float | None) -> None:
        """Have a call made."""
        process = _python_module(("one",), self._stderr)
        self._processes[number] = process
        thread = threading.Thread(target=self._run, args=(process, number, work, timeout))
        thread.daemon = True
        self._threads.add(thread)
        thread.start()

    def end(self, number: int) -> None:
        """End a call."""
        process = self._processes.get(number)
        if process is not None:
            _kill(process)

    def close(self) -> None:
        """There is nothing to let go of."""

    def kill(self) -> None:
        """End the processes that run."""
        for process in list(self._processes.values()):
            _kill(process)

    def join(self) -> None:
        """Wait until no call is left."""
        while self._threads:
            next(iter(self._threads)).join()

    def _run(
        self, process: subprocess.Popen[bytes], number: int, work: _Work, timeout: float | None
    ) -> None:
        ending: tuple[str, Any]
        try:
            call = frame(pickle.dumps((work.call, work.place)))
            answer, _ = process.communicate(call, timeout)
            content = read_frame(io.BytesIO(answer).read)
            code = process.returncode
            ending = ("signal", -code) if code < 0 else ("exit", code)
            if content is not None:
                ending = "answer", content
        except subprocess.TimeoutExpired:
            ending = "timeout", None
        finally:
            _kill(process)
            self._processes.pop(number, None)
        self._settle(number, *ending)
        self._threads.discard(threading.current_thread())


def _python_module(arguments: tuple[str, ...], stderr: int | None) -> subprocess.Popen[bytes]:
    """`fork_server` in a session of its own, which Ctrl-C in a terminal does not reach."""
    return subprocess.Popen(
        [sys.executable, "-m", "lldtool.dryrun.fork_server", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and, where there are sessions, what it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


@contextlib.contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """An executor whose calls run on a Dask cluster; submit `in_worker` to it.

    Paths must be the same there, environment and module path are those of the Dask workers.

    Args:
        address: of the scheduler, as `tcp://host:8786`.

    Raises:
        LldtoolError: `distributed` is not installed, or no scheduler answers, or not any more.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        hint = "pip install 'lldtool[dask]'"
        raise LldtoolError("a Dask cluster needs dask and distributed", hint=hint) from error
    try:
        client = distributed.Client(address, timeout=DASK_TIMEOUT)
    except (OSError, ValueError) as error:
        raise LldtoolError(f"no Dask scheduler answers at {address}") from error
    with quiet(), client, client.get_executor(pure=False) as executor:
        try:
            yield executor
        except CancelledError as error:
            raise LldtoolError(f"the Dask scheduler at {address} is gone") from error
        finally:
            executor.shutdown(wait=False)  # after Ctrl-C nobody waits for what still runs


_fleets: dict[float | None, Fleet] = {}
_fleets_lock = threading.Lock()


def in_worker(task: Callable[..., Result], args: tuple[Any, ...], timeout: float | None) -> Result:
    """Make a call as a `Fleet` does, next to the Dask worker that this runs in.

    Raises:
        LldtoolError: as the future of a `Fleet`.
    """
    with _fleets_lock:
        if timeout not in _fleets:  # a worker has as many threads as calls at a time
            _fleets[timeout] = Fleet(os.cpu_count() or 1, timeout)
    return _fleets[timeout].submit(task, *args).result()

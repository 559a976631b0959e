"""The other end of `fleet.Fleet`: imports once what dry runs need, then forks for every call.

On stdin come frames of a number, a call, where it is to run and how long it may, or of a number
alone, whose call is to end; on stdout go frames of the number, how the call ended, and its answer.
With `one` as an argument it answers a single call itself, where there is no fork. EOF on stdin, or
SIGTERM, ends it and all it forked.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import importlib
import math
import os
import pickle
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import NoReturn

from lldtool.dryrun.imports import stand_ins
from lldtool.errors import LldtoolError
from lldtool.request import Request

#: Environment, module path and working directory.
Place = tuple[dict[str, str], list[str], str | None]
#: What the first dry run of a process imports.
WARM = (
    "mmengine.registry",
    "mmengine.optim",
    "lldtool.dryrun.examination",
    "lldtool.dryrun.several",
    "lldtool.dryrun.without",
    "lldtool.dryrun.tracers.mmengine",
    "lldtool.dryrun.tracers.mmpretrain",
    "email.policy",
    "encodings.unicode_escape",
    "resource",
    "mmpretrain.registry",  # and what comes after may be missing
    "mmpretrain.models",
    "mmpretrain.engine",
)
#: How often a child is looked at, in seconds.
LOOK_EVERY = 0.1
_LENGTH = 8
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
# What a config may have patched by the time that its answer is sent.
_dumps, _loads, _exit, _getpid = pickle.dumps, pickle.loads, os._exit, os.getpid
_fstat, _kill, _write = os.fstat, os.kill, os.write


def frame(content: bytes) -> bytes:
    """The content with its length before it."""
    return len(content).to_bytes(_LENGTH, "big") + content


def read_frame(read: Callable[[int], bytes]) -> bytes | None:
    """The content of the next frame, or None at the end."""
    head = _exactly(read, _LENGTH)
    return None if head is None else _exactly(read, int.from_bytes(head, "big"))


def _exactly(read: Callable[[int], bytes], size: int) -> bytes | None:
    received = bytearray()
    while len(received) < size:
        part = read(size - len(received))
        if not part:
            return None
        received += part
    return bytes(received)


def _send(descriptor: int, content: bytes) -> None:
    rest = memoryview(frame(content))
    while rest:
        rest = rest[_write(descriptor, rest) :]


def main() -> None:
    """Answer on the stdout that this process was started with; its own is then stderr."""
    gc.disable()  # collecting costs a seventh of what is imported, and finds next to nothing
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    if sys.argv[1:] == ["one"]:
        content = read_frame(lambda size: os.read(requests, size))
        os.close(requests)
        if content is not None:
            call, place = _loads(content)
            _run(call, place, answers)
    _warm_up()
    gc.freeze()  # what is there stays shared with the children
    with contextlib.suppress(BrokenPipeError):  # the parent has gone
        _Server(requests, answers).serve()
    _exit(0)


def _warm_up() -> None:
    """Import what a dry run will, as it does; what fails will fail in the dry run, and be said."""
    from lldtool.dryrun.session import run

    # mmengine asks for GPUs when it is imported, which must not keep the children from using them.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    # Each of some small operations would start and stop a thread pool: an eighth of the time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    request = Request(Path("config.py").absolute(), "warm-up", own_process=True)
    with contextlib.suppress(Exception):
        run(_import_all, request)
    _notice_uses_again()
    stand_ins.know_libraries()


def _notice_uses_again() -> None:
    """Let stand-ins be new to a config, as in a process that it is the first to run in.

    A stand-in notices only the first use of a name, which has been a library's by now.
    """
    for name, module in list(sys.modules.items()):
        if stand_ins.covers(name) in stand_ins.for_speed:
            for attribute, value in list(vars(module).items()):
                if isinstance(value, type) and "_stand_in_for" in vars(value):
                    delattr(module, attribute)


def _import_all(request: Request) -> None:
    try:
        for module in WARM:
            importlib.import_module(module)
    except Exception as error:
        raise LldtoolError(str(error)) from error


@dataclass
class _Child:
    """A process that was forked for a call."""

    number: int
    deadline: float
    #: Where its answer comes from; None when nothing more can come.
    pipe: int | None
    is_running: bool = True
    received: bytearray = field(default_factory=bytearray)


class _Server:
    """Forks a child for each request, and says how it ended."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests = requests
        self._answers = answers
        #: Process id -> child, until the system has forgotten the process.
        self._children: dict[int, _Child] = {}
        self._has_seen_a_call = False
        #: The bytes that all children together may take.
        self._memory = math.inf
        self._signals, self._signalled = os.pipe()
        os.set_blocking(self._signalled, False)
        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def serve(self) -> None:
        """Answer until the parent has gone or wants no more."""
        try:
            while self._step():
                pass
        finally:
            self._end()

    def _step(self) -> bool:
        """Wait for something to happen and do what it asks for; false at the end."""
        pipes = {c.pipe: pid for pid, c in self._children.items() if c.pipe is not None}
        is_idle = not any(child.is_running for child in self._children.values())
        ready = wait([self._requests, self._signals, *pipes], None if is_idle else LOOK_EVERY)
        for pipe, pid in pipes.items():
            if pipe in ready:
                self._receive(pid)
        if self._signals in ready:
            if signal.SIGTERM in os.read(self._signals, 4096):
                return False
            self._reap()
        self._look_after()
        if self._requests in ready:
            content = read_frame(lambda size: os.read(self._requests, size))
            if content is None:
                return False
            number, call, place, timeout = _loads(content)
            if call is None:
                self._end_call(number)
                return True
            if is_idle:
                self._memory = 0.9 * _available_memory()
            if not self._has_seen_a_call:  # import here what all of them import
                self._has_seen_a_call = True
                with contextlib.suppress(Exception):  # the child will say so
                    _loads(call)
                gc.freeze()
            self._fork(number, call, place, timeout)
        return True

    def _end_call(self, number: int) -> None:
        for pid, child in self._children.items():
            if child.number == number:
                self._finish(pid, "ended")

    def _fork(self, number: int, call: bytes, place: Place, timeout: float | None) -> None:
        pipe, theirs = os.pipe()
        try:
            with warnings.catch_warnings():  # a newer Python's, of the threads that numpy has
                warnings.simplefilter("ignore")
                pid = os.fork()
        except OSError as error:
            os.close(pipe)
            os.close(theirs)
            self._tell(number, "not started", str(error))
            return
        if pid == 0:
            try:
                self._forget(pipe)
                _stand_alone()
                _run(call, place, theirs)
            finally:
                _exit(1)
        os.close(theirs)
        os.set_blocking(pipe, False)
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        self._children[pid] = _Child(number, deadline, pipe)

    def _forget(self, pipe: int) -> None:
        """In a child: let go of what is the server's."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        own = (self._requests, self._answers, self._signals, self._signalled, pipe)
        others = (child.pipe for child in self._children.values() if child.pipe is not None)
        for descriptor in (*own, *others):
            os.close(descriptor)

    def _receive(self, pid: int) -> None:
        """Take what has come of a child's answer."""
        child = self._children[pid]
        with contextlib.suppress(BlockingIOError):
            while child.pipe is not None:
                part = os.read(child.pipe, 1 << 20)
                child.received += part
                size = _LENGTH + int.from_bytes(child.received[:_LENGTH], "big")
                if len(child.received) >= size:
                    self._finish(pid, "answer", bytes(child.received[_LENGTH:size]))
                elif not part:  # the config closed it; how the process ends will say more
                    self._close(child)

    def _reap(self) -> None:
        """Report the processes that have ended, and end what they left behind."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                child = self._children.get(pid)
                if child is not None:
                    self._receive(pid)
                    code = os.waitstatus_to_exitcode(status)
                    self._finish(pid, "exit" if code >= 0 else "signal", abs(code))
                    del self._children[pid]
        self._kill_strays()

    def _look_after(self) -> None:
        """End the children that took too long, and the largest where memory runs out."""
        running = [pid for pid, child in self._children.items() if child.is_running]
        now = time.monotonic()
        for pid in running:
            if now > self._children[pid].deadline:
                self._finish(pid, "timeout")
        sizes = {pid: _memory_of(pid) for pid in running}
        if sum(sizes.values()) > self._memory:
            sizes = {pid: _own_memory_of(pid) or size for pid, size in sizes.items()}
            if sum(sizes.values()) > self._memory:
                self._finish(max(sizes, key=sizes.__getitem__), "memory")

    def _finish(self, pid: int, ending: str, value: object = None) -> None:
        """Say how a call ended, if that was not known, and end all that runs for it."""
        child = self._children[pid]
        if not child.is_running:
            return
        child.is_running = False
        _kill_session(pid)
        self._close(child)
        self._tell(child.number, ending, value)

    def _close(self, child: _Child) -> None:
        if child.pipe is not None:
            os.close(child.pipe)
            child.pipe = None

    def _tell(self, number: int, ending: str, value: object) -> None:
        _send(self._answers, _dumps((number, ending, value)))

    def _kill_strays(self) -> None:
        """End what left its session, and came to this process when its parent ended."""
        with contextlib.suppress(OSError):
            for word in Path(f"/proc/self/task/{_getpid()}/children").read_text().split():
                pid = int(word)
                with contextlib.suppress(ProcessLookupError):
                    if pid not in self._children and os.getsid(pid) not in self._children:
                        _kill(pid, signal.SIGKILL)

    def _end(self) -> None:
        """End everything that was forked, and what that left behind."""
        for pid in self._children:
            _kill_session(pid)
        self._children.clear()
        give_up = time.monotonic() + 2
        with contextlib.suppress(ChildProcessError):
            while time.monotonic() < give_up:
                self._kill_strays()
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.002)


def _stand_alone() -> None:
    """In a child: a session of its own, no core file, and the first to go when memory runs out."""
    import resource

    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _prctl(option: int, value: int) -> None:
    """Linux's `prctl`, elsewhere nothing."""
    with contextlib.suppress(AttributeError):
        _libc().prctl(option, value)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _kill_session(pid: int) -> None:
    """End a child with all that it started and that did not leave its group of processes."""
    for kill in (os.killpg, _kill):  # right after the fork it leads no group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _available_memory() -> float:
    """The bytes of memory that are there to be had, in a container its limit."""
    found = [math.inf]
    with contextlib.suppress(OSError):
        text = Path("/proc/meminfo").read_text()
        found += [1024 * int(kib) for kib in re.findall(r"MemAvailable:\s+(\d+)", text)]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # the word `max` is no limit
            found.append(int(Path("/sys/fs/cgroup", name).read_text()))
    return min(found)


def _memory_of(pid: int) -> int:
    """The bytes of memory that a process takes, swapped out or not; 0 where that can't be told."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(1024 * int(kib) for kib in re.findall(r"Vm(?:RSS|Swap):\s+(\d+)", text))


def _own_memory_of(pid: int) -> int:
    """The same with what is shared with others counted in part; takes longer to tell."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(
        1024 * int(kib) for kib in re.findall(r"^(?:Pss|SwapPss):\s+(\d+)", text, re.MULTILINE)
    )


def _run(call: bytes, place: Place, answers: int) -> NoReturn:
    """Make the call in its place, send its answer, and end this process."""
    pid, pipe = _getpid(), _fstat(answers)
    environment, path, folder = place
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = path
    with contextlib.suppress(OSError):
        os.chdir(folder or ".")
    content = _answer(call)
    if _getpid() != pid:  # the call forked
        _exit(0)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    try:
        if not os.path.samestat(_fstat(answers), pipe):  # closed, and opened as something else
            raise BrokenPipeError
        _send(answers, content)
    except OSError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        _kill(pid, signal.SIGPIPE)
    _exit(0)


def _answer(call: bytes) -> bytes:
    """What the call returns or raises, and a traceback; the former pickled by itself.

    Whoever reads it can then tell more than that it could not be read.
    """
    try:
        task, args = _loads(call)
        return _dumps((True, _dumps(task(*args)), ""))
    except BaseException as error:
        is_ours = isinstance(error, LldtoolError)
        trace = "".join(traceback.format_exception((is_ours and error.__cause__) or error))
        return _dumps((False, _pickled(_translated(error)), trace))


def _translated(error: BaseException) -> Exception:
    """The error, where it must not do to the reader what it did here, as an `LldtoolError`."""
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return LldtoolError(ended_with(code))
    if isinstance(error, MemoryError):
        return LldtoolError("ran out of memory")
    return error if isinstance(error, Exception) else LldtoolError(_described(error))


def ended_with(code: int) -> str:
    """That there is no answer for this reason."""
    return f"the config ended the process with exit code {code}"


def _pickled(error: Exception) -> bytes:
    """The error such that it can be read again, whatever it holds."""
    try:
        content = _dumps(error)
        _loads(content)
    except Exception:
        return _dumps(LldtoolError(_described(error)))
    return content


def _described(error: BaseException) -> str:
    return traceback.format_exception_only(error)[-1].strip()


if __name__ == "__main__":
    main()

"""The processes that calls are made in: forked by a server, or new where nothing can be forked."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from typing import IO


class Server:
    """The process that forks."""

    def __init__(self, module: str, stderr: int | None) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = _python_module(module, theirs.fileno(), subprocess.DEVNULL, stderr)
        threading.Thread(target=self._end_when_stopped, daemon=True).start()

    def connect(self, connection: socket.socket) -> None:
        """Have processes forked that read a request from this and write to it."""
        with contextlib.suppress(OSError):  # it has ended: the connection says no more
            socket.send_fds(self._requests, [b"."], [connection.fileno()])

    def close(self) -> None:
        """End it, be it in the middle of an import, and all that it forked."""
        self._process.terminate()
        self._requests.close()

    def kill(self) -> None:
        """End it, and nothing else."""
        self._process.kill()
        self._requests.close()

    def wait(self) -> int:
        """Wait until it has ended; its exit code."""
        return self._process.wait()

    def _end_when_stopped(self) -> None:
        """A config can have sent it SIGSTOP; nobody would send SIGCONT."""
        if hasattr(os, "waitid"):
            with contextlib.suppress(ChildProcessError):
                state = os.WEXITED | os.WSTOPPED | os.WNOWAIT
                ended = os.waitid(os.P_PID, self._process.pid, state)
                if ended is not None and ended.si_code == os.CLD_STOPPED:
                    self._process.kill()


class Process(ABC):
    """A process for a call."""

    requests: IO[bytes]
    answers: IO[bytes]
    #: The process that makes the call, and where that was forked its parent, once they are known.
    pids: tuple[int, ...] = ()
    #: Whether it was told to end.
    is_ended = False

    def has_begun(self, request: bytes) -> bool:
        """Hand over the call; whether it is being made, once that is known."""
        try:
            self.requests.write(request)
            self.requests.flush()
            self.pids = pickle.load(self.answers)
        except (OSError, EOFError):
            return False
        if self.is_ended:
            self.end()
        return True

    @abstractmethod
    def end(self) -> None:
        """End it, and let nobody wait for what it would still send."""
        self.is_ended = True

    @abstractmethod
    def ending(self) -> tuple[str, object]:
        """How it ended, where it did not say."""

    @abstractmethod
    def code(self) -> int:
        """The exit code of what did not start the call."""

    def close(self) -> None:
        """Let go of it."""
        for stream in (self.requests, self.answers):
            with contextlib.suppress(OSError):  # what was not sent is not wanted
                stream.close()


class Forked(Process):
    """The processes that a server forked for a call."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._socket, theirs = socket.socketpair()
        with theirs:
            server.connect(theirs)
        self.requests = self._socket.makefile("wb")
        self.answers = self._socket.makefile("rb")

    def end(self) -> None:
        """End them."""
        super().end()
        self._signal(signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def ending(self) -> tuple[str, object]:
        """The guard says it, if it can."""
        return "no guard", None

    def code(self) -> int:
        """The server's, which did not fork."""
        self.server.kill()
        return self.server.wait()

    def close(self) -> None:
        """They end by themselves, the guard unless the config stopped it."""
        super().close()
        self._socket.close()
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class Spawned(Process):
    """A new process for a call."""

    def __init__(self, stderr: int | None) -> None:
        self._process = _python_module("one", subprocess.PIPE, subprocess.PIPE, stderr)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.requests = self._process.stdin
        self.answers = self._process.stdout

    def end(self) -> None:
        """End it and, where there are sessions, what it started."""
        super().end()
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def ending(self) -> tuple[str, object]:
        """By its exit code."""
        code = self.code()
        return ("exit", code) if code >= 0 else ("signal", -code)

    def code(self) -> int:
        """Its own."""
        return self._process.wait()

    def close(self) -> None:
        """End what it left behind."""
        self.end()
        self._process.wait()
        super().close()


def _python_module(
    argument: str, stdin: int, stdout: int | None, stderr: int | None
) -> subprocess.Popen[bytes]:
    """`fork_server` in a session of its own, which Ctrl-C in a terminal does not reach."""
    return subprocess.Popen(
        [sys.executable, "-m", "lldtool.workers.fork_server", argument],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )

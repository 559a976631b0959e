"""The processes that make calls: forked by a server, or new where nothing can be forked."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from typing import IO


class Server:
    """The process that forks."""

    def __init__(self, module: str, stderr: int | None) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = _fork_server(module, theirs.fileno(), subprocess.DEVNULL, stderr)
        threading.Thread(target=self._kill_when_stopped, daemon=True).start()

    def connect(self, connection: socket.socket) -> None:
        """Have processes forked that read a request from this and write to it."""
        with contextlib.suppress(OSError):  # it has ended: nothing comes from the connection
            socket.send_fds(self._requests, [b"."], [connection.fileno()])

    def close(self) -> None:
        """End it, even in the middle of an import, and all that it forked."""
        self._process.terminate()
        self._requests.close()

    def kill(self) -> None:
        """End it, but none of the processes that it forked."""
        self._process.kill()
        self._requests.close()

    def wait(self) -> int:
        """Wait until it has ended, and return its exit code."""
        return self._process.wait()

    def _kill_when_stopped(self) -> None:
        """Kill it where a config sent it SIGSTOP, as nobody would send SIGCONT."""
        if hasattr(os, "waitid"):
            with contextlib.suppress(ChildProcessError):
                states = os.WEXITED | os.WSTOPPED | os.WNOWAIT
                state = os.waitid(os.P_PID, self._process.pid, states)
                if state is not None and state.si_code == os.CLD_STOPPED:
                    self._process.kill()


class Process:
    """A process for one call, which it reads from `requests`."""

    requests: IO[bytes]
    answers: IO[bytes]
    #: The process that makes the call, and its parent if that was forked too, once known.
    pids: tuple[int, ...] = ()

    def has_begun(self, request: bytes) -> bool:
        """Send the call, and return whether the process started it."""
        try:
            self.requests.write(request)
            self.requests.flush()
            self.pids = pickle.load(self.answers)
        except (OSError, EOFError):
            return False
        return True

    def end(self) -> None:
        """End it, and let nobody wait for what it would still send."""
        raise NotImplementedError

    def ending(self) -> tuple[str, object]:
        """Return how it ended, where it sent nothing."""
        raise NotImplementedError

    def exit_code(self) -> int:
        """Return the exit code of the process that should have started the call."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection to it."""
        for stream in (self.requests, self.answers):
            with contextlib.suppress(OSError):  # what was not sent is not wanted
                stream.close()


class Forked(Process):
    """A worker that a server forked, and its guard, which sends how the worker ended."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._socket, theirs = socket.socketpair()
        with theirs:
            server.connect(theirs)
        self.requests = self._socket.makefile("wb")
        self.answers = self._socket.makefile("rb")

    def end(self) -> None:
        """End both."""
        self._signal(signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def ending(self) -> tuple[str, object]:
        """Return that the guard is gone, as it would have sent something."""
        return "no guard", None

    def exit_code(self) -> int:
        """Return the exit code of the server, which did not fork."""
        self.server.kill()
        return self.server.wait()

    def close(self) -> None:
        """Close the connection, after which they end; the guard once it goes on, if stopped."""
        super().close()
        self._socket.close()
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class Spawned(Process):
    """A new process, where nothing can be forked."""

    def __init__(self, stderr: int | None) -> None:
        self._process = _fork_server("one", subprocess.PIPE, subprocess.PIPE, stderr)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.requests = self._process.stdin
        self.answers = self._process.stdout

    def end(self) -> None:
        """End it and, where there are sessions, what it started."""
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def ending(self) -> tuple[str, object]:
        """Return how it ended, by its exit code."""
        code = self.exit_code()
        return ("exit", code) if code >= 0 else ("signal", -code)

    def exit_code(self) -> int:
        """Return its own."""
        return self._process.wait()

    def close(self) -> None:
        """End it and what it started."""
        self.end()
        self._process.wait()
        super().close()


def _fork_server(
    argument: str, stdin: int, stdout: int, stderr: int | None
) -> subprocess.Popen[bytes]:
    """Start `fork_server` in a session of its own, which Ctrl-C in a terminal does not reach."""
    command = [sys.executable, "-m", "lldtool.workers.fork_server", argument]
    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )

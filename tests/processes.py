"""lldtool in processes of its own: new ones, or forked from one that has imported torch.

Run as a script, this is the process that forks. A new process spends ten times as long on imports
as on what most tests ask of it.
"""

import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from lldtool.workers.processes import Server

ROOT = Path(__file__).parent.parent
#: Variables that lldtool reads as it runs. Others are read by Python or a library as they start.
READ_LATE = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def lldtool_process(*arguments, cwd=ROOT, stdin="", forked=True, **environment):
    """Run lldtool as a user does.

    Args:
        forked: from a process that has made the imports, unless a variable is given that Python or
            a library reads when it starts. What configs print in workers is lost.
    """
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    if forked and environment.keys() <= READ_LATE:
        return forking_process().run([*map(str, arguments)], str(cwd), stdin, variables)
    done = subprocess.run(
        [sys.executable, "-m", "lldtool", *map(str, arguments)],
        input=stdin, capture_output=True, text=True, cwd=cwd, env=variables, check=False,
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


class SharedServer(Server):
    """What `check` forks its workers from: the same process for all tests."""

    #: The end of a socket to it.
    connection = None

    def __init__(self, module, stderr):
        if self.connection is None:
            forking_process()
        self._requests = self.connection

    def close(self):
        pass

    def wait(self):
        return 0


class ForkingProcess:
    """Forks lldtool, and the workers of lldtool; ends with this process."""

    def __init__(self):
        self._commands, commands = socket.socketpair()
        SharedServer.connection, workers = socket.socketpair()
        descriptors = [one.fileno() for one in (commands, workers, SharedServer.connection)]
        with commands, workers:
            subprocess.Popen(
                [sys.executable, __file__, *map(str, descriptors)], pass_fds=descriptors,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def run(self, arguments, folder, stdin, environment):
        """Run a command; no process that it started may be left after some seconds."""
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            files[0].write(stdin.encode())
            files[0].seek(0)
            request = json.dumps([arguments, folder, environment]).encode()
            head = b"%10d" % len(request)
            socket.send_fds(self._commands, [head], [file.fileno() for file in files])
            self._commands.sendall(request)
            code, left = json.loads(self._commands.recv(1000))
            assert not left, f"lldtool {' '.join(arguments)} left processes behind: {left}"
            for file in files:
                file.seek(0)
            return Result(code, *(file.read().decode() for file in files[1:]))


@functools.cache
def forking_process():
    return ForkingProcess()


def serve(commands, workers, to_workers):
    """Fork for each command, wait, and send its exit code, until the socket is closed."""
    from lldtool.workers import calls, fork_server

    import_everything()
    server = os.fork()
    if server == 0:
        commands.close()
        to_workers.close()
        fork_server._Server(workers).serve()
        os._exit(0)
    workers.close()
    calls.Server, SharedServer.connection = SharedServer, to_workers
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    while (received := socket.recv_fds(commands, 10, 3))[0]:
        request = b""
        while len(request) < int(received[0]):
            request += commands.recv(1 << 20)
        pid = os.fork()
        if pid == 0:
            commands.close()
            run(received[1], *json.loads(request))
        for descriptor in received[1]:
            os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        commands.sendall(json.dumps([code, left_behind(server)]).encode())


def import_everything():
    """What the first command in a process imports, as the worker processes do."""
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg  # noqa: F401

    import lldtool
    from lldtool.workers import fork_server

    gc.disable()
    for module in pkgutil.walk_packages(lldtool.__path__, "lldtool."):
        if not module.name.endswith((".hooks", "__main__")):
            importlib.import_module(module.name)
    fork_server._warm_up()
    gc.freeze()


def left_behind(server):
    """End the children of this process but one, and tell what those were that did not end."""
    found = []

    def children():
        found[:] = [one for one in psutil.Process().children() if one.pid != server]
        for one in found:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(one.pid, os.WNOHANG)
        return found

    if not eventually(lambda: not children()):
        for one in found:
            one.kill()
    return [one.name() for one in found]


def run(streams, arguments, folder, environment):
    """`python -m lldtool`, from here on."""
    from lldtool.__main__ import run

    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder
    sys.argv = ["lldtool", *arguments]
    run()


def git(folder, *arguments):
    """Run git with an identity, and return what it prints."""
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    command = ["git", *identity, "-c", "protocol.file.allow=always", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder):
    """Make the folder a repository, with what is in it as the only commit."""
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")


def processes_with(variable, value):
    """The living processes whose environment has this."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(variable) == value and process.status() != "zombie":
                found.append(process)
    return found


def eventually(holds, seconds=5):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


if __name__ == "__main__":
    serve(*(socket.socket(fileno=int(number)) for number in sys.argv[1:]))

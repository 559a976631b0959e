"""lldtool in processes of its own: new ones, or forked from one that has imported torch.

Run as a script, this is the process that forks.
"""

import contextlib
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

ROOT = Path(__file__).parent.parent
#: Variables that lldtool reads as it runs; others are read by Python or a library as they start.
READ_LATE = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "LLDTOOL_TEST"}


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


def lldtool_process(*arguments, cwd=ROOT, stdin="", forked=True, **environment):
    """Run lldtool as a user does.

    Args:
        forked: from a process that has made the imports, unless a variable is given that Python or
            a library reads when it starts.
    """
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    if forked and environment.keys() <= READ_LATE:
        return _server().run([*map(str, arguments)], str(cwd), stdin, variables)
    done = subprocess.run(
        [sys.executable, "-m", "lldtool", *map(str, arguments)],
        input=stdin, capture_output=True, text=True, cwd=cwd, env=variables, check=False,
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


class Server:
    """The process that forks, and ends with this one."""

    def __init__(self):
        self._socket, theirs = socket.socketpair()
        with theirs:
            subprocess.Popen(
                [sys.executable, __file__], stdin=theirs, stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def run(self, arguments, folder, stdin, environment):
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            files[0].write(stdin.encode())
            files[0].seek(0)
            request = json.dumps([arguments, folder, environment]).encode()
            socket.send_fds(self._socket, [b"%d\n" % len(request)], [f.fileno() for f in files])
            self._socket.sendall(request)
            code = int(self._socket.recv(100))
            for file in files:
                file.seek(0)
            return Result(code, *(file.read().decode() for file in files[1:]))


@functools.cache
def _server():
    return Server()


def serve(requests):
    """Fork for each request, wait, and send the exit code, until the socket is closed."""
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg  # noqa: F401

    import lldtool
    from lldtool.workers import fork_server

    for module in pkgutil.walk_packages(lldtool.__path__, "lldtool."):
        if not module.name.endswith((".hooks", "__main__")):
            importlib.import_module(module.name)
    fork_server._warm_up()
    gc.freeze()
    while (received := socket.recv_fds(requests, 20, 3))[0]:
        head, _, content = received[0].partition(b"\n")
        while len(content) < int(head):
            content += requests.recv(1 << 20)
        pid = os.fork()
        if pid == 0:
            requests.close()
            run(received[1], *json.loads(content))
        for descriptor in received[1]:
            os.close(descriptor)
        requests.sendall(b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


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
    with socket.socket(fileno=os.dup(0)) as connection:
        serve(connection)

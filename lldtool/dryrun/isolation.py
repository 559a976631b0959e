"""Isolate the user's session from a config's code while that runs.

A config is a Python program: it may print, exit, fork or reach for the network. This is good
manners, not a sandbox: code that means harm is not held back.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.machinery
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from lldtool.config.request import Checkout
from lldtool.dryrun.patching import patched
from lldtool.signals import ENDING

_BLOCKED_HOSTS: ContextVar[list[str]] = ContextVar("blocked_hosts")
#: After how many seconds a signal is sent again that came at a bad moment.
_AGAIN = 0.02


class NetworkBlockedError(ConnectionError):
    """What code sees that reaches for the network during a dry run.

    Args:
        host: the one that it tried to reach.
    """

    def __init__(self, host: str) -> None:
        super().__init__(f"a dry run does not use the network (tried {host})")
        self.host = host


class ProcessExit(BaseException):
    """Stands for `os._exit`, which would end lldtool without a word."""


def blocked_hosts() -> list[str]:
    """The hosts that the code of this dry run tried to reach."""
    return _BLOCKED_HOSTS.get([])


@contextlib.contextmanager
def isolated(folders: tuple[Path, ...], *, allow_network: bool) -> Iterator[None]:
    """Run a config's code with its output on stderr, no network and no bytecode files.

    Args:
        folders: where nothing may be written, the config's and the working directory.
        allow_network: leave the network alone.
    """
    hosts: list[str] = []
    token = _BLOCKED_HOSTS.set(hosts)
    with contextlib.ExitStack() as stack:
        stack.callback(_BLOCKED_HOSTS.reset, token)
        stack.enter_context(_signals())
        stack.enter_context(_streams())
        stack.enter_context(quiet())
        stack.enter_context(_one_process())
        stack.enter_context(_no_bytecode_in(folders))
        stack.enter_context(_restored_path())
        if not allow_network:
            stack.enter_context(_no_network(hosts))
        yield


@contextlib.contextmanager
def _streams() -> Iterator[None]:
    """Stdin is empty, and stdout is for the result: a config's output goes to stderr.

    That of its children, too.
    """
    with (
        Path(os.devnull).open() as nothing,
        patched(sys, stdin=nothing, stdout=sys.stderr, stderr=sys.stderr),
        _descriptor(0, nothing),
        _descriptor(1, sys.stderr),
    ):
        yield


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Drop what is printed: a constructor that is run again would print it again."""
    with (
        Path(os.devnull).open("w") as nothing,
        patched(sys, stdout=nothing, stderr=nothing),
        _descriptor(1, nothing),
        _descriptor(2, nothing),
    ):
        yield


@contextlib.contextmanager
def _descriptor(number: int, stream: TextIO) -> Iterator[None]:
    """Let a descriptor be that of a stream, if both have one."""
    try:
        stream.flush()
        saved = os.dup(number)
        os.dup2(stream.fileno(), number)
    except (AttributeError, OSError, ValueError):  # a notebook's or a test's streams have none
        yield
        return
    try:
        yield
    finally:
        os.dup2(saved, number)
        os.close(saved)


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Ctrl-C ends the dry run, also where the code that it meets goes on regardless.

    As torch does, which drops every exception while it imports numpy; or a config that sets a
    handler of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {int(n): signal.getsignal(n) for n in ENDING}
    received = []

    def note(number: int, frame: FrameType | None) -> None:
        if frame is not None and _imports_compiled_code(frame):
            threading.Timer(_AGAIN, signal.raise_signal, (number,)).start()
            return
        received.append(number)
        handler = handlers[number]
        if callable(handler):
            handler(number, frame)

    for number, handler in handlers.items():
        if callable(handler):
            signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:  # None is one of C code
                signal.signal(number, handler)
        if received:
            raise KeyboardInterrupt


def _imports_compiled_code(frame: FrameType) -> bool:
    """Whether an exception may now be raised in C++ code of torch that aborts the process then."""
    code, module = frame.f_code, str(frame.f_globals.get("__name__"))
    is_torch = code.co_name == "<module>" and module.partition(".")[0] == "torch"
    return is_torch or code.co_name == "_call_with_frames_removed"  # of importlib


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No log lines and warnings of libraries; and no garbage collection, a fifth of the time."""
    disabled, collecting = logging.root.manager.disable, gc.isenabled()
    logging.disable(logging.CRITICAL)
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _one_process() -> Iterator[None]:
    """A child that a config forks does not go on as a second lldtool; `os._exit` is an exit."""
    parent, really_exit = os.getpid(), os._exit

    def exit_here(status: int) -> None:
        if os.getpid() != parent:
            really_exit(status)
        raise ProcessExit(status)

    try:
        with patched(os, _exit=exit_here):
            yield
    finally:
        if os.getpid() != parent:
            really_exit(0)


@contextlib.contextmanager
def _restored_path() -> Iterator[None]:
    """Back to the working directory and the module path, should a config leave them."""
    here, path = Path.cwd(), sys.path[:]
    try:
        yield
    finally:
        os.chdir(here)
        sys.path[:] = path


@contextlib.contextmanager
def in_checkout(checkout: Checkout | None) -> Iterator[None]:
    """Change to the tree of a revision, and import the repository's modules from there."""
    if checkout is None:
        yield
        return

    def there(folder: Path) -> Path:
        real, installed = folder.resolve(), folder.absolute().is_relative_to(sys.prefix)
        if installed or not real.is_relative_to(checkout.top):
            return folder
        return checkout.tree / real.relative_to(checkout.top)

    with _restored_path():
        sys.path[:] = [str(there(Path(p))) if p else p for p in sys.path]
        os.chdir(next(f for f in (there(Path.cwd()), checkout.tree) if f.is_dir()))
        yield


@contextlib.contextmanager
def _no_bytecode_in(folders: tuple[Path, ...]) -> Iterator[None]:
    """Modules beside the config are imported without leaving a `__pycache__` there."""
    loader = importlib.machinery.SourceFileLoader
    write, installed = loader.set_data, Path(sys.prefix)

    def set_data(self: Any, path: str, data: Any, **kwargs: Any) -> None:
        inside = any(Path(path).is_relative_to(folder) for folder in folders)
        if not inside or Path(path).is_relative_to(installed):
            write(self, path, data, **kwargs)

    with patched(loader, set_data=set_data):
        yield


@contextlib.contextmanager
def _no_network(hosts: list[str]) -> Iterator[None]:
    """Refuse connections, and note the hosts that they were for."""
    connect = socket.socket.connect

    def refuse(host: object) -> None:
        hosts.append(str(host))
        raise NetworkBlockedError(str(host))

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse(address[0])
        connect(self, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(host)

    with (
        patched(socket.socket, connect=guarded_connect),
        patched(socket.socket, connect_ex=guarded_connect),
        patched(socket, getaddrinfo=guarded_lookup),
    ):
        yield

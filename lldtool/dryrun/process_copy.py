"""Run code in a copy of this process, so that it leaves nothing behind for the next run.

A team's own constructor may count, freeze, rename or inject; run twice on one model it gives other
settings the second time. Each run in a copy finds everything as it was before the first one.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, BinaryIO, TypeVar

from lldtool.dryrun.isolation import blocked_hosts
from lldtool.dryrun.stubs import current_stubs
from lldtool.errors import LldtoolError

Result = TypeVar("Result")


class CopyFailedError(Exception):
    """The code raised or ended its process, its result can't be sent, or there was no copy."""


def can_copy(device: str) -> bool:
    """Whether this process can be copied: a GPU can't be used by two copies."""
    return device == "cpu" and hasattr(os, "fork")


def in_copy(function: Callable[[], Result], *, silent: bool = False) -> Result:
    """Return what a function returns in a copy of this process, and print what it prints.

    Args:
        function: what it returns can be pickled.
        silent: do not print it.

    Raises:
        LldtoolError: the function raised it; its cause is lost.
        CopyFailedError: there is no result. What it printed is dropped.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryFile() as printed:
        process = context.Process(target=_call, args=(function, sender, printed, random.getstate()))
        try:
            with warnings.catch_warnings():  # a newer Python's, of the threads that numpy has
                warnings.simplefilter("ignore")
                process.start()
            sender.close()
            result, used, hosts = receiver.recv()
            process.join()
        except (EOFError, OSError) as error:
            raise CopyFailedError from error
        finally:
            if process.pid is not None:
                process.kill()
                process.join()
            receiver.close()
        if not silent:
            printed.seek(0)
            text = printed.read().decode(errors="replace")
            if text:
                sys.stderr.write(text)
    current_stubs().used |= used
    blocked_hosts().extend(host for host in hosts if host not in blocked_hosts())
    if isinstance(result, LldtoolError):
        raise result
    found: Result = result
    return found


def _call(function: Callable[[], Any], sender: Connection, printed: BinaryIO, drawing: Any) -> None:
    """In the copy: send the result; nothing where there is none."""
    random.setstate(drawing)  # Python draws anew after a fork
    text = io.TextIOWrapper(os.fdopen(os.dup(printed.fileno()), "wb"), write_through=True)
    sys.stdout = sys.stderr = text
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            os.dup2(printed.fileno(), descriptor)
    with contextlib.suppress(BaseException):
        try:
            result = function()
        except LldtoolError as error:
            result = error
        sender.send((result, current_stubs().used, blocked_hosts()))
    text.flush()
    sender.close()
    os._exit(0)

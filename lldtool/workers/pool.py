"""Calls -> futures: each call in a process of its own, here or on a Dask cluster.

A config that raises, hangs, exits, crashes or runs out of memory there is one future's error and
nothing else's. `workers` makes the calls.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from lldtool.dryrun.isolation import quiet
from lldtool.errors import LldtoolError
from lldtool.workers.calls import Call, Workers

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
#: How long a Dask scheduler has to answer, in seconds.
DASK_TIMEOUT = 10


class Fleet(ThreadPoolExecutor):
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
        super().__init__(jobs)
        self._timeout = timeout
        self._workers = Workers(stderr)
        self._calls: dict[Future[Any], Call] = {}

    def submit(
        self, fn: Callable[Arguments, Result], /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Future[Result]:
        """Have the function called.

        Raises:
            RuntimeError: the fleet was shut down.
        """
        future: Future[Result]
        try:
            call = Call(functools.partial(fn, **kwargs), args, self._timeout)
        except Exception as error:
            future = Future()
            future.set_exception(error)
            return future
        future = super().submit(self._workers.make, call)
        self._calls[future] = call
        future.add_done_callback(self._calls.pop)
        return future

    def end(self, future: Future[Any]) -> None:
        """End the process of a call that nobody waits for any more; its future says so."""
        call = self._calls.get(future)
        if call is not None and not future.cancel():
            call.end("interrupted")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the processes once all are done.

        Args:
            wait: return when that has happened.
            cancel_futures: end them now, with the calls that still run.
        """
        super().shutdown(wait=wait and not cancel_futures, cancel_futures=cancel_futures)
        if cancel_futures:
            for call in list(self._calls.values()):
                call.end("interrupted")
        if wait or cancel_futures:
            self._workers.close(wait=wait)
        super().shutdown(wait=wait)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.shutdown(cancel_futures=exc_type is not None)


@contextlib.contextmanager
def dask_executor(address: str, patience: float) -> Iterator[Executor]:
    """An executor whose calls run on a Dask cluster; submit `in_worker` to it.

    Paths must be the same there, environment and module path are those of the Dask workers.

    Args:
        address: of the scheduler, as `tcp://host:8786`.
        patience: how many seconds the cluster may be without a worker.

    Raises:
        LldtoolError: `distributed` is not installed, or no scheduler answers, or not any more, or
            the cluster has no worker.
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
    is_through, has_no_worker = threading.Event(), threading.Event()
    with quiet(), client, client.get_executor(pure=False) as executor:

        def give_up() -> None:
            if _lacks_workers(client, patience, is_through):
                has_no_worker.set()
                executor.shutdown(wait=False)  # which cancels the futures

        threading.Thread(target=give_up, daemon=True).start()
        try:
            yield executor
        except CancelledError as error:
            if has_no_worker.is_set():
                message = f"the Dask cluster at {address} has had no worker for {patience:g} s"
                hint = "a larger --dask-timeout waits longer"
                raise LldtoolError(message, hint=hint) from error
            raise LldtoolError(f"the Dask scheduler at {address} is gone") from error
        finally:
            is_through.set()
            executor.shutdown(wait=False)  # after Ctrl-C nobody waits for what still runs


def _lacks_workers(client: Any, patience: float, is_through: threading.Event) -> bool:
    """Wait until a cluster has had no worker for some seconds, or all is done, which is false."""
    last_seen = time.monotonic()
    while not is_through.wait(min(1, patience)):
        try:
            has_workers = bool(client.nthreads())
        except Exception:  # the scheduler is gone
            return False
        now = time.monotonic()
        if has_workers:
            last_seen = now
        elif now - last_seen > patience:
            return True
    return False


#: Makes the calls that come to a Dask worker.
_here = Workers()


def in_worker(task: Callable[..., Result], args: tuple[Any, ...], timeout: float | None) -> Result:
    """Make a call as a `Fleet` does, next to the Dask worker that this runs in.

    Raises:
        LldtoolError: as the future of a `Fleet`.
    """
    result: Result = _here.make(Call(task, args, timeout))
    return result

"""How commands have something done with each of several configs, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import replace
from typing import TypeVar

from lldtool.cli.progress import Bar
from lldtool.errors import LldtoolError
from lldtool.request import Request

Result = TypeVar("Result")
Task = Callable[[Request], Result]
#: Seconds that a config may take, when the settings do not say.
TIMEOUT = 120.0


def in_processes(
    task: Task[Result],
    requests: Sequence[Request],
    *,
    title: str,
    jobs: int | None = None,
    timeout: float | None = None,
    dask: str | None = None,
) -> list[Result | LldtoolError]:
    """What the task makes of each config, or what went wrong.

    Args:
        task: can be pickled, and what it returns.
        requests: the configs.
        title: of the progress bar.
        jobs: how many at a time; as many as there are cores, if not given.
        timeout: seconds that each may take.
        dask: the address of a Dask scheduler to have it done there.

    Raises:
        LldtoolError: the cluster can't be reached.
    """
    if not requests:
        return []
    jobs = min(jobs or os.cpu_count() or 1, len(requests))
    found: dict[int, Result | LldtoolError] = {}
    with _executor(dask, jobs, timeout or TIMEOUT) as submit:
        futures = {submit(task, request): i for i, request in enumerate(requests)}
        for future in Bar(title)(as_completed(futures), len(futures)):
            error, index = future.exception(), futures[future]
            if error is None:
                found[index] = future.result()
            elif isinstance(error, LldtoolError):
                found[index] = error
            else:
                text = f"lldtool itself failed: {type(error).__name__}: {error}"
                found[index] = LldtoolError(text)
    return [found[i] for i in range(len(requests))]


@contextlib.contextmanager
def _executor(
    dask: str | None, jobs: int, timeout: float
) -> Iterator[Callable[[Task[Result], Request], Future[Result]]]:
    """A function that has a task called with a request, in a process of its own."""
    from lldtool.dryrun.fleet import Fleet, dask_executor, in_worker

    if dask is None:
        with Fleet(jobs, timeout) as fleet:
            yield fleet.submit
        return

    def submit(task: Task[Result], request: Request) -> Future[Result]:
        there = replace(request, path=request.path.absolute())  # workers stand elsewhere
        future: Future[Result] = executor.submit(in_worker, task, (there,), timeout)
        return future

    with dask_executor(dask) as executor:
        yield submit

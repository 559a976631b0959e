"""How commands have something done with each of several configs, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from lldtool.cli.progress import Bar
from lldtool.config import saved_plan
from lldtool.config.request import Request
from lldtool.errors import LldtoolError, text_of

if TYPE_CHECKING:
    from lldtool.lint.policy import Policy
    from lldtool.plan import Plan

Result = TypeVar("Result")
Task = Callable[[Request], Result]
#: Seconds that a config may take, when the settings do not say.
TIMEOUT = 120.0
#: Seconds that a Dask cluster may be without a worker.
DASK_TIMEOUT = 60.0


class Cluster(NamedTuple):
    """A Dask cluster."""

    #: Of its scheduler.
    address: str
    #: How many seconds it may be without a worker.
    timeout: float


def of_each(
    configs: Sequence[str],
    request_of: Callable[[str], Request],
    *,
    saved: Callable[[Plan, str], Result],
    live: Task[Result],
    failed: Callable[[str, LldtoolError], Result],
    title: str,
    policy: Policy,
    dask: Cluster | None = None,
) -> list[Result]:
    """What there is to say of each config or saved plan, in their order.

    Args:
        configs: as the user names them.
        request_of: what to ask of a dry run of one.
        saved: says it of a saved plan and its name.
        live: says it of a dry run; can be pickled, and what it returns.
        failed: says it of one that neither could be done with.
        title: of the progress bar.
        policy: has how many at a time, and how long each may take.
        dask: a Dask cluster to have it done there.

    Raises:
        LldtoolError: the cluster can't be reached, or has no worker.
    """
    found: dict[int, Result] = {}
    requests: dict[int, Request] = {}
    for index, name in enumerate(configs):
        try:
            request = request_of(name)
            plan = saved_plan(request.path, name)
        except LldtoolError as error:
            found[index] = failed(name, error)
            continue
        if plan is None:
            requests[index] = request
        else:
            found[index] = saved(plan, name)
    done = _in_processes(
        live, list(requests.values()), title, policy.jobs, policy.timeout or TIMEOUT, dask
    )
    for index, one in zip(requests, done, strict=True):
        found[index] = failed(configs[index], one) if isinstance(one, LldtoolError) else one
    return [found[index] for index in range(len(configs))]


def _in_processes(
    task: Task[Result],
    requests: Sequence[Request],
    title: str,
    jobs: int | None,
    timeout: float,
    dask: Cluster | None,
) -> list[Result | LldtoolError]:
    """What the task makes of each config, in a process of its own, or what went wrong."""
    if not requests:
        return []
    jobs = min(jobs or os.cpu_count() or 1, len(requests))
    found: dict[int, Result | LldtoolError] = {}
    with _executor(dask, jobs, timeout) as submit:
        futures = {submit(task, request): i for i, request in enumerate(requests)}
        for future in Bar(title)(as_completed(futures), len(futures)):
            error, index = future.exception(), futures[future]
            if error is None:
                found[index] = future.result()
            elif isinstance(error, LldtoolError):
                found[index] = error
            else:
                text = f"lldtool itself failed: {type(error).__name__}: {text_of(error)}"
                found[index] = LldtoolError(text)
    return [found[i] for i in range(len(requests))]


@contextlib.contextmanager
def _executor(
    dask: Cluster | None, jobs: int, timeout: float
) -> Iterator[Callable[[Task[Result], Request], Future[Result]]]:
    """A function that has a task called with a request, in a process of its own."""
    from lldtool.workers.pool import Fleet, dask_executor, in_worker

    if dask is None:
        with Fleet(jobs, timeout) as fleet:
            yield fleet.submit
        return

    def submit(task: Task[Result], request: Request) -> Future[Result]:
        there = replace(request, path=request.path.absolute())  # workers stand elsewhere
        future: Future[Result] = executor.submit(in_worker, task, (there,), timeout)
        return future

    with dask_executor(dask.address, dask.timeout) as executor:
        yield submit

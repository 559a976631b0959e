"""Running a task on each of several configs, each in a separate process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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
#: Time limit for each config in seconds, where the settings name none.
TIMEOUT = 120.0
#: Seconds that a Dask cluster may be without a worker.
DASK_TIMEOUT = 60.0


class Cluster(NamedTuple):
    """A Dask cluster: the address of its scheduler, and how long it may be without a worker."""

    address: str
    timeout: float


def run_all(
    configs: Sequence[str],
    request_of: Callable[[str], Request],
    *,
    saved: Callable[[Plan, str], Result],
    live: Callable[[Request], Result],
    failed: Callable[[str, LldtoolError], Result],
    title: str,
    policy: Policy,
    dask: Cluster | None = None,
) -> list[Result]:
    """Return the result for each config or saved plan, in their order.

    Args:
        configs: as the user names them.
        request_of: makes the request for one of them.
        saved: makes the result for a saved plan and its name.
        live: makes the result for a config, in a separate process; it and the result are pickled.
        failed: makes the result for a config that raised.
        title: of the progress bar.
        policy: says how many configs run in parallel, and for how long each may.
        dask: the cluster to run the configs on; None for this machine.

    Raises:
        LldtoolError: the cluster can't be reached, or has no worker.
    """
    results: dict[int, Result] = {}
    requests: dict[int, Request] = {}
    for index, name in enumerate(configs):
        try:
            request = request_of(name)
            plan = saved_plan(request.path, name)
        except LldtoolError as error:
            results[index] = failed(name, error)
            continue
        if plan is None:
            requests[index] = request
        else:
            results[index] = saved(plan, name)
    done = _run(live, requests, policy, dask) if requests else iter(())
    for index, future in Bar(title)(done, len(requests)):
        raised = future.exception()
        results[index] = (
            future.result() if raised is None else failed(configs[index], _as_lldtool_error(raised))
        )
    return [results[index] for index in range(len(configs))]


def _run(
    task: Callable[[Request], Result],
    requests: Mapping[int, Request],
    policy: Policy,
    dask: Cluster | None,
) -> Iterator[tuple[int, Future[Result]]]:
    """Yield each call of the task as it is done, in separate processes."""
    from lldtool.workers.pool import Fleet, dask_executor, in_worker

    timeout = policy.timeout or TIMEOUT
    if dask is None:
        with Fleet(min(policy.jobs or os.cpu_count() or 1, len(requests)), timeout) as fleet:
            futures = {fleet.submit(task, request): i for i, request in requests.items()}
            yield from ((futures[future], future) for future in as_completed(futures))
        return
    with dask_executor(dask.address, dask.timeout) as executor:
        futures = {}
        for index, request in requests.items():
            # Workers have a working directory of their own.
            there = replace(request, path=request.path.absolute())
            futures[executor.submit(in_worker, task, (there,), timeout)] = index
        for future in as_completed(futures):
            future.exception()  # raises here, inside the executor, where the cluster is gone
            yield futures[future], future


def _as_lldtool_error(error: BaseException) -> LldtoolError:
    if isinstance(error, LldtoolError):
        return error
    return LldtoolError(f"lldtool itself failed: {type(error).__name__}: {text_of(error)}")

"""Run a task on configs with stand-ins and shields in place, again where that was not enough."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lldtool.config.request import Request
from lldtool.dryrun import package_lookup, torch_parts
from lldtool.dryrun.environment import NetworkBlockedError, shielded
from lldtool.dryrun.files_read import collect
from lldtool.dryrun.imports import StandInUsed, real_imports_wanted, stand_ins
from lldtool.dryrun.registries import chain
from lldtool.dryrun.tracing import tracers
from lldtool.dryrun.values import ValuesNeeded
from lldtool.errors import LldtoolError, RemoteError
from lldtool.versions import installed_version, lldtool_version, package_versions

Result = TypeVar("Result")
#: Environment and module path as they were before a config could change them.
_untouched: tuple[dict[str, str], list[str]] | None = None
#: A function of a module, so that a fresh process finds it; called with the requests.
Task = Callable[..., Result]


def run(task: Task[Result], *requests: Request) -> Result:
    """The task's result.

    Raises:
        LldtoolError: the task raised it, or torch or mmengine is not installed.
    """
    global _untouched
    _untouched = dict(os.environ), sys.path[:]
    request = requests[0]
    for package in ("torch", "mmengine"):
        if installed_version(package) is None:
            hint = f"pip install {package}"
            raise LldtoolError(f"a dry run needs {package}", config=request.name, hint=hint)
    lldtool_version(), package_versions(), tracers()  # kept, should a config change the module path
    folders = (*(one.path.parent.absolute() for one in requests), Path.cwd())
    for_speed = request.own_process and not real_imports_wanted()
    try:
        with (
            shielded(folders, allow_network=request.allow_network),
            stand_ins.installed(for_speed=for_speed),
            package_lookup.installed(for_speed=for_speed),
            _working_directory(),
        ):
            if for_speed:
                torch_parts.import_torch()
            result = _standing_in_for_need(task, requests)
    except ValuesNeeded:
        return start_over(task, *(replace(request, initialised=True) for request in requests))
    except LldtoolError as raised:
        error = raised.with_config(request.name)
        blocked = next((e for e in chain(error) if isinstance(e, NetworkBlockedError)), None)
        if blocked is not None:
            raise _download_error(error, blocked) from error.__cause__
        if stand_ins.needed_for_real(error):
            return start_over(task, *requests)
        raise error from raised.__cause__
    return start_over(task, *requests) if stand_ins.needed_for_real(None) else result


def start_over(task: Task[Result], *requests: Request) -> Result:
    """The same in a fresh process with real imports.

    Raises:
        LldtoolError: what the task there came to.
    """
    return in_fresh_process(task, *(replace(request, own_process=False) for request in requests))


def in_fresh_process(task: Task[Result], *requests: Request) -> Result:
    """The task's result in a process of its own; `lldtool/dryrun/__main__.py` answers.

    Raises:
        LldtoolError: what the task there came to.
    """
    environment, path = _untouched or (dict(os.environ), sys.path)
    done = subprocess.run(
        [sys.executable, "-m", "lldtool.dryrun"],
        input=pickle.dumps((path, task, requests)),
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,  # which Ctrl-C in a terminal does not reach
        check=False,
    )
    try:
        result, failure, files = pickle.loads(done.stdout)
    except (pickle.UnpicklingError, EOFError) as broken:
        raise LldtoolError(
            f"the dry run in a process of its own ended with exit code {done.returncode}",
            config=requests[0].name,
        ) from broken
    collect(files)
    if failure is not None:
        error, trace = failure
        raise error from RemoteError(trace)
    answer: Result = result
    return answer


def _standing_in_for_need(task: Task[Result], requests: Sequence[Request]) -> Result:
    """Try again for every package that library code imports and that is missing or broken."""
    stand_ins.for_need |= dict.fromkeys(requests[0].without, "is not installed")
    while True:
        stand_ins.touched.clear()
        try:
            return task(*requests)
        except LldtoolError as error:
            cause = error.__cause__
            if isinstance(cause, StandInUsed):
                raise _needed_package_error(cause, error.config) from cause
            if any(stand_ins.stand_in_for(one) for one in chain(cause)):
                continue
            missed = next(filter(None, map(stand_ins.missed, chain(cause))), None)
            if missed is None:
                raise
            without = (*requests[0].without, missed)
            return in_fresh_process(task, *(replace(one, without=without) for one in requests))


def _needed_package_error(used: StandInUsed, name: str | None) -> LldtoolError:
    module = stand_ins.covers(used.package) or used.package
    state = stand_ins.for_need.get(module, "is not installed")
    return LldtoolError(f"the model needs {used.name} of {module}, which {state}", config=name)


def _download_error(error: LldtoolError, blocked: NetworkBlockedError) -> LldtoolError:
    missed = "" if str(blocked) in error.message else ", and failed without that"
    return LldtoolError(
        f"tried to download from {blocked.host} while it was built{missed}: {error.message}",
        config=error.config,
        hint="--allow-network permits it",
    )


@contextlib.contextmanager
def _working_directory() -> Iterator[None]:
    """Find a project's own modules as `python train.py` beside them does, but last."""
    here = str(Path.cwd())
    if here in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)

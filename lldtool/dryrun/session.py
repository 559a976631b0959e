"""Run a task on configs with stubs and isolation in place; again where that was not enough."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lldtool.config.request import Request
from lldtool.dryrun import package_lookup
from lldtool.dryrun.deferred_torch import import_torch
from lldtool.dryrun.files_read import collect
from lldtool.dryrun.isolation import NetworkBlockedError, isolated
from lldtool.dryrun.registries import chain
from lldtool.dryrun.stubs import Stubs, StubUsed, current_stubs, real_imports_wanted
from lldtool.dryrun.tracing import builtin_tracers, installed_tracers
from lldtool.dryrun.uninitialised import ValuesNeeded
from lldtool.errors import LldtoolError, RemoteError
from lldtool.versions import installed_version, lldtool_version, package_versions

Result = TypeVar("Result")
#: A function of a module, so that a fresh process finds it; called with the requests.
Task = Callable[..., Result]
#: Environment and module path as they were before a config could change them.
_STARTED_WITH: ContextVar[tuple[dict[str, str], list[str]]] = ContextVar("started_with")


def run(task: Task[Result], *requests: Request) -> Result:
    """The task's result.

    Raises:
        LldtoolError: the task raised it, or torch or mmengine is not installed.
    """
    request = requests[0]
    for package in ("torch", "mmengine"):
        if installed_version(package) is None:
            hint = f"pip install {package}"
            raise LldtoolError(f"a dry run needs {package}", config=request.name, hint=hint)
    for cached in (lldtool_version, package_versions, builtin_tracers, installed_tracers):
        cached()  # now, should a config change the module path
    token = _STARTED_WITH.set((dict(os.environ), sys.path[:]))
    stubs, failure = current_stubs(), None
    try:
        try:
            result = _isolated_run(task, requests, stubs)
        except ValuesNeeded:
            return start_over(task, *(replace(one, initialised=True) for one in requests))
        except LldtoolError as raised:
            error = raised.with_config(request.name)
            blocked = next((e for e in chain(error) if isinstance(e, NetworkBlockedError)), None)
            if blocked is not None:
                raise _download_error(error, blocked) from error.__cause__
            failure = error
        if stubs.real_needed(failure):
            return start_over(task, *requests)
        if failure is not None:
            raise failure from failure.__cause__
        return result
    finally:
        _STARTED_WITH.reset(token)


def _isolated_run(task: Task[Result], requests: Sequence[Request], stubs: Stubs) -> Result:
    """The task's result; the errors of a dry run in its own process are not yet all true."""
    request = requests[0]
    folders = (*(one.path.parent.absolute() for one in requests), Path.cwd())
    for_speed = request.own_process and not real_imports_wanted()
    with (
        isolated(folders, allow_network=request.allow_network),
        stubs.installed(for_speed=for_speed),
        package_lookup.installed(for_speed=for_speed),
        _working_directory(),
    ):
        if for_speed:
            import_torch()
        return _run_with_stubs(task, requests, stubs)


def _run_with_stubs(task: Task[Result], requests: Sequence[Request], stubs: Stubs) -> Result:
    """Try again for every package that library code imports and that is missing or broken."""
    stubs.unusable |= dict.fromkeys(requests[0].missing_modules, "is not installed")
    while True:
        stubs.used.clear()
        try:
            return task(*requests)
        except LldtoolError as error:
            cause = error.__cause__
            if isinstance(cause, StubUsed):
                module = stubs.covering(cause.package) or cause.package
                state = stubs.unusable.get(module, "is not installed")
                text = f"the model needs {cause.name} of {module}, which {state}"
                raise LldtoolError(text, config=error.config) from cause
            if any(map(stubs.replace_failed, chain(cause))):
                continue
            missed = next(filter(None, map(stubs.missed, chain(cause))), None)
            if missed is None:
                raise
            modules = (*requests[0].missing_modules, missed)
            return in_fresh_process(task, *(replace(r, missing_modules=modules) for r in requests))


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
    environment, path = _STARTED_WITH.get((dict(os.environ), sys.path))
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

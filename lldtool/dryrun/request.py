"""What a dry run is asked for; and the same dry run once more, in a fresh process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lldtool.errors import LldtoolError
from lldtool.plan import Plan, plan_from_json, plan_to_json


@dataclass(frozen=True)
class Request:
    """One config and how to dry-run it.

    `cfg_options` are `KEY=VALUE` strings as on the command line, or dotted key -> value.
    `world_size` is the number of GPUs; None where the user did not say.
    """

    path: Path
    name: str
    cfg_options: tuple[str, ...] | Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    auto_scale_lr: bool = False
    world_size: int | None = None
    allow_network: bool = False


def start_over(request: Request) -> Plan:
    """Run the request in a new process with real imports in the place of stand-ins.

    Raises:
        LldtoolError: what the dry run there came to.
    """
    command = [sys.executable, "-m", "lldtool.dryrun.request"]
    environment = {**os.environ, "LLDTOOL_REAL_IMPORTS": "1"}
    done = subprocess.run(
        command,
        input=pickle.dumps((sys.path, request)),
        stdout=subprocess.PIPE,
        env=environment,
        check=False,
    )
    try:
        plan, failure = pickle.loads(done.stdout)
    except (pickle.UnpicklingError, EOFError) as error:
        raise LldtoolError(
            f"the dry run with real imports ended with exit code {done.returncode}",
            config=request.name,
        ) from error
    if failure is not None:
        message, hint = failure
        raise LldtoolError(message, config=request.name, hint=hint)
    return plan_from_json(plan)


def _answer() -> None:
    """The other end of `start_over`: a request on stdin, a plan or a failure on stdout."""
    path, request = pickle.load(sys.stdin.buffer)
    sys.path[:] = path
    from lldtool.dryrun import dry_run

    answer: tuple[str | None, tuple[str, str | None] | None]
    try:
        answer = plan_to_json(dry_run(request)), None
    except LldtoolError as error:
        answer = None, (error.message, error.hint)
    sys.stdout.buffer.write(pickle.dumps(answer))


if __name__ == "__main__":
    _answer()

"""The same dry run once more, in a fresh process with real imports in the place of stand-ins."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

from lldtool.errors import LldtoolError
from lldtool.plan import Plan, plan_from_json
from lldtool.request import Request


def start_over(request: Request) -> Plan:
    """Run the request in a new process; `lldtool/dryrun/__main__.py` answers it.

    Raises:
        LldtoolError: what the dry run there came to.
    """
    command = [sys.executable, "-m", "lldtool.dryrun"]
    done = subprocess.run(
        command,
        input=pickle.dumps((sys.path, replace(request, own_process=False))),
        stdout=subprocess.PIPE,
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

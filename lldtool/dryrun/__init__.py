"""Config -> Plan: load the config, build the model, run its constructor, read the param groups.

The only package that imports torch and OpenMMLab, and it does so inside the functions here.
"""

from __future__ import annotations

from lldtool.dryrun.session import run
from lldtool.plan import Plan
from lldtool.request import Request


def dry_run(request: Request) -> Plan:
    """What the config's optimizer will do to every parameter of its model.

    Raises:
        LldtoolError: the config can't be read, its model can't be built, or its constructor
            raises. The original exception is its `__cause__`.
    """
    return run(_plan, request)


def _plan(request: Request) -> Plan:
    from lldtool.dryrun.training import start_of_training

    with start_of_training(request) as training:
        return training.plan()

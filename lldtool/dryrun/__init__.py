"""Config -> Plan: load the config, build the model, run its constructor, read the param groups.

The only package that imports torch and OpenMMLab, and it does so inside the functions here.
"""

from __future__ import annotations

from collections.abc import Sequence

from lldtool.analysis.keys import Key
from lldtool.config.request import Request
from lldtool.dryrun.session import run
from lldtool.plan import Plan


def dry_run(request: Request) -> Plan:
    """What the config's optimizer will do to every parameter of its model.

    Raises:
        LldtoolError: the config can't be read, its model can't be built, or its constructor
            raises. The original exception is its `__cause__`.
    """
    return dry_runs([request])[0]


def dry_runs(requests: Sequence[Request]) -> list[Plan]:
    """The same for each of several configs; they share what they can."""
    return run(_plans, *requests)


def _plans(*requests: Request) -> list[Plan]:
    from lldtool.dryrun.batches import plans

    return plans(*requests)


def dry_run_keys(request: Request) -> tuple[Plan, list[Key]]:
    """A plan, and what each entry of the config's `paramwise_cfg` does; errors as `dry_run`."""
    return run(_plan_and_keys, request)


def _plan_and_keys(request: Request) -> tuple[Plan, list[Key]]:
    from lldtool.dryrun.key_effects import plan_and_keys

    return plan_and_keys(request)

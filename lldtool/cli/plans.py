"""How commands get the plan that the user named."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from lldtool.errors import LldtoolError
from lldtool.plan import Plan
from lldtool.request import Request
from lldtool.source import saved_plan


def plan_of(request: Request) -> Plan:
    """The saved plan that the request names, or a dry run's.

    Raises:
        LldtoolError: neither can be had.
    """
    saved = saved_plan(request.path, request.name)
    if saved is None:
        from lldtool.dryrun import dry_run

        return dry_run(request)
    if request.cfg_options or request.auto_scale_lr or request.world_size:
        raise LldtoolError(
            "a saved plan can't be overridden or scaled", config=request.name,
            hint="name the config instead",
        )  # fmt: skip
    return saved


def near_name(pattern: str, names: Sequence[str]) -> str | None:
    """A hint at the parameter whose name is nearest to a pattern that none is like."""
    near = difflib.get_close_matches(pattern, names, n=1, cutoff=0.4)
    return f"did you mean {near[0]}?" if near else None

"""Which param groups that start at lr 0 are raised by a scheduler, and so are trained after all."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from lldtool.config.request import Request
from lldtool.dryrun.param_schedulers import (
    after_step,
    reads_only_its_setting,
    schedulers_of_each,
    schedulers_on,
)
from lldtool.dryrun.train_loop import assumed_loop
from lldtool.errors import LldtoolError

#: Options of mmengine's schedulers that are absolute values; all others multiply what is there.
_ABSOLUTE = ("eta_max", "eta_min", "min_value")
#: A scheduler that has not raised the lr by this step counts as one that does not.
_MOST_STEPS = 1_000_000


def raised_groups(config: Any, request: Request, wrappers: Mapping[str, Any]) -> frozenset[int]:
    """Return the param groups with lr 0 that some scheduler raises, by `Parameter.group`.

    The config's schedulers are built and stepped on these groups until that happens. Where a
    scheduler raises an exception, which training would as well, no group of its optimizer is.

    Args:
        config: an `mmengine.Config`.
        request: what was asked for.
        wrappers: name -> optimizer wrapper, as the constructor built them.
    """
    raised: set[int] = set()
    first = 0  # the number of the optimizer's first group
    for name, wrapper in wrappers.items():
        groups = wrapper.optimizer.param_groups
        at_zero = [i for i, group in enumerate(groups) if group.get("lr") == 0]
        if at_zero:
            with contextlib.suppress(LldtoolError):  # `schedule` reports it
                own = schedulers_of_each(config.get("param_scheduler", None), wrappers)[name]
                raised |= {first + i for i in _raised(wrapper, at_zero, own, config, request)}
        first += len(groups)
    return frozenset(raised)


def _raised(
    wrapper: Any, at_zero: Sequence[int], configured: Sequence[Any], config: Any, request: Request
) -> Sequence[int]:
    """Those of the groups at lr 0 that the schedulers of one optimizer raise."""
    alike = all(map(reads_only_its_setting, configured))
    if alike and not any(one.get(option, None) for one in configured for option in _ABSOLUTE):
        return ()
    loop = assumed_loop(config, request, configured)
    optimizer = wrapper.optimizer
    indices = at_zero[:1] if alike else range(len(optimizer.param_groups))
    watched = {0} if alike else set(at_zero)
    raised: set[int] = set()
    with schedulers_on(wrapper, configured, loop, indices) as schedulers:
        for number in range(min(loop.steps, _MOST_STEPS)):
            raised |= {i for i in watched if optimizer.param_groups[i]["lr"] != 0}
            if raised == watched:
                break
            after_step(schedulers, loop, number)
    if alike:
        return at_zero if raised else ()
    return sorted(raised)

"""What leaving out a custom key or an option would change: by running the constructor without."""

from __future__ import annotations

import copy
from dataclasses import replace

from lldtool.dryrun.training import Training, start_of_training
from lldtool.errors import LldtoolError
from lldtool.keys import Effect, Key, difference, keys_of
from lldtool.plan import Plan
from lldtool.request import Request


def plan_and_keys(request: Request) -> tuple[Plan, list[Key]]:
    """The plan of a config, and what each entry of its `paramwise_cfg` does.

    Raises:
        LldtoolError: there is no plan to be had.
    """
    with start_of_training(request) as training:
        plan = training.plan()
        keys = [replace(key, effect=effect_of(training, plan, key)) for key in keys_of(plan)]
    return plan, keys


def effect_of(training: Training, plan: Plan, key: Key) -> Effect:
    """What leaving one entry out of the `paramwise_cfg` of a plan would do."""
    wrapper = copy.deepcopy(training.config.optim_wrapper)
    options = wrapper["paramwise_cfg"]
    del (options["custom_keys"] if key.is_custom else options)[key.name]
    try:
        return difference(plan.parameters, training.parameters(wrapper))
    except LldtoolError as error:
        return Effect(error=error.message)

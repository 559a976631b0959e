"""Plans: what the optimizer will do to every parameter, as plain data without torch.

A dry run makes a `Plan`; every command reads one, be it from a saved plan.
"""

from lldtool.plan.parameters import (
    FROZEN,
    FROZEN_BY_INIT_WEIGHTS,
    FROZEN_BY_TRAIN,
    NO_WEIGHT_DECAY,
    NORM,
    UPDATES_STATISTICS,
    LayerId,
    Parameter,
    Reason,
    Reasons,
    State,
    UntrainedParameter,
)
from lldtool.plan.plans import (
    SCHEMA_VERSION,
    Constructor,
    Layer,
    Model,
    Optimizer,
    OptimWrapper,
    Plan,
    layer_order,
)
from lldtool.plan.saved import (
    dump_by_line,
    is_plan,
    load_plan,
    plan_content,
    plan_from_json,
    plan_header,
    plan_to_json,
)
from lldtool.plan.schedule import LENGTH_ASSUMED, Curve, Schedule, Step
from lldtool.plan.starts import Buffer, Loaded, Start

__all__ = [
    "FROZEN", "FROZEN_BY_INIT_WEIGHTS", "FROZEN_BY_TRAIN", "LENGTH_ASSUMED", "NORM",
    "NO_WEIGHT_DECAY", "SCHEMA_VERSION", "UPDATES_STATISTICS", "Buffer", "Constructor", "Curve",
    "Layer", "LayerId", "Loaded", "Model", "OptimWrapper", "Optimizer", "Parameter", "Plan",
    "Reason", "Reasons", "Schedule", "Start", "State", "Step", "UntrainedParameter", "dump_by_line",
    "is_plan", "layer_order", "load_plan", "plan_content", "plan_from_json", "plan_header",
    "plan_to_json",
]  # fmt: skip

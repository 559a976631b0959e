"""The benchmarks, in the order of the page."""

from parts.checkpoints import CHECKPOINTS
from parts.checks import CONFIGS, JOBS, ZOO
from parts.growth import LAYERS, PARAMETERS
from parts.plans import PLANS
from parts.processes import PROCESSES
from parts.schedule import SCHEDULE
from parts.size import SIZE
from parts.watch import WATCH

BENCHMARKS = (
    PROCESSES,
    PLANS,
    CHECKPOINTS,
    SIZE,
    PARAMETERS,
    LAYERS,
    CONFIGS,
    JOBS,
    ZOO,
    SCHEDULE,
    WATCH,
)

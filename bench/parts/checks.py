"""`lldtool check` of one config, of several, of all, and with several jobs."""

import contextlib
import os

from configs import with_layer_decay
from measure import IMPORT_TORCH, Benchmark, lldtool

COUNTS = (1, 5, 10, 21)
CORES = os.cpu_count() or 1
JOBS_TRIED = sorted({1, 2, CORES})


def _check(*configs, jobs):
    """Return a check, which may have findings (1) or configs that can't be built (2)."""
    return lldtool("check", "--jobs", jobs, *configs, codes=(0, 1, 2))


def _plural(count, noun):
    return f"{count} {noun}{'s' if count > 1 else ''}"


@contextlib.contextmanager
def _counts():
    configs = with_layer_decay()
    checks = {_count(count): _check(*configs[:count], jobs=1) for count in COUNTS}
    yield {"import torch": IMPORT_TORCH, **checks}


def _count(count):
    return f"check {_plural(count, 'config')}"


def _counts_answer(results):
    first, last = COUNTS[0], COUNTS[-1]
    each = (results.seconds(_count(last)) - results.seconds(_count(first))) / (last - first)
    return (
        f"After the first config, which pays for the imports, each config takes {each:.2f} s with "
        "one job. The configs are those of mmpretrain with layer decay, each in its own process."
    )


@contextlib.contextmanager
def _jobs():
    configs = with_layer_decay()
    checks = {_some(jobs): _check(*configs, jobs=jobs) for jobs in JOBS_TRIED}
    yield {"import torch": IMPORT_TORCH, **checks}


def _some(jobs):
    return f"check 21 configs, {_plural(jobs, 'job')}"


def _jobs_answer(results):
    return f"{_speedup(results, _some)} The imports are not parallel: one process does them."


@contextlib.contextmanager
def _zoo():
    checks = {_all(jobs): _check("mmpretrain::.", jobs=jobs) for jobs in JOBS_TRIED}
    yield {"import torch": IMPORT_TORCH, **checks}


def _all(jobs):
    return f"check all configs, {_plural(jobs, 'job')}"


def _zoo_answer(results):
    return (
        f"{_speedup(results, _all)} About 20 of the 496 configs can't be built and take seconds "
        "each, because lldtool tries them again with real imports."
    )


def _speedup(results, case):
    faster = [
        f"{jobs} jobs are {results.ratio(case(1), case(jobs)):.2f} ×" for jobs in JOBS_TRIED[1:]
    ]
    return f"On {CORES} cores, {', '.join(faster)} as fast as one."


CONFIGS = Benchmark(
    "configs",
    "How does `check` scale with the number of configs?",
    _counts,
    _counts_answer,
    rounds=4,
)
JOBS = Benchmark("jobs", "How much faster are several jobs?", _jobs, _jobs_answer, rounds=3)
ZOO = Benchmark(
    "zoo", "How long does mmpretrain's whole zoo take?", _zoo, _zoo_answer, rounds=1, is_slow=True
)

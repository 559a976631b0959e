"""`lldtool check` of one config, of several, of all, and with several jobs."""

import contextlib
import os

from configs import with_layer_decay
from measure import IMPORT_TORCH, Part, lldtool

COUNTS = (1, 5, 10, 21)
JOBS_TRIED = sorted({1, 2, os.cpu_count() or 1})


def _check(*configs, jobs):
    """A check that may find something; of all configs some can't be built, which is code 2."""
    return lldtool("check", "--jobs", jobs, *configs, codes=(0, 1, 2))


@contextlib.contextmanager
def _counts():
    configs = with_layer_decay()
    yield {
        "import torch": IMPORT_TORCH,
        **{_name(count): _check(*configs[:count], jobs=1) for count in COUNTS},
    }


def _name(count):
    return f"check {count} config{'s' if count > 1 else ''}"


def _counts_answer(figures):
    first, last = COUNTS[0], COUNTS[-1]
    each = (figures.seconds(_name(last)) - figures.seconds(_name(first))) / (last - first)
    return (
        f"After the first, with which the imports are paid, each further config takes {each:.2f} s "
        "with one job: those of mmpretrain with layer decay, in a process each."
    )


@contextlib.contextmanager
def _jobs():
    configs = with_layer_decay()
    things = {_with(jobs): _check(*configs, jobs=jobs) for jobs in JOBS_TRIED}
    yield {"import torch": IMPORT_TORCH, **things}


def _with(jobs):
    return f"check 21 configs, {jobs} job{'s' if jobs > 1 else ''}"


def _jobs_answer(figures):
    return _speedup(figures, _with) + " The imports, which one process does, are not shared out."


@contextlib.contextmanager
def _zoo():
    yield {
        "import torch": IMPORT_TORCH,
        **{_all_with(jobs): _check("mmpretrain::.", jobs=jobs) for jobs in JOBS_TRIED},
    }


def _all_with(jobs):
    return f"check all configs, {jobs} job{'s' if jobs > 1 else ''}"


def _zoo_answer(figures):
    return (
        f"{_speedup(figures, _all_with)} Some 20 of the 496 can't be built and take seconds each, "
        "as they are tried again with real imports."
    )


def _speedup(figures, name):
    faster = [
        f"with {jobs} jobs {figures.ratio(name(1), name(jobs)):.2f} × as fast"
        for jobs in JOBS_TRIED[1:]
    ]
    return f"On {os.cpu_count()} cores, {', '.join(faster)} as with one."


CONFIGS = Part(
    "configs", "How does `check` grow with the configs?", _counts, _counts_answer, rounds=4
)
JOBS = Part("jobs", "What do more jobs save?", _jobs, _jobs_answer, rounds=3)
ZOO = Part(
    "zoo", "What does the whole zoo of mmpretrain take?", _zoo, _zoo_answer, rounds=1, is_slow=True
)

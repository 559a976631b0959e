"""What `lldtool check` costs a config once the imports are paid, and what two jobs save.

    python bench/fleet.py [--zoo]

Without --zoo the configs of the installed mmpretrain with layer decay, one at a time and on one
core; with it all of them, with one job and with two.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial

from lldtool.checking import check_config
from lldtool.dryrun.fleet import Fleet
from lldtool.policy import Policy
from lldtool.request import Request
from lldtool.source import locate
from lldtool.source.discovery import discover
from lldtool.source.places import Sources

CONSTRUCTOR = "LearningRateDecayOptimWrapperConstructor"


def requests(*, zoo):
    """What to check."""
    names = discover(["mmpretrain::."], include=(), exclude=(), include_base=False, root=None)
    paths = {name: locate(name).path for name in names}
    if not zoo:
        paths = {n: p for n, p in paths.items() if any(map(decays_by_layer, Sources(p).files))}
    return [Request(path, name, own_process=True) for name, path in paths.items()]


def decays_by_layer(file):
    """Whether a file names the constructor."""
    return CONSTRUCTOR in file.read_text(encoding="utf-8")


def seconds(several, jobs):
    """Seconds for all of them, after one that pays for the imports."""
    check = partial(check_config, Policy())
    with Fleet(jobs, timeout=600) as fleet:
        fleet.submit(check, several[0]).result()
        start = time.perf_counter()
        outcomes = list(fleet.map(check, several))
        took = time.perf_counter() - start
    errors = sum(outcome.error is not None for outcome in outcomes)
    print(f"jobs={jobs}: {took:.1f} s, {took / len(several):.3f} s a config, {errors} errors")
    return took


def main():
    """Print the figures."""
    zoo = "--zoo" in sys.argv
    several = requests(zoo=zoo)
    print(f"{len(several)} configs")
    if not zoo:
        os.sched_setaffinity(0, {0})
        seconds(several, 1)
        return
    one, two = seconds(several, 1), seconds(several, 2)
    print(f"two jobs are {one / two:.2f} x as fast as one")


if __name__ == "__main__":
    main()

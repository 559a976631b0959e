"""What `lldtool schedule` saves by stepping the distinct param groups only.

    python bench/schedule.py

MAE ViT-H, 50 epochs of 1,251 iterations: the distinct groups and all of them, in one process, and
whether every lr of every step is the same.
"""

from __future__ import annotations

import time

from lldtool.dryrun.schedule import dry_run_schedule
from lldtool.request import Request
from lldtool.schedule import Length
from lldtool.source import locate

CONFIG = "mmpretrain::mae/benchmarks/vit-huge-p14_8xb128-coslr-50e_in1k.py"
LENGTH = Length(epoch_length=1251)


def main():
    """Print both times, their ratio, and whether the results are equal."""
    request = Request(locate(CONFIG).path, CONFIG, own_process=True)
    dry_run_schedule(request, Length(epoch_length=1))  # the imports
    seconds, results = [], []
    for all_groups in (False, True):
        began = time.perf_counter()
        schedule = dry_run_schedule(request, LENGTH, all_groups=all_groups)
        seconds.append(time.perf_counter() - began)
        results.append([(c.layer_id, c.parameters, c.lrs) for c in schedule.courses])
    few, every = seconds
    print(f"distinct groups {few:.1f} s, all groups {every:.1f} s: {every / few:.1f} x")
    print("every lr the same" if results[0] == results[1] else "the lrs differ")


if __name__ == "__main__":
    main()

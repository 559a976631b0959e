"""`lldtool schedule`, and what it saves by stepping only the distinct param groups."""

import contextlib
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from configs import VIT_H, path_of
from measure import IMPORT_TORCH, Benchmark, Sample, lldtool

from lldtool.config.request import Length, Request
from lldtool.dryrun import Want, capture

#: Iterations per epoch of ImageNet with the config's batch size on 8 GPUs.
EPOCH_LENGTH = 1251
DISTINCT, ALL = "stepping the distinct param groups", "stepping all param groups"


@contextlib.contextmanager
def _cases():
    lrs = {}
    with ProcessPoolExecutor(1) as other:
        other.submit(_step, epoch_length=1, all_groups=False).result()  # warm up the imports

        def step(*, all_groups):
            future = other.submit(_step, EPOCH_LENGTH, all_groups=all_groups)
            sample, lrs[all_groups] = future.result()
            return sample

        yield {
            "import torch": IMPORT_TORCH,
            "schedule ViT-H": lldtool("schedule", VIT_H, "--epoch-length", EPOCH_LENGTH),
            DISTINCT: partial(step, all_groups=False),
            ALL: partial(step, all_groups=True),
        }
    if lrs[False] != lrs[True]:
        raise SystemExit("the distinct param groups and all param groups give different lrs")


def _step(epoch_length, *, all_groups):
    """Step the whole training, and return the sample and the lrs."""
    length = Length(epoch_length=epoch_length)
    request = Request(Path(path_of(VIT_H)), VIT_H, length=length, own_process=True)
    want = Want(steps=True, reasons=False, all_groups=all_groups)
    began = time.perf_counter()
    schedule = capture(request, want).required_schedule
    sample = Sample(time.perf_counter() - began)
    return sample, [(c.layer_id, c.parameters, c.lrs) for c in schedule.curves]


def _answer(results):
    return (
        f"50 epochs of {EPOCH_LENGTH:,} iterations. In a process that has finished the imports, "
        f"stepping all param groups takes {results.ratio(ALL, DISTINCT):.1f} × as long as stepping "
        "the distinct ones. Every lr is the same."
    )


SCHEDULE = Benchmark("schedule", "How long does a whole schedule take?", _cases, _answer, rounds=2)

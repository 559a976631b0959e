"""`lldtool schedule`, and what it saves by stepping the distinct param groups only."""

import contextlib
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from configs import VIT_H, path_of
from measure import IMPORT_TORCH, Part, Sample, lldtool

from lldtool.analysis.lr_curves import Length
from lldtool.config.request import Request
from lldtool.dryrun import Want, capture

#: Iterations an epoch of ImageNet with the config's batch size on 8 GPUs.
EPOCH_LENGTH = 1251
FEW, ALL = "stepping the distinct param groups", "stepping all param groups"


@contextlib.contextmanager
def _things():
    lrs = {}
    with ProcessPoolExecutor(1) as other:
        other.submit(_stepped, epoch_length=1, all_groups=False).result()  # the imports

        def step(*, all_groups):
            sample, lrs[all_groups] = other.submit(
                _stepped, EPOCH_LENGTH, all_groups=all_groups
            ).result()
            return sample

        yield {
            "import torch": IMPORT_TORCH,
            "schedule ViT-H": lldtool("schedule", VIT_H, "--epoch-length", EPOCH_LENGTH),
            FEW: partial(step, all_groups=False),
            ALL: partial(step, all_groups=True),
        }
    if lrs[False] != lrs[True]:
        raise SystemExit("the lrs differ between the distinct groups and all of them")


def _stepped(epoch_length, *, all_groups):
    """A sample of stepping the whole training in a process with the imports done, and the lrs."""
    request = Request(Path(path_of(VIT_H)), VIT_H, own_process=True)
    want = Want(length=Length(epoch_length=epoch_length), reasons=False, all_groups=all_groups)
    began = time.perf_counter()
    schedule = capture(request, want).required_schedule
    sample = Sample(time.perf_counter() - began)
    return sample, [(c.layer_id, c.parameters, c.lrs) for c in schedule.courses]


def _answer(figures):
    return (
        f"50 epochs of {EPOCH_LENGTH:,} iterations. In one process after the imports, stepping "
        f"all param groups takes {figures.ratio(ALL, FEW):.1f} × as long as stepping those that "
        "differ; every lr is the same."
    )


SCHEDULE = Part("schedule", "What does a whole schedule take?", _things, _answer, rounds=2)

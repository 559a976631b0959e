"""Reading a checkpoint without its tensors, compared with `torch.load`."""

import contextlib
import sys
import tempfile
from pathlib import Path

from measure import IMPORT_TORCH, Benchmark, Process, lldtool

#: The tensors of a model, each with two of the same size in the optimizer: 1 GB in float32.
TENSORS, NUMEL = 400, 208_000
OURS, LEGACY, THEIRS = "read_checkpoint", "read_checkpoint, legacy format", "torch.load"
INSPECT = "lldtool inspect"
READ = """\
import sys
from pathlib import Path
from lldtool.checkpoint import read_checkpoint
read_checkpoint(Path(sys.argv[1]))"""
LOAD = "import sys, torch; torch.load(sys.argv[1])"


@contextlib.contextmanager
def _cases():
    with tempfile.TemporaryDirectory() as folder:
        path, legacy = Path(folder, "checkpoint.pth"), Path(folder, "legacy.pth")
        _write_checkpoint(path)
        _write_checkpoint(legacy, _use_new_zipfile_serialization=False)
        yield {
            "import torch": IMPORT_TORCH,
            OURS: Process([sys.executable, "-c", READ, str(path)]),
            LEGACY: Process([sys.executable, "-c", READ, str(legacy)]),
            INSPECT: lldtool("inspect", path),
            THEIRS: Process([sys.executable, "-c", LOAD, str(path)]),
        }


def _write_checkpoint(path, **how):
    """Write a checkpoint like one of a training with AdamW, where each tensor has a group."""
    import torch

    names = [f"backbone.layers.{i}.attn.qkv.weight" for i in range(TENSORS)]
    shared = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.05}
    groups = [
        {"params": [i], "lr": 1e-3 / (i + 1), "layer_id": i // 12, "param_name": name, **shared}
        for i, name in enumerate(names)
    ]
    averages = ("exp_avg", "exp_avg_sq")
    state = {
        i: {"step": torch.tensor(1.0), **{key: torch.empty(NUMEL) for key in averages}}
        for i in range(TENSORS)
    }
    content = {
        "meta": {"epoch": 1, "cfg": "model = dict()\n" * 1000},
        "state_dict": {name: torch.empty(NUMEL) for name in names},
        "optimizer": {"state": state, "param_groups": groups},
    }
    torch.save(content, path, **how)


def _answer(results):
    return (
        f"A checkpoint of 1 GB takes {results.ratio(OURS):.2f} × a bare `import torch` and "
        f"{results.peak(OURS):.0f} MB, because no tensor is read; `torch.load` takes "
        f"{results.ratio(THEIRS):.1f} × and {results.peak(THEIRS):,.0f} MB. `lldtool inspect` of "
        f"it takes {results.ratio(INSPECT):.2f} × and {results.peak(INSPECT):.0f} MB."
    )


CHECKPOINTS = Benchmark(
    "checkpoints", "How long does reading a checkpoint of 1 GB take?", _cases, _answer, rounds=3
)

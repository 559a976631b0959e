"""How a dry run scales with the model."""

import contextlib
import tempfile
from pathlib import Path

from configs import EVA_G, VIT_B, VIT_H, VIT_L, VIT_S, path_of
from measure import IMPORT_TORCH, Benchmark, lldtool
from peers import peer

MODELS = {
    "ViT-S, 22 M": VIT_S, "ViT-B, 87 M": VIT_B, "ViT-L, 304 M": VIT_L, "ViT-H, 632 M": VIT_H,
    "EVA-g, 1,011 M": EVA_G,
}  # fmt: skip
SMALLEST, *_, LARGEST = MODELS
#: Numbers of blocks, of a ViT that is as narrow as ViT-Ti.
DEPTHS = (12, 24, 48, 96, 192)
NARROW = f"""\
_base_ = {VIT_B!r}
arch = dict(embed_dims=192, num_layers={{}}, num_heads=3, feedforward_channels=768)
model = dict(backbone=dict(arch=dict(_delete_=True, **arch)), head=dict(in_channels=192))
"""


@contextlib.contextmanager
def _models():
    inspects = {f"inspect {name}": lldtool("inspect", config) for name, config in MODELS.items()}
    scripts = {
        f"plain script, {name}": peer("plain", path_of(config)) for name, config in MODELS.items()
    }
    yield {"import torch": IMPORT_TORCH, **inspects, **scripts}


def _models_answer(results):
    ours = results.ratio(f"inspect {LARGEST}", f"inspect {SMALLEST}")
    theirs = results.ratio(f"plain script, {LARGEST}", f"plain script, {SMALLEST}")
    return (
        f"With 46 times the parameters, `inspect` takes {ours:.2f} × as long, because it "
        f"initialises no values; the plain script takes {theirs:.1f} × as long."
    )


@contextlib.contextmanager
def _depths():
    with tempfile.TemporaryDirectory() as folder:
        cases = {"import torch": IMPORT_TORCH}
        for depth in DEPTHS:
            config = Path(folder, f"{depth}.py")
            config.write_text(NARROW.format(depth))
            cases[_blocks(depth)] = lldtool("inspect", config)
        yield cases


def _blocks(depth):
    return f"inspect {depth} blocks, {12 * depth + 8:,} tensors"


def _depths_answer(results):
    few, many = (results.seconds(_blocks(depth)) for depth in (DEPTHS[0], DEPTHS[-1]))
    each = 1000 * (many - few) / (DEPTHS[-1] - DEPTHS[0])
    return f"Each additional block, with 12 tensors, takes {each:.1f} ms."


PARAMETERS = Benchmark(
    "parameters", "How does it scale with the parameters?", _models, _models_answer, rounds=3
)
LAYERS = Benchmark("layers", "How does it scale with the layers?", _depths, _depths_answer)

"""How a dry run grows with the model."""

import contextlib
import tempfile
from pathlib import Path

from configs import EVA_G, VIT_B, VIT_H, VIT_L, VIT_S, path_of
from measure import IMPORT_TORCH, Part, lldtool
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
    things = {"import torch": IMPORT_TORCH}
    things |= {f"inspect {name}": lldtool("inspect", config) for name, config in MODELS.items()}
    for name, config in MODELS.items():
        things[f"obvious script, {name}"] = peer("obvious", path_of(config))
    yield things


def _models_answer(figures):
    ours, theirs = (
        figures.ratio(f"{what} {LARGEST}", f"{what} {SMALLEST}")
        for what in ("inspect", "obvious script,")
    )
    return (
        f"With 46 times the parameters `inspect` takes {ours:.2f} × as long, as no value is set; "
        f"the obvious script takes {theirs:.1f} ×."
    )


@contextlib.contextmanager
def _depths():
    with tempfile.TemporaryDirectory() as folder:
        things = {"import torch": IMPORT_TORCH}
        for depth in DEPTHS:
            config = Path(folder, f"{depth}.py")
            config.write_text(NARROW.format(depth))
            things[_name(depth)] = lldtool("inspect", config)
        yield things


def _name(depth):
    return f"inspect {depth} blocks, {12 * depth + 8:,} tensors"


def _depths_answer(figures):
    few, many = (figures.seconds(_name(depth)) for depth in (DEPTHS[0], DEPTHS[-1]))
    each = 1000 * (many - few) / (DEPTHS[-1] - DEPTHS[0])
    return f"A block more, with 12 tensors, costs {each:.1f} ms."


PARAMETERS = Part(
    "parameters", "How does it grow with the parameters?", _models, _models_answer, rounds=3
)
LAYERS = Part("layers", "How does it grow with the layers?", _depths, _depths_answer)

"""A dry run beside what one would do without it."""

import contextlib

from configs import VIT_B, VIT_H, path_of
from measure import IMPORT_TORCH, Part, lldtool
from peers import peer

RATE = "optim_wrapper.paramwise_cfg.layer_decay_rate=0.7"


@contextlib.contextmanager
def _things():
    models = {"ViT-B": VIT_B, "ViT-H": VIT_H}
    things = {"import torch": IMPORT_TORCH, "import mmpretrain.models": peer("mmpretrain_models")}
    for name, config in models.items():
        things[f"obvious script, {name}"] = peer("obvious", path_of(config))
        things[f"torchinfo, {name}"] = peer("summary", path_of(config))
        things[f"inspect {name}"] = lldtool("inspect", config)
        things[f"diff {name} --with"] = lldtool("diff", config, "--with", RATE, codes=(1,))
    yield things


def _answer(figures):
    def times(name):
        obvious, summary = (
            figures.ratio(f"{peer}, {name}", f"inspect {name}")
            for peer in ("obvious script", "torchinfo")
        )
        return f"{obvious:.1f} times what `inspect` takes for {name}, torchinfo's {summary:.1f}"

    return (
        f"`inspect` takes {figures.ratio('inspect ViT-B'):.2f} × a bare `import torch`, parts of "
        f"which it puts off. The obvious script takes {times('ViT-B')}; {times('ViT-H')}."
    )


PROCESSES = Part(
    "processes", "What does a dry run cost beside what one would do without it?", _things, _answer
)

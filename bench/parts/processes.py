"""A dry run, compared with doing the same without lldtool."""

import contextlib

from configs import VIT_B, VIT_H, path_of
from measure import IMPORT_TORCH, Benchmark, lldtool
from peers import peer

RATE = "optim_wrapper.paramwise_cfg.layer_decay_rate=0.7"
MODELS = {"ViT-B": VIT_B, "ViT-H": VIT_H}


@contextlib.contextmanager
def _cases():
    cases = {"import torch": IMPORT_TORCH, "import mmpretrain.models": peer("mmpretrain_models")}
    for name, config in MODELS.items():
        cases[f"plain script, {name}"] = peer("plain", path_of(config))
        cases[f"torchinfo, {name}"] = peer("summary", path_of(config))
        cases[f"inspect {name}"] = lldtool("inspect", config)
        cases[f"diff {name} --with"] = lldtool("diff", config, "--with", RATE, codes=(1,))
    yield cases


def _answer(results):
    def times(script, name):
        return f"{results.ratio(f'{script}, {name}', f'inspect {name}'):.1f} ×"

    others = [
        f"For {name}, the plain script takes {times('plain script', name)} as long as `inspect`, "
        f"and torchinfo {times('torchinfo', name)}."
        for name in MODELS
    ]
    return (
        f"`inspect` takes {results.ratio('inspect ViT-B'):.2f} × a bare `import torch`, because it "
        f"defers parts of that import. {' '.join(others)}"
    )


PROCESSES = Benchmark(
    "processes", "How long does a dry run take, compared with a script?", _cases, _answer
)

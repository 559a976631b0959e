"""Real `mmengine.Runner`s of small configs, on a CPU."""

import sys

import torch
from conftest import SAMPLES
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

import lldtool

BATCH_SIZE = 2
#: A module with a model whose two parts have an optimizer each, `gen` and `dis`.
TWO_OPTIMIZERS = """
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn, optim

@MODELS.register_module(force=True)
class Two(BaseModel):
    def __init__(self, data_preprocessor=None):
        super().__init__()
        self.gen, self.loss_net = nn.Linear(2, 2), nn.Linear(2, 2)
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs
    def train_step(self, data, optim_wrapper):
        return {}

@OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
class TwoConstructor:
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        pass
    def __call__(self, model):
        return OptimWrapperDict(
            gen=OptimWrapper(optim.SGD(model.gen.parameters(), lr=1e-3)),
            dis=OptimWrapper(optim.SGD(model.loss_net.parameters(), lr=1e-1)))
"""


def two_optimizers(folder, monkeypatch, more=""):
    """A config whose constructor makes two optimizers, beside the module that has it."""
    (folder / "two_optimizers.py").write_text(TWO_OPTIMIZERS)
    monkeypatch.syspath_prepend(folder)
    path = folder / "config.py"
    path.write_text(
        "custom_imports = dict(imports=['two_optimizers'])\nmodel = dict(type='Two')\n"
        f"optim_wrapper = dict(constructor='TwoConstructor')\n{more}"
    )
    return path


def runner_of(config, work_dir, *, epoch_length=2, size=32, logged=False, **changes):
    """A runner that trains the config's model with its own optimizer and schedulers.

    The images are black, and there are `epoch_length` batches of them. With `logged` every
    iteration is logged.
    """
    if "mmpretrain.models" not in sys.modules:  # which imports torchvision, there or not
        lldtool.dry_run(SAMPLES / "vit-small_pure-python.py")
    config.model["data_preprocessor"] = {"type": "mmpretrain.ClsDataPreprocessor"}
    config.model["_scope_"] = "mmpretrain"
    config.model.pop("train_cfg", None)
    samples = [_sample(size) for _ in range(BATCH_SIZE * epoch_length)]
    hooks = {"logger": {"type": "LoggerHook", "interval": 1} if logged else None}
    arguments = {
        "model": MODELS.build(config.model),
        "work_dir": str(work_dir),
        "train_dataloader": DataLoader(samples, BATCH_SIZE, collate_fn=_collate),
        "train_cfg": config.get("train_cfg", {"by_epoch": True, "max_epochs": 1}),
        "optim_wrapper": config.optim_wrapper,
        "param_scheduler": config.get("param_scheduler", None),
        "auto_scale_lr": config.get("auto_scale_lr", None),
        "default_scope": "mmpretrain",
        "default_hooks": {"checkpoint": None, "sampler_seed": None, **hooks},
        "log_level": "ERROR",
        "experiment_name": str(work_dir),
    }
    return Runner(**arguments | changes)


def _sample(size):
    from mmpretrain.structures import DataSample

    return {"inputs": torch.zeros(3, size, size), "data_samples": DataSample().set_gt_label(1)}


def _collate(samples):
    return {key: [sample[key] for sample in samples] for key in samples[0]}

"""Checkpoints that a real Runner saved while it trained a small model."""

import copy

from loading import PLAIN, classifier, config_of
from mmengine.config import Config
from runners import runner_of

LAYER_DECAY = {
    "optimizer": {"type": "AdamW", "lr": 1e-3, "weight_decay": 0.05},
    "constructor": "LearningRateDecayOptimWrapperConstructor",
    "paramwise_cfg": {
        "layer_decay_rate": 0.65, "norm_decay_mult": 0.0,
        "custom_keys": {".cls_token": {"decay_mult": 0.0}},
    },
}  # fmt: skip
SCHEDULERS = [
    {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 3},
    {"type": "CosineAnnealingLR", "eta_min": 1e-6, "begin": 1, "T_max": 4},
]


def small_vit():
    return classifier("VisionTransformer", 16, arch=PLAIN, img_size=32, patch_size=16)


def trained(folder, model, wrapper, *, schedulers=SCHEDULERS, epochs=3, hooks=(), train=None):
    """Train in `folder/work` with a checkpoint after each epoch, and return the config's file."""
    folder.mkdir(parents=True, exist_ok=True)
    config_of(model, folder)
    config = Config.fromfile(folder / "config.py")
    config.optim_wrapper = copy.deepcopy(wrapper)
    config.param_scheduler = copy.deepcopy(schedulers)
    config.train_cfg = train or {"by_epoch": True, "max_epochs": epochs}
    config.train_dataloader = {"batch_size": 2}
    if hooks:
        config.custom_hooks = list(hooks)
    config.dump(folder / "config.py")
    by_epoch = config.train_cfg["by_epoch"]
    saving = {"type": "CheckpointHook", "interval": 1, "by_epoch": by_epoch}
    runner = runner_of(
        Config.fromfile(folder / "config.py"),
        folder / "work",
        default_hooks={"checkpoint": saving, "logger": None},
        custom_hooks=list(hooks),
        cfg=Config.fromfile(folder / "config.py"),
    )
    runner.train()
    return folder / "config.py"


def settings_of(runner):
    """Parameter name -> lr, weight decay and the entries that the constructor attached."""
    names = {id(p): name for name, p in runner.model.named_parameters()}
    wrapper = runner.optim_wrapper
    wrappers = wrapper.values() if hasattr(wrapper, "values") else [wrapper]
    return {
        names[id(p)]: (group["lr"], group["weight_decay"], group.get("lr_scale"))
        for one in wrappers
        for group in one.optimizer.param_groups
        for p in group["params"]
    }

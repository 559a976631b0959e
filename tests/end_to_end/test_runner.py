"""A real `mmengine.Runner` after one step of training has the param groups of the plan."""

import pytest
from conftest import SAMPLES
from mmengine.config import Config
from mmengine.hooks import Hook
from runners import runner_of

import lldtool

#: Overrides that make a sample small enough to train for a step on a CPU.
SMALL = {
    "vit-base_layer-decay.py": {
        "model.backbone.arch": "deit-tiny", "model.backbone.img_size": 32,
        "model.head.in_channels": 192,
    },
    "vit-small_pure-python.py": {"model.backbone.img_size": 32},
    "convnext-tiny.py": {},
    "resnet50.py": {},
    "resnet50_lr-mult.py": {},
    "swin-tiny.py": {"optim_wrapper.type": "OptimWrapper", "model.backbone.pad_small_map": True},
}  # fmt: skip


class Seen(Hook):
    """Keeps the settings of the first step."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.groups = [dict(group) for group in runner.optim_wrapper.optimizer.param_groups]


@pytest.mark.parametrize("auto_scale_lr", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SMALL)
def test_the_running_runner_has_the_groups_of_the_plan(name, auto_scale_lr, tmp_path):
    options = dict(SMALL[name])
    if auto_scale_lr:
        options["auto_scale_lr"] = {"base_batch_size": 32, "enable": True}
        options["train_dataloader.batch_size"] = 2
    plan = lldtool.dry_run(
        SAMPLES / name, cfg_options=options, auto_scale_lr=auto_scale_lr, world_size=1
    )

    config = Config.fromfile(SAMPLES / name)
    config.merge_from_dict(options)
    seen = Seen()
    size = 32 if "vit" in name else 64
    runner = runner_of(
        config,
        tmp_path,
        size=size,
        custom_hooks=[seen],
        train_cfg={"by_epoch": True, "max_epochs": 1},
        param_scheduler=None,
        auto_scale_lr=config.get("auto_scale_lr", None) if auto_scale_lr else None,
    )
    runner.train()

    names = {id(p): n for n, p in runner.model.named_parameters()}
    running = {names[id(p)]: g for g in seen.groups for p in g["params"]}
    assert {p.name for p in plan.parameters} == running.keys()
    for p in plan.parameters:
        group = running[p.name]
        assert (p.lr, p.weight_decay) == (group["lr"], group["weight_decay"])
        assert p.layer_id == group.get("layer_id")
        if "lr_scale" in group:
            assert p.lr_scale == group["lr_scale"]

"""LLD510 legacy-option."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example

#: Option of OpenMMLab 0.x -> what mmengine has instead of it.
_NOW = {
    "optimizer": "optim_wrapper.optimizer",
    "optimizer_config": "optim_wrapper.clip_grad and accumulative_counts",
    "lr_config": "param_scheduler",
    "momentum_config": "param_scheduler",
    "runner": "train_cfg",
    "total_epochs": "train_cfg.max_epochs",
    "total_iters": "train_cfg.max_iters",
    "fp16": "AmpOptimWrapper as optim_wrapper.type",
    "data": "train_dataloader, val_dataloader and test_dataloader",
    "evaluation": "val_evaluator and train_cfg.val_interval",
    "checkpoint_config": "default_hooks.checkpoint",
    "log_config": "default_hooks.logger and visualizer",
    "workflow": "train_cfg.val_interval",
    "resume_from": "load_from with resume=True",
}


class LegacyOption(Rule):
    """An option of OpenMMLab 0.x stands at the top level of the config, and mmengine ignores it.

    mmengine's Runner takes the parts of the config that it knows and does not complain about
    others. A config that was moved from OpenMMLab 0.x, or that overrides `lr_config` of a base that
    has a `param_scheduler`, trains without what such an option says.

    - `optimizer = dict(…)` is `optim_wrapper = dict(optimizer=dict(…))`.
    - `optimizer_config = dict(grad_clip=dict(max_norm=5))` is
      `optim_wrapper = dict(clip_grad=dict(max_norm=5))`.
    - `lr_config = dict(policy='step', step=[30, 60])` is
      `param_scheduler = dict(type='MultiStepLR', milestones=[30, 60])`; other policies are
      `CosineAnnealingLR`, whose `eta_min` was `min_lr`, `PolyLR`, `ExponentialLR` and `OneCycleLR`.
    - `warmup='linear'`, `warmup_iters=500`, `warmup_ratio=0.1` are a first scheduler
      `dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=500)`.
    - `momentum_config` is a scheduler such as `CosineAnnealingMomentum`.
    - `runner = dict(type='EpochBasedRunner', max_epochs=100)` and `total_epochs = 100` are
      `train_cfg = dict(by_epoch=True, max_epochs=100)`; an `IterBasedRunner` and `total_iters` are
      `train_cfg = dict(by_epoch=False, max_iters=80000)`.
    - `fp16 = dict(loss_scale='dynamic')` is
      `optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic')`.
    - `data = dict(samples_per_gpu=32, workers_per_gpu=2, train=…)` is
      `train_dataloader = dict(batch_size=32, num_workers=2, dataset=…)`, likewise `val`, `test`.
    - `evaluation = dict(interval=5, metric='bbox')` is `train_cfg = dict(val_interval=5)` and a
      `val_evaluator`; `workflow` is `val_interval`, too.
    - `checkpoint_config = dict(interval=1)` and `log_config = dict(interval=50)` are
      `default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1),
      logger=dict(type='LoggerHook', interval=50))`.
    - `resume_from = 'x.pth'` is `load_from = 'x.pth'` with `resume = True`.

    It is not reported where the config uses the name itself, as in
    `optim_wrapper = dict(optimizer=optimizer)`. Move what is meant, and delete the option.
    """

    severity = Severity.warning
    passes = (
        Example(
            SGD,
            config={"train_cfg": {"by_epoch": True, "max_epochs": 40}, "data": "imagenet"},
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "lr_config": {"policy": "step", "step": [20]},
                "optimizer_config": {"grad_clip": None},
                "total_epochs": 40,
            },
        ),
        Example(SGD, config={"data": {"samples_per_gpu": 64}, "fp16": {"loss_scale": 512.0}}),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each of the options that the config has."""
        for option in subject.plan.legacy_options:
            yield self.diagnostic(
                f"mmengine ignores {option!r}, an option of OpenMMLab 0.x: use {_NOW[option]}",
                (option,),
            )

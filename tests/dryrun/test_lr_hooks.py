"""Hooks that set lrs: followed as a Runner calls them, or said to be unknown; never flat."""

import pytest
from captures import dry_run_schedule
from conftest import TINY_VIT, slow
from mmengine.config import Config
from mmengine.hooks import Hook
from runners import runner_of

import lldtool
from lldtool.config.request import Length, Request
from lldtool.errors import LldtoolError

MODULE = """
import numpy as np
from mmengine.hooks import Hook, ParamSchedulerHook
from mmengine.registry import HOOKS


def set_all(optimizer, lr):
    for group in optimizer.param_groups:
        group['lr'] = lr


@HOOKS.register_module(force=True)
class WarmsUpAndFalls(ParamSchedulerHook):
    # As detectors of the YOLO family do it: by iteration at first, by epoch later, and by group.
    def __init__(self, warmup_epochs=1):
        self.warmup_epochs = warmup_epochs

    def before_train(self, runner):
        for group in runner.optim_wrapper.optimizer.param_groups:
            group.setdefault('initial_lr', group['lr'])
        groups = runner.optim_wrapper.optimizer.param_groups
        self.base = [group['initial_lr'] for group in groups]

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        total = self.warmup_epochs * len(runner.train_dataloader)
        factor = 1 - runner.epoch / runner.max_epochs
        for i, group in enumerate(runner.optim_wrapper.optimizer.param_groups):
            if runner.iter <= total:
                start = 0.1 if i == 2 else 0.0
                group['lr'] = float(np.interp(runner.iter, [0, total], [start, self.base[i]]))
            else:
                group['lr'] = self.base[i] * factor

    def after_train_iter(self, runner, *args, **kwargs):
        pass

    def after_train_epoch(self, runner):
        pass


@HOOKS.register_module(force=True)
class StepsTwice(ParamSchedulerHook):
    def after_train_epoch(self, runner):
        for scheduler in runner.param_schedulers * 2:
            scheduler.step()


@HOOKS.register_module(force=True)
class SwaLr(Hook):
    # After some epochs every lr is one number.
    priority = 'VERY_LOW'

    def __init__(self, start, lr):
        self.start, self.lr = start, lr

    def before_train_epoch(self, runner):
        if runner.epoch >= self.start:
            self._freeze(runner)

    def _freeze(self, runner):
        set_all(runner.optim_wrapper.optimizer, self.lr)
        runner.param_schedulers = []


@HOOKS.register_module(force=True)
class Halves(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx == 1:
            for group in runner.optim_wrapper.param_groups:
                group['lr'] *= 0.5


@HOOKS.register_module(force=True)
class AtTheStart(Hook):
    def before_train(self, runner):
        set_all(runner.optim_wrapper.optimizer, 0.25)


@HOOKS.register_module(force=True)
class StepsNothing(Hook):
    pass


@HOOKS.register_module(force=True)
class ByLoss(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        for group in runner.optim_wrapper.param_groups:
            group['lr'] *= 0.5 if outputs['loss'] > 1 else 1


@HOOKS.register_module(force=True)
class ByMetric(Hook):
    def before_train_epoch(self, runner):
        if runner.val_loop.best < 1:
            set_all(runner.optim_wrapper.optimizer, 0.1)


@HOOKS.register_module(force=True)
class Reads(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        runner.val_loop.lr = runner.optim_wrapper.optimizer.param_groups[0]['lr']
"""
STEPS = "param_scheduler = dict(type='MultiStepLR', milestones=[2, 4], gamma=0.1)\n"
HOOKS = {
    "in the place of the scheduler": "default_hooks = dict(param_scheduler=dict("
    "type='WarmsUpAndFalls', warmup_epochs=2))\n",
    "of a scheduler's steps": f"{STEPS}default_hooks = dict(param_scheduler=dict("
    "type='StepsTwice'))\n",
    "beside schedulers": f"{STEPS}custom_hooks = [dict(type='SwaLr', start=3, lr=0.5)]\n",
    "after the steps": f"{STEPS}custom_hooks = [dict(type='Halves', priority='LOWEST')]\n",
    "several": f"{STEPS}custom_hooks = [dict(type='SwaLr', start=3, lr=0.5), "
    "dict(type='Halves')]\n",
}
BY_EPOCH = "train_cfg = dict(by_epoch=True, max_epochs=5)\n"
BY_ITERATION = "train_cfg = dict(by_epoch=False, max_iters=9)\n"


class Seen(Hook):
    priority = "LOWEST"

    def __init__(self):
        self.steps = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        groups = runner.optim_wrapper.optimizer.param_groups
        self.steps.append({group["param_name"]: group["lr"] for group in groups})


def _config(tmp_path, monkeypatch, text):
    (tmp_path / "lr_setting_hooks.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "config.py"
    path.write_text(f"{TINY_VIT}\ncustom_imports = dict(imports=['lr_setting_hooks'])\n{text}")
    return path


def _made(path, epoch_length=3):
    return dry_run_schedule(Request(path, str(path), world_size=1), Length(epoch_length))


@pytest.mark.parametrize("loop", [BY_EPOCH, slow(BY_ITERATION)])
@pytest.mark.parametrize("kind", HOOKS)
def test_every_lr_is_that_of_a_training_runner(tmp_path, monkeypatch, kind, loop):
    path = _config(tmp_path, monkeypatch, loop + HOOKS[kind])
    made, seen, config = _made(path), Seen(), Config.fromfile(path)
    hooks = {"checkpoint": None, "sampler_seed": None, "logger": None}
    runner = runner_of(
        config, tmp_path / "work", epoch_length=3,
        custom_hooks=[*config.get("custom_hooks", ()), seen],
        default_hooks={**hooks, **config.get("default_hooks", {})},
    )  # fmt: skip
    runner.train()
    mine = {name: curve.lrs for curve in made.curves for name in curve.parameters}
    assert len(seen.steps) == made.steps
    for step, expected in enumerate(seen.steps):
        assert {name: lrs[step] for name, lrs in mine.items()} == expected


@pytest.mark.parametrize("name", ["ByLoss", "ByMetric"])
def test_a_hook_that_needs_a_training_leaves_the_curve_unknown(tmp_path, monkeypatch, name):
    path = _config(tmp_path, monkeypatch, f"{BY_EPOCH}custom_hooks = [dict(type='{name}')]\n")
    with pytest.raises(LldtoolError, match=rf"{name}\.\w+ may change the lr and .* not known"):
        _made(path)
    assert lldtool.dry_run(path).parameters


def test_a_hook_that_reads_lrs_is_not_called(tmp_path, monkeypatch):
    path = _config(tmp_path, monkeypatch, f"{BY_EPOCH}custom_hooks = [dict(type='Reads')]\n")
    assert not any("Reads" in note for note in _made(path).notes)


def test_the_hooks_that_were_called_are_named(tmp_path, monkeypatch):
    path = _config(tmp_path, monkeypatch, BY_EPOCH + HOOKS["several"])
    assert "Halves, SwaLr set lrs, called on a runner without data" in _made(path).notes


def test_a_plan_says_which_hook_changes_groups_before_the_first_step(tmp_path, monkeypatch):
    path = _config(tmp_path, monkeypatch, f"{BY_EPOCH}custom_hooks = [dict(type='AtTheStart')]\n")
    note = "AtTheStart.before_train changes param groups, which is not followed"
    assert note in lldtool.dry_run(path).notes
    made = _made(path)
    assert note not in made.plan.notes
    assert {curve.lrs[0] for curve in made.curves} == {0.25}


def test_a_hook_in_the_place_of_mmengines_that_steps_nothing_is_called(tmp_path, monkeypatch):
    hooks = "default_hooks = dict(param_scheduler=dict(type='StepsNothing'))\n"
    made = _made(_config(tmp_path, monkeypatch, BY_EPOCH + STEPS + hooks))
    assert all(curve.highest == curve.lowest for curve in made.curves)

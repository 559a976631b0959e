"""Schedules against the schedulers that mmengine's own Runner builds and steps."""

import json

import pytest

from tests.conftest import TINY_VIT

COSINE = """
train_cfg = dict(by_epoch=True, max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-4, begin=2)]
"""
OTHERS = {
    "step": "dict(type='MultiStepLR', milestones=[2, 4], gamma=0.1)",
    "poly by iteration": "dict(type='PolyLR', eta_min=1e-5, power=0.9, by_epoch=False)",
    "exponential": "dict(type='ExponentialLR', gamma=0.9)",
    "one cycle": "dict(type='OneCycleLR', eta_max=1e-3, total_steps=30, by_epoch=False)",
    "momentum": "[dict(type='StepLR', step_size=2), dict(type='CosineAnnealingMomentum', T_max=6)]",
    "overlapping": "[dict(type='ConstantLR', factor=0.5, end=3), dict(type='StepLR', step_size=2)]",
}


def _config(tmp_path, text):
    path = tmp_path / "config.py"
    path.write_text(TINY_VIT + text)
    return path


def _schedule(cli, *arguments):
    result = cli("schedule", *arguments, "--format", "json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def _by_parameter(content):
    return {p: layer["lr"] for layer in content["layers"] for p in layer["parameters"]}


def _of_runner(path, epoch_length, epochs):
    """Parameter -> lr at the beginning of each epoch, stepped as a Runner's hook does."""
    from mmengine.config import Config
    from mmengine.hooks import ParamSchedulerHook
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import DefaultScope
    from mmengine.runner import BaseLoop, Runner

    class Loop(BaseLoop):
        def __init__(self):
            pass

        def run(self):
            pass

        max_epochs, max_iters = epochs, epochs * epoch_length

    from mmpretrain.registry import MODELS

    config = Config.fromfile(path)
    runner = Runner.__new__(Runner)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build(config.model)
        runner.optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
        runner._train_loop = Loop()
        runner._train_loop.dataloader = runner._train_dataloader = [None] * epoch_length
        runner.logger = __import__("logging").getLogger("none")
        runner.param_schedulers = runner.build_param_scheduler(config.param_scheduler)
    hook, optimizer = ParamSchedulerHook(), runner.optim_wrapper.optimizer
    seen = []
    for _ in range(epochs):
        seen.append({g["param_name"]: g["lr"] for g in optimizer.param_groups})
        for batch in range(epoch_length):
            optimizer.step()
            hook.after_train_iter(runner, batch)
        hook.after_train_epoch(runner)
    return seen


@pytest.mark.parametrize("kind", ["cosine", *OTHERS])
def test_every_lr_is_that_of_a_runners_schedulers(tmp_path, cli, kind):
    text = COSINE
    if kind != "cosine":
        text = f"\ntrain_cfg = dict(by_epoch=True, max_epochs=6)\nparam_scheduler = {OTHERS[kind]}"
    path = _config(tmp_path, text)
    content = _schedule(cli, path, "--epoch-length", 5, "--at", "0,1,2,3,4,5")
    mine = _by_parameter(content)
    for epoch, expected in enumerate(_of_runner(path, 5, 6)):
        assert {name: lrs[f"at {epoch}"] for name, lrs in mine.items()} == expected


def test_distinct_groups_come_to_what_all_groups_come_to(tmp_path):
    from lldtool.dryrun.schedule import Length, dry_run_schedule
    from lldtool.request import Request

    request = Request(_config(tmp_path, COSINE), "config.py")
    few = dry_run_schedule(request, Length(epoch_length=5))
    all_groups = dry_run_schedule(request, Length(epoch_length=5), all_groups=True)
    courses = [(c.name, c.parameters, list(c.lrs)) for c in few.courses]
    assert courses == [(c.name, c.parameters, list(c.lrs)) for c in all_groups.courses]


def test_layers_below_the_floor_are_marked_as_rising(tmp_path, cli):
    content = _schedule(cli, _config(tmp_path, COSINE), "--epoch-length", 5)
    rising = [layer for layer in content["layers"] if layer["rises"]]
    assert rising
    assert all(layer["configured_lr"] < 1e-4 for layer in rising)
    assert any("eta_min 1.00e-4 of CosineAnnealingLR" in note for note in content["notes"])


def test_layers_that_end_at_the_floor_are_marked_as_one(tmp_path, cli):
    path = _config(tmp_path, COSINE)
    content = _schedule(cli, path, "--epoch-length", 5, "--epochs", 60)
    assert all(layer["converges"] for layer in content["layers"])
    ratio = COSINE.replace("eta_min=1e-4", "eta_min_ratio=0.1")
    content = _schedule(cli, _config(tmp_path, ratio), "--epoch-length", 5, "--epochs", 60)
    assert not any(layer["converges"] or layer["rises"] for layer in content["layers"])


def test_by_epoch_schedules_need_no_epoch_length_and_others_say_so(tmp_path, cli):
    by_epoch = COSINE.replace(", convert_to_iter_based=True", "")
    assert _schedule(cli, _config(tmp_path, by_epoch))["unit"] == "epoch"
    result = cli("schedule", _config(tmp_path, COSINE))
    assert result.code == 2
    assert "--epoch-length N says it" in result.err


def test_dataset_size_counts_batches_on_each_gpu(tmp_path, cli):
    loader = "\ntrain_dataloader = dict(batch_size=8)"
    path = _config(tmp_path, COSINE + loader)
    assert _schedule(cli, path, "--dataset-size", 100, "--world-size", 2)["epoch_length"] == 7


@pytest.mark.parametrize("form", ["table", "csv", "markdown"])
def test_other_formats_show_every_layer(tmp_path, cli, form):
    path = _config(tmp_path, COSINE)
    result = cli("schedule", path, "--epoch-length", 5, "--format", form)
    assert result.code == 0
    if form == "table":
        assert max(map(len, result.out.splitlines())) <= 80
        assert "↑" in result.out
    if form == "csv":
        assert len(result.out.splitlines()) == 1 + 14 * 30

"""The hooks in real Runners, of one process and of two."""

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
import states
from captures import dry_run_schedule
from conftest import ROOT, SAMPLES, TINY_VIT, settings
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import MODEL_WRAPPERS
from runners import BATCH_SIZE, runner_of, two_optimizers
from torch import nn
from torch.utils.data import DataLoader

import lldtool
from lldtool.config.request import Length, Request
from lldtool.dryrun.runner_plan import plan_of_runner
from lldtool.hooks import LayerLrHook, PlanGuardHook
from lldtool.plan import plan_to_json

SCHEDULE = """
train_cfg = dict(by_epoch=True, max_epochs=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=1)]
"""
SCALED = f"""
auto_scale_lr = dict(base_batch_size={BATCH_SIZE}, enable=True)
train_dataloader = dict(batch_size={BATCH_SIZE})
"""
#: As a script it trains a config with a plan to guard, one of two processes.
TRAIN = """
import sys
sys.path[:0] = ["tests", "."]
import torch.distributed
torch.distributed.init_process_group("gloo")
from mmengine.config import Config
from runners import runner_of
config, work_dir, plan = sys.argv[1:]
wrapper = dict(type="MMDistributedDataParallel", device_ids=None)
hooks = [dict(type="LayerLrHook"), dict(type="PlanGuardHook", plan=plan)]
import lldtool.hooks
config = Config.fromfile(config)
runner_of(
    config, work_dir, logged=True, custom_hooks=hooks, launcher="pytorch",
    cfg=dict(model_wrapper_cfg=wrapper), experiment_name="two",
).train()
print("trained")
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(TINY_VIT + SCHEDULE)
    return path


def train(path, tmp_path, *hooks, **changes):
    runner = runner_of(
        Config.fromfile(path), tmp_path / "work", epoch_length=3, logged=True,
        custom_hooks=list(hooks), log_level="INFO", **changes,
    )  # fmt: skip
    runner.train()
    return runner


def scalars(tmp_path):
    (log,) = (tmp_path / "work").glob("*/vis_data/scalars.json")
    return [json.loads(line) for line in log.read_text().splitlines()]


def logged(tmp_path):
    (log,) = (tmp_path / "work").glob("*/*.log")
    return log.read_text()


def saved(plan, tmp_path):
    (tmp_path / "plan.json").write_text(plan_to_json(plan))
    return tmp_path / "plan.json"


# LayerLrHook


def test_the_lr_of_four_layers_is_logged_as_the_schedule_has_it(config, tmp_path):
    train(config, tmp_path, LayerLrHook())
    made = dry_run_schedule(Request(config, "config.py"), Length(epoch_length=3))
    expected = {"stem_lr": 0, "middle_lr": 6, "last_block_lr": 12, "head_lr": 13}
    steps = scalars(tmp_path)
    assert len(steps) == 6
    for name, layer in expected.items():
        assert [step[name] for step in steps] == list(made.curves[layer].lrs)
    line = next(line for line in logged(tmp_path).splitlines() if "Epoch(train) [2][3/3]" in line)
    assert re.search(r" stem_lr: \d\.\d{4}e-\d\d middle_lr: ", line)


def test_the_lr_of_every_layer_is_logged_when_asked_for(config, tmp_path):
    train(config, tmp_path, LayerLrHook(layers="all"))
    made = dry_run_schedule(Request(config, "config.py"), Length(epoch_length=3))
    for curve in made.curves:
        name = f"layer_{curve.layer_id:02}_lr"
        assert [step[name] for step in scalars(tmp_path)] == list(curve.lrs)


def test_a_frozen_stem_is_not_called_the_stem(config, tmp_path):
    config.write_text(config.read_text().replace("'deit-tiny'", "'deit-tiny', frozen_stages=3"))
    train(config, tmp_path, LayerLrHook())
    made = dry_run_schedule(Request(config, "config.py"), Length(epoch_length=3))
    lrs = {curve.layer_id: list(curve.lrs) for curve in made.curves}
    names = {4: "layer_04_lr", 8: "middle_lr", 12: "last_block_lr", 13: "head_lr"}
    steps = scalars(tmp_path)
    assert {name for name in steps[0] if name.endswith("_lr")} == {*names.values(), "base_lr"}
    for layer, name in names.items():
        assert [step[name] for step in steps] == lrs[layer]


def test_without_layers_modules_are_logged(tmp_path):
    config = Config.fromfile(SAMPLES / "resnet50_lr-mult.py")
    config.pop("param_scheduler")
    changes = {"train_cfg": {"by_epoch": True, "max_epochs": 1}, "size": 64}
    runner_of(
        config, tmp_path / "work", logged=True, custom_hooks=[LayerLrHook()], **changes
    ).train()
    step = scalars(tmp_path)[0]
    lrs = {name: step[name] for name in ("backbone_lr", "backbone_part2_lr", "head_lr")}
    assert lrs == {"backbone_lr": 0.1 * 0.1, "backbone_part2_lr": 0.1, "head_lr": 0.1 * 10}


# PlanGuardHook


def test_the_training_of_the_plan_goes_on(config, tmp_path):
    plan = saved(lldtool.dry_run(config), tmp_path)
    train(config, tmp_path, PlanGuardHook(plan))
    assert "the optimizer is that of the plan, 152 parameters" in logged(tmp_path)
    assert len(scalars(tmp_path)) == 6


OTHERS = {
    "layer_decay_rate=0.75": ("layer_decay_rate=0.7", "lr differs in 13 of 14 layers"),
    "weight_decay=0.05": ("weight_decay=0.1", "weight decay differs for 152 of 152 parameters"),
    "type='AdamW'": ("type='Adam'", "2 entries of model, optimizer or wrapper differ"),
    "arch='deit-tiny'": ("arch='deit-tiny', frozen_stages=1", "tensors trained → frozen"),
}


@pytest.mark.parametrize("old", OTHERS)
def test_another_training_is_stopped_before_its_first_step(config, tmp_path, old):
    plan = saved(lldtool.dry_run(config), tmp_path)
    new, said = OTHERS[old]
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(
        lldtool.LldtoolError, match="the optimizer is not that of the plan"
    ) as error:
        train(config, tmp_path, PlanGuardHook(plan))
    assert said in str(error.value)
    assert "− A" in logged(tmp_path)
    assert not list((tmp_path / "work").glob("*/vis_data/scalars.json"))


def test_it_only_warns_if_told_so(config, tmp_path):
    plan = lldtool.dry_run(config)
    first = replace(plan.parameters[0], lr=1.0)
    file = saved(replace(plan, parameters=(first, *plan.parameters[1:])), tmp_path)
    train(config, tmp_path, PlanGuardHook(str(file), action="warn"))
    assert "lr differs in 1 of 14 layers" in logged(tmp_path)
    assert len(scalars(tmp_path)) == 6


def test_a_scheduler_that_replaces_lrs_is_told(config, tmp_path):
    config.write_text(
        TINY_VIT + "train_cfg = dict(by_epoch=True, max_epochs=2)\n"
        "param_scheduler = dict(type='OneCycleLR', eta_max=1e-3, total_steps=6, by_epoch=False)"
    )
    plan = saved(lldtool.dry_run(config), tmp_path)
    train(config, tmp_path, PlanGuardHook(plan))
    assert "lr is not compared" in logged(tmp_path)


SCHEDULES = {
    "eta_min=1e-5": ("eta_min=1e-6", "eta_min of CosineAnnealingLR 1e-5 → 1e-6"),
    "start_factor=1e-3": ("start_factor=1e-2", "start_factor of LinearLR 0.001 → 0.01"),
    "max_epochs=2": ("max_epochs=4", "2 epochs → 4 epochs"),
    "'CosineAnnealingLR', eta_min=1e-5": ("'ConstantLR'", "CosineAnnealingLR → LinearLR, Const"),
}


@pytest.mark.parametrize("old", SCHEDULES)
def test_a_training_with_another_schedule_is_stopped(config, tmp_path, old):
    plan = saved(lldtool.dry_run(config), tmp_path)
    new, said = SCHEDULES[old]
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(lldtool.LldtoolError, match="the schedule is not that of the plan") as error:
        train(config, tmp_path, PlanGuardHook(plan))
    assert said in str(error.value)
    assert not list((tmp_path / "work").glob("*/vis_data/scalars.json"))


class Doubles(Hook):
    """Doubles the lr of the head in the second epoch."""

    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            runner.optim_wrapper.param_groups[-2]["lr"] *= 2


@pytest.mark.parametrize("length", [3, None])
def test_an_lr_that_leaves_the_curve_of_the_plan_stops_the_training(config, tmp_path, length):
    plan = saved(lldtool.dry_run(config, epoch_length=length, curves=True), tmp_path)
    train(config, tmp_path, PlanGuardHook(plan))
    assert "and so is the schedule" in logged(tmp_path)
    with pytest.raises(lldtool.LldtoolError, match="the lr is not that of the plan in epoch 1: lr"):
        train(config, tmp_path, Doubles(), PlanGuardHook(plan))


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(LayerLrHook, {"layers": "some"}), (PlanGuardHook, {"plan": "x.json", "action": "go"})],
)
def test_a_wrong_argument_is_an_error_at_once(kind, arguments):
    with pytest.raises(ValueError, match="and neither"):
        kind(**arguments)


def test_a_missing_plan_is_an_error_at_once():
    with pytest.raises(lldtool.LldtoolError, match=r"no-such\.json: can't read the plan"):
        PlanGuardHook("no-such.json")


def test_hooks_come_from_a_config(config, tmp_path, cli):
    config.write_text(
        f"{config.read_text()}\ncustom_imports = dict(imports=['lldtool.hooks'])\n"
        "custom_hooks = [dict(type='LayerLrHook')]\n"
    )
    assert cli("inspect", config).code == 0
    read = Config.fromfile(config)
    train(config, tmp_path, *read.custom_hooks)
    assert "head_lr" in scalars(tmp_path)[0]


ALIASED = """
from mmengine.registry import OPTIMIZERS
from torch.optim import AdamW
if 'Aliased' not in OPTIMIZERS.module_dict:
    OPTIMIZERS.register_module('Aliased', module=AdamW)
"""


def test_what_is_frozen_in_its_group_and_a_name_of_the_registry_are_as_in_the_plan(
    config, tmp_path, monkeypatch
):
    (tmp_path / "aliased.py").write_text(ALIASED)
    monkeypatch.syspath_prepend(tmp_path)
    text = config.read_text().replace("arch='deit-tiny'", "arch='deit-tiny', frozen_stages=2")
    text = text.replace("LearningRateDecayOptim", "DefaultOptim").replace("'AdamW'", "'Aliased'")
    text = text.replace("paramwise_cfg=dict(layer_decay_rate=0.75)", "")
    config.write_text(text + "\ncustom_imports = dict(imports=['aliased'])")
    plan = lldtool.dry_run(config)
    assert any("frozen" in p.traits for p in plan.parameters)
    train(config, tmp_path, PlanGuardHook(saved(plan, tmp_path)))
    assert "the optimizer is that of the plan" in logged(tmp_path)
    config.write_text(config.read_text().replace("frozen_stages=2", "frozen_stages=0"))
    with pytest.raises(lldtool.LldtoolError, match="28 tensors frozen → trained"):
        train(config, tmp_path, PlanGuardHook(tmp_path / "plan.json"))


def test_a_training_with_several_optimizers_is_compared(tmp_path, monkeypatch):
    path = two_optimizers(tmp_path, monkeypatch)
    plan = lldtool.dry_run(path)
    hooks = [PlanGuardHook(saved(plan, tmp_path)), LayerLrHook()]
    train(path, tmp_path, *hooks, train_dataloader=DataLoader([1.0, 2.0]))
    assert "the optimizer is that of the plan, 4 parameters" in logged(tmp_path)
    step = scalars(tmp_path)[0]
    assert (step["gen_lr"], step["module_1_lr"]) == (1e-3, 0.1)
    first = replace(plan.parameters[0], lr=1.0)
    saved(replace(plan, parameters=(first, *plan.parameters[1:])), tmp_path)
    with pytest.raises(lldtool.LldtoolError, match="lr differs"):
        train(
            path, tmp_path, PlanGuardHook(tmp_path / "plan.json"),
            train_dataloader=DataLoader([1.0, 2.0]),
        )  # fmt: skip


def test_modules_that_are_wrapped_one_by_one_keep_their_names(config, tmp_path):
    plan = lldtool.dry_run(config)
    runner = runner_of(Config.fromfile(config), tmp_path / "work")
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.model.backbone = BaseDataParallelLike(runner.model.backbone)
    running = plan_of_runner(runner)
    assert "backbone.module.cls_token" in dict(runner.model.named_parameters())
    assert settings(running) == settings(plan)


@MODEL_WRAPPERS.register_module()
class BaseDataParallelLike(nn.Module):
    """What MMSeparateDistributedDataParallel does to each module."""

    def __init__(self, module):
        super().__init__()
        self.module = module


# Two processes


def in_two_processes(config, tmp_path, plan):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", TRAIN, config, tmp_path / "work", plan],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, **common, "RANK": rank, "LOCAL_RANK": rank, "OMP_NUM_THREADS": "1"},
        )
        for rank in ("0", "1")
    ]  # fmt: skip
    return [(*process.communicate(timeout=300), process.returncode) for process in processes]


@pytest.mark.slow
def test_two_processes_train_by_a_plan_made_for_two(config, tmp_path):
    config.write_text(config.read_text() + SCALED)
    plan = saved(lldtool.dry_run(config, world_size=2), tmp_path)
    for out, err, code in in_two_processes(config, tmp_path, plan):
        assert (code, "trained" in out) == (0, True), err
    steps = scalars(tmp_path)
    made = dry_run_schedule(Request(config, "x", world_size=2), Length(epoch_length=2))
    assert [step["head_lr"] for step in steps] == list(made.curves[-1].lrs)


@pytest.mark.slow
def test_two_processes_are_told_which_factor_explains_the_difference(config, tmp_path):
    config.write_text(config.read_text() + SCALED)
    plan = saved(lldtool.dry_run(config, world_size=1), tmp_path)
    for out, err, code in in_two_processes(config, tmp_path, plan):
        assert (code, "trained" in out) == (1, False)
        assert "auto_scale_lr explains it: every lr is × 2, as training multiplies by 2" in err
        assert "LldtoolError" in err


@pytest.mark.parametrize("name", ["train", "stages", "norms"])
def test_a_training_in_which_other_parameters_train_is_stopped(name, tmp_path, monkeypatch):
    path = states.write(tmp_path, monkeypatch, name)
    plan = lldtool.dry_run(path)
    config = Config.fromfile(path)
    arguments = {"size": 32 if name == "train" else 64, "log_level": "INFO"}
    guard = PlanGuardHook(saved(plan, tmp_path))
    runner_of(config, tmp_path / "same", custom_hooks=[guard], **arguments).train()
    frozen = tuple(replace(p, state="trained") for p in plan.parameters)
    guard = PlanGuardHook(saved(replace(plan, parameters=frozen), tmp_path))
    config = Config.fromfile(path)
    with pytest.raises(lldtool.LldtoolError, match="tensors trained → frozen"):
        runner_of(config, tmp_path / "other", custom_hooks=[guard], **arguments).train()

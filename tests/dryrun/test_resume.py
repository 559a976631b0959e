"""What lldtool says of a resumed training, against a Runner that resumes and trains."""

import sys
from functools import partial

import pytest
import torch
from conftest import TINY_VIT, slow
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper
from resuming import (
    COSINE,
    LENGTH,
    announced,
    assert_announced,
    changed,
    save,
    train_resumed,
    written,
)
from runners import runner_of, two_optimizers

from lldtool.errors import LldtoolError

OLD = TINY_VIT + COSINE
#: What is changed in the config, and which of the changes have no effect.
CHANGES = {
    "nothing": ((), []),
    "lr": ([("lr=1e-3", "lr=5e-4")], ["optim_wrapper.optimizer.lr"]),
    "decay rate": (
        [("layer_decay_rate=0.75", "layer_decay_rate=0.5")],
        ["optim_wrapper.paramwise_cfg.layer_decay_rate"],
    ),
    "weight decay": ([("weight_decay=0.05", "weight_decay=0.1")],
                     ["optim_wrapper.optimizer.weight_decay"]),
    "betas": ([("lr=1e-3,", "lr=1e-3, betas=(0.9, 0.95),")], ["optim_wrapper.optimizer.betas"]),
    "more epochs": ([("max_epochs=6", "max_epochs=9")], []),
    "fewer epochs": ([("max_epochs=6", "max_epochs=5")], []),
    "T_max": ([("begin=2)", "begin=2, T_max=7)")], ["param_scheduler.1.T_max"]),
    "all of them": (
        [("lr=1e-3", "lr=5e-4"), ("layer_decay_rate=0.75", "layer_decay_rate=0.5"),
         ("max_epochs=6", "max_epochs=8"), ("eta_min=1e-6, begin=2", "begin=2, T_max=9")],
        ["optim_wrapper.optimizer.lr", "optim_wrapper.paramwise_cfg.layer_decay_rate",
         "param_scheduler.1.T_max", "param_scheduler.1.eta_min"],
    ),
    "clipping": ([("optim_wrapper = dict(", "optim_wrapper = dict(clip_grad=dict(max_norm=1),")],
                 []),
    "no warm-up": (
        [("dict(type='LinearLR', start_factor=1e-3, end=2, convert_to_iter_based=True),", "")], [],
    ),
    "steps for a cosine": ([("CosineAnnealingLR', eta_min=1e-6", "MultiStepLR', milestones=[5]")],
                           []),
    "another scheduler before": (
        [("param_scheduler = [", "param_scheduler = [dict(type='ConstantLR', factor=0.5, end=4),")],
        [],
    ),
    "another scheduler after": (
        [("begin=2)]", "begin=2), dict(type='StepLR', step_size=1)]")], [],
    ),
    "no schedulers": ([("param_scheduler", "another_entry")], []),
}  # fmt: skip
QUICK = {"nothing", "all of them", "no warm-up", "another scheduler after"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("resumed")


@pytest.fixture(scope="module")
def checkpoint(folder):
    return save(written(folder, "old.py", OLD), folder)


@pytest.fixture(autouse=True)
def _torch_loads_checkpoints(monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")


def with_changes(text, changes):
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("name", [name if name in QUICK else slow(name) for name in CHANGES])
def test_every_lr_after_resuming_is_that_of_a_resumed_runner(name, checkpoint, tmp_path):
    changes, without_effect = CHANGES[name]
    path = written(tmp_path, "new.py", with_changes(OLD, changes))
    found = announced(path, checkpoint)
    assert_announced(found, train_resumed(path, checkpoint, tmp_path))
    assert [change.key for change in found.without_effect] == without_effect


RESNET = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=64))
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0))
"""
SWIN = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='SwinTransformer', arch=dict(embed_dims=8, depths=[1, 2], num_heads=[2, 2]),
        img_size=32, window_size=4, out_indices=[1]),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=16))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))
"""
STEPS = """
train_cfg = dict(by_epoch=True, max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=5),
    dict(type='MultiStepLR', milestones=[4, 5])]
"""
BY_ITERATION = """
train_cfg = dict(by_epoch=False, max_iters=20)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=5),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=5, T_max=15),
    dict(type='LinearMomentum', start_factor=0.5, by_epoch=False, end=12)]
"""
ONE_CYCLE = """
train_cfg = dict(by_epoch=True, max_epochs=6)
param_scheduler = dict(type='OneCycleLR', eta_max=0.1, total_steps=18, by_epoch=False)
"""
MULTI_STEP = """
train_cfg = dict(by_epoch=True, max_epochs=2)
param_scheduler = dict(type='MultiStepLR', milestones=[1, 3], gamma=0.3)
"""
OTHERS = """
train_cfg = dict(by_epoch=True, max_epochs=6)
param_scheduler = [
    dict(type='CosineRestartLR', periods=[2, 4], restart_weights=[1, 0.5], eta_min_ratio=0.1),
    dict(type='ReduceOnPlateauLR', patience=0), dict(type='PolyLR', power=0.9, eta_min=1e-5),
    dict(type='CosineAnnealingParamScheduler', param_name='weight_decay', eta_min=0.001)]
"""
#: Model, schedule, when the checkpoint is saved, changes.
TRAININGS = {
    "resnet": (RESNET + STEPS, {}, [("lr=0.1", "lr=0.02"), ("momentum=0.9", "momentum=0.8")]),
    "resnet by iterations": (RESNET + BY_ITERATION, {"iterations": 7},
                             [("max_iters=20", "max_iters=30"), ("T_max=15", "T_max=25")]),
    "resnet in warm-up": (RESNET + STEPS, {"epochs": 1}, [("lr=0.1", "lr=0.02")]),
    "resnet by one cycle": (RESNET + ONE_CYCLE, {}, [("eta_max=0.1", "eta_max=0.2")]),
    # A cycle of 12 steps would be too short from the start, but takes over a schedule that is over.
    "resnet, one cycle for steps": (
        RESNET + MULTI_STEP, {"epochs": 2},
        [("max_epochs=2", "max_epochs=5"), ("MultiStepLR', milestones=[1, 3], gamma=0.3",
          "OneCycleLR', eta_max=0.01, total_steps=12, by_epoch=False")],
    ),
    "resnet by others": (RESNET + OTHERS, {}, [("lr=0.1", "lr=0.02"), ("0.9, eta", "2, eta")]),
    "resnet, others exchanged": (RESNET + OTHERS, {},
                                 [("PolyLR', power=0.9, eta_min=1e-5", "LinearLR', end=5")]),
    "swin": (SWIN + COSINE, {}, [("lr=1e-3", "lr=5e-4"), ("max_epochs=6", "max_epochs=4")]),
    "swin within an epoch": (SWIN + STEPS, {"iterations": 8}, []),
    "swin by more epochs": (SWIN + COSINE, {"epochs": 6}, [("max_epochs=6", "max_epochs=8")]),
}  # fmt: skip
QUICK_TRAININGS = {"resnet", "resnet by iterations", "swin within an epoch"}


@pytest.mark.parametrize(
    "name", [name if name in QUICK_TRAININGS else slow(name) for name in TRAININGS]
)
def test_every_lr_of_other_trainings_is_that_of_a_resumed_runner(name, tmp_path):
    text, saved, changes = TRAININGS[name]
    # mmengine's loop by iterations sleeps between two epochs.
    length = {"epoch_length": 40 if "by iterations" in name else LENGTH}
    checkpoint = save(written(tmp_path, "old.py", text), tmp_path, **saved, **length)
    path = written(tmp_path, "new.py", with_changes(text, changes))
    steps = train_resumed(path, checkpoint, tmp_path, **length)
    assert_announced(announced(path, checkpoint, **length), steps)


@pytest.mark.parametrize("text", [OLD, slow(TINY_VIT + STEPS)])
def test_epochs_of_another_length_are_followed(text, tmp_path):
    checkpoint = save(written(tmp_path, "old.py", text), tmp_path, epoch_length=4)
    path = tmp_path / "old.py"
    found = announced(path, checkpoint, epoch_length=2)
    assert_announced(found, train_resumed(path, checkpoint, tmp_path, epoch_length=2))
    assert "other-epoch-length" in codes(found)


@pytest.mark.slow
def test_iterations_are_followed_by_epochs(tmp_path):
    old = written(tmp_path, "old.py", RESNET + BY_ITERATION)
    checkpoint = save(old, tmp_path, iterations=7, epoch_length=40)
    path = written(tmp_path, "new.py", RESNET + STEPS)
    found = announced(path, checkpoint)
    assert_announced(found, train_resumed(path, checkpoint, tmp_path))
    assert codes(found) == ["other-schedulers", "other-loop"]


def codes(found):
    return [problem.code for problem in found.problems]


TWO_SCHEDULES = """
train_cfg = dict(by_epoch=True, max_epochs=6)
param_scheduler = dict(
    gen=[dict(type='StepLR', step_size=2)],
    dis=[dict(type='LinearLR', end=4), dict(type='CosineAnnealingLR', T_max=6)])
"""


def test_two_optimizers_are_resumed_each(tmp_path, monkeypatch):
    path = two_optimizers(tmp_path, monkeypatch, TWO_SCHEDULES)
    checkpoint = save(path, tmp_path)
    changes = [("T_max=6", "T_max=9"), ("step_size=2", "step_size=3"), ("'StepLR'", "'StepLR'")]
    path = written(tmp_path, "new.py", with_changes(path.read_text(), changes))
    found = announced(path, checkpoint)
    assert_announced(found, train_resumed(path, checkpoint, tmp_path))
    assert [change.key for change in found.without_effect] == [
        "param_scheduler.gen.0.step_size", "param_scheduler.dis.1.T_max",
    ]  # fmt: skip
    assert not found.problems


def test_the_state_of_a_loss_scaler_is_resumed(tmp_path, monkeypatch):
    module = sys.modules[AmpOptimWrapper.__module__]
    monkeypatch.setattr(module, "is_cuda_available", lambda: True)
    monkeypatch.setattr(module, "GradScaler", partial(torch.amp.GradScaler, "cpu"))
    amp = "optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', "
    text = with_changes(OLD, [("optim_wrapper = dict(", amp)])
    checkpoint = save(written(tmp_path, "old.py", text), tmp_path)
    path = written(tmp_path, "new.py", text)
    steps = train_resumed(path, checkpoint, tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    assert_announced(announced(path, checkpoint), steps)
    path = written(tmp_path, "plain.py", OLD)  # the scaler's state is dropped
    steps = train_resumed(path, checkpoint, tmp_path)
    assert_announced(announced(path, checkpoint), steps)


EMA = "custom_hooks = [dict(type='EMAHook')]\n"


def test_averaged_weights_are_resumed_with_their_hook_only(tmp_path):
    old = written(tmp_path, "old.py", OLD + EMA)
    checkpoint = save(old, tmp_path, custom_hooks=[{"type": "EMAHook"}])
    found = announced(old, checkpoint)
    steps = train_resumed(old, checkpoint, tmp_path, custom_hooks=[{"type": "EMAHook"}])
    assert_announced(found, steps)
    assert not found.problems
    raw, average = (
        torch.load(checkpoint, weights_only=False)[key] for key in ("ema_state_dict", "state_dict")
    )
    weight = "head.fc.weight"
    assert not torch.equal(raw[f"module.{weight}"], average[weight])

    def first_weight(path, **hooks):
        runner = runner_of(
            Config.fromfile(path), tmp_path / path.stem, load_from=str(checkpoint), resume=True,
            **hooks,
        )  # fmt: skip
        runner.call_hook("before_run")
        runner.load_or_resume()
        return dict(runner.model.named_parameters())[weight].detach()

    without = written(tmp_path, "without.py", OLD)
    assert codes(announced(without, checkpoint)) == ["ema-lost"]
    assert torch.equal(first_weight(without), average[weight])
    hooks = {"custom_hooks": [{"type": "EMAHook"}]}
    assert torch.equal(first_weight(old, **hooks), raw[f"module.{weight}"])


#: What makes resuming impossible -> what is said, what a Runner raises.
REFUSED = {
    "frozen": (
        [("img_size=32,", "img_size=32, frozen_stages=1,")],
        "it has 152 param groups, the config", "different number of parameter groups",
    ),
    "a class more": (
        [("num_classes=10", "num_classes=7")],
        "shapes differ: head.fc.weight 7×192, checkpoint 10×192", "must match the size",
    ),
    "another optimizer": (
        [("'AdamW', lr=1e-3", "'SGD', lr=0.1")],
        "its optimizer is AdamW, the config's SGD: training fails at its first step: "
        "KeyError: 'momentum'", "momentum",
    ),
    "another constructor": (
        [("constructor='LearningRateDecayOptimWrapperConstructor',", ""),
         ("layer_decay_rate=0.75", "")],
        "it has 152 param groups, the config 1", "different number of parameter groups",
    ),
    "a shallower model": (
        [("arch='deit-tiny'", "arch={'embed_dims': 192, 'num_layers': 11, 'num_heads': 3,"
          " 'feedforward_channels': 768}")],
        "gone: backbone.layers.11", "different number of parameter groups",
    ),
}  # fmt: skip


QUICK_REFUSED = {"frozen", "another optimizer"}


@pytest.mark.parametrize("name", [n if n in QUICK_REFUSED else slow(n) for n in REFUSED])
def test_what_cannot_be_resumed_is_what_a_runner_fails_with(name, checkpoint, tmp_path):
    changes, said, raised = REFUSED[name]
    path = written(tmp_path, "new.py", with_changes(OLD, changes))
    with pytest.raises(LldtoolError) as refused:
        announced(path, checkpoint)
    assert said in refused.value.message
    assert "load_from" in refused.value.hint
    with pytest.raises((ValueError, KeyError, RuntimeError), match=raised):
        train_resumed(path, checkpoint, tmp_path)


@pytest.mark.parametrize("key", ["meta", "message_hub"])
def test_weights_alone_cannot_be_resumed(key, checkpoint, tmp_path):
    path = written(tmp_path, "new.py", OLD)
    weights = changed(checkpoint, lambda content: content.pop(key))
    with pytest.raises(LldtoolError, match=f"it has no {key}, which a training saves"):
        announced(path, weights)
    with pytest.raises(KeyError, match=key):
        train_resumed(path, weights, tmp_path)


#: What is taken out of the checkpoint, what is said then.
MISSING = {
    "optimizer": (("optimizer",), "no-optimizer-state"),
    "schedulers": (("param_schedulers",), "no-scheduler-state"),
    "both": (("optimizer", "param_schedulers"), "no-optimizer-state"),
}


@pytest.mark.parametrize("name", MISSING)
def test_state_that_a_checkpoint_lacks_is_followed(name, checkpoint, tmp_path):
    keys, code = MISSING[name]
    bare = changed(checkpoint, lambda content: [content.pop(key) for key in keys])
    path = written(tmp_path, "new.py", with_changes(OLD, [("lr=1e-3", "lr=5e-4")]))
    found = announced(path, bare)
    assert_announced(found, train_resumed(path, bare, tmp_path))
    assert code in codes(found)
    has_effect = "optimizer" in keys
    assert [c.has_effect for c in found.changes] == [has_effect]

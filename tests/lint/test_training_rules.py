"""The rules on how schedulers fit the training, on configs that they were not written for."""

from dataclasses import replace

import pytest
from small_configs import MODEL

from lldtool.config.request import Length, Request
from lldtool.dryrun import capture
from lldtool.lint.engine import check_config, check_plan
from lldtool.lint.policy import load_policy
from lldtool.plan import plan_from_json, plan_to_json

CODES = [f"LLD{number}" for number in range(506, 514)]
ADAMW = "optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3))\n"
SGD = "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n"
EPOCHS = "train_cfg = dict(by_epoch=True, max_epochs=40)\n"
ITERATIONS = "train_cfg = dict(type='IterBasedTrainLoop', max_iters=8000)\n"
ACCUMULATING = "optim_wrapper = dict(accumulative_counts=8, optimizer=dict(type='SGD', lr=0.1))\n"
#: Two optimizers, the second of which has a schedule of its own.
TWO = """
optim_wrapper = dict(constructor='Two')
custom_imports = dict(imports=['two'])
"""
TWO_MODULE = """
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch.optim import SGD


@OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
class Two:
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        pass

    def __call__(self, model):
        return OptimWrapperDict(
            backbone=OptimWrapper(SGD(model.backbone.parameters(), lr=0.01)),
            head=OptimWrapper(SGD(model.head.parameters(), lr=0.1)))
"""


def linear(**options):
    return {"type": "LinearLR", "start_factor": 0.1, **options}


def cosine(**options):
    return {"type": "CosineAnnealingLR", **options}


def steps(*milestones, **options):
    return {"type": "MultiStepLR", "milestones": list(milestones), **options}


@pytest.fixture
def check(tmp_path, monkeypatch):
    """The codes that are found in a config of this text, of a request with these fields."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "two.py").write_text(TWO_MODULE)
    policy = load_policy(tmp_path, None).overridden(select=CODES)

    def checked(text, *schedulers, **fields):
        path = tmp_path / "config.py"
        scheduler = f"param_scheduler = {list(schedulers)!r}\n" if schedulers else ""
        path.write_text(MODEL + text + scheduler)
        request = Request(path, "config.py", **fields)
        result = check_config(policy, request)
        assert result.error is None
        plan = capture(replace(request, curves="all")).required_plan
        saved = check_plan(policy, plan_from_json(plan_to_json(plan)))
        found = [(d.code, d.key, d.severity.value) for d in result.diagnostics]
        assert sorted((d.code, d.key, d.severity.value) for d in saved.diagnostics) == sorted(found)
        return found

    return checked


FAULTY = {
    "a poly by epochs in a training by iterations": (
        ITERATIONS, [{"type": "PolyLR", "eta_min": 1e-4, "power": 0.9}],
        [("LLD506", "param_scheduler.0.by_epoch")],
    ),
    "milestones in iterations, by epochs": (
        ITERATIONS, [steps(4000, 6000)], [("LLD506", "param_scheduler.0.by_epoch")],
    ),
    "both of a recipe by epochs": (
        ITERATIONS, [linear(end=5), cosine(begin=5, end=40)],
        [("LLD506", "param_scheduler.0.by_epoch"), ("LLD506", "param_scheduler.1.by_epoch")],
    ),
    "a momentum scheduler by epochs": (
        ITERATIONS, [{"type": "CosineAnnealingMomentum", "T_max": 40}],
        [("LLD506", "param_scheduler.0.by_epoch")],
    ),
    "a constant warm-up of one epoch": (
        EPOCHS, [{"type": "ConstantLR", "factor": 0.1, "end": 1}, steps(20, begin=1)],
        [("LLD506", "param_scheduler.0.end")],
    ),
    "a warm-up of the second epoch alone": (
        EPOCHS, [linear(begin=1, end=2)], [("LLD506", "param_scheduler.0.end")],
    ),
    "a warm-up of one iteration": (
        ITERATIONS, [linear(by_epoch=False, end=1)], [("LLD506", "param_scheduler.0.end")],
    ),
    "a cosine by epochs over a training of one": (
        "train_cfg = dict(by_epoch=True, max_epochs=1)\n", [cosine()],
        [("LLD506", "param_scheduler.0.end")],
    ),
    "nothing that steps": (
        EPOCHS + "default_hooks = dict(param_scheduler=None)\n", [linear(end=5), steps(20)],
        [("LLD506", "default_hooks.param_scheduler")],
    ),
    "a warm-up to a half before steps": (
        EPOCHS, [linear(end=5, end_factor=0.5), steps(20, 30)],
        [("LLD507", "param_scheduler.0.end_factor")],
    ),
    "a converted warm-up to a fifth": (
        EPOCHS,
        [linear(end=5, end_factor=0.2, convert_to_iter_based=True), cosine(begin=5, T_max=35)],
        [("LLD507", "param_scheduler.0.end_factor")],
    ),
    "a warm-up to a half by iterations": (
        ITERATIONS, [linear(end=500, end_factor=0.5, by_epoch=False)],
        [("LLD507", "param_scheduler.0.end_factor")],
    ),
    "a warm-up to a half that is never stepped": (
        ITERATIONS, [linear(end=5, end_factor=0.5)], [("LLD506", "param_scheduler.0.by_epoch")],
    ),
    "a warm-up to a half in one step": (
        EPOCHS, [linear(end=1, end_factor=0.5)], [("LLD506", "param_scheduler.0.end")],
    ),
    "a gamma below 0": (
        EPOCHS, [steps(20, gamma=-0.1)], [("LLD508", "param_scheduler.0.gamma")],
    ),
    "a floor below 0": (
        ITERATIONS, [cosine(by_epoch=False, eta_min=-1e-3, T_max=8000)],
        [("LLD508", "param_scheduler.0.eta_min")],
    ),
    "a poly to 0 that ends early": (
        EPOCHS, [linear(end=5), {"type": "PolyLR", "begin": 5, "end": 36, "eta_min": 0.0}],
        [("LLD508", "param_scheduler.1")],
    ),
    "a gamma of 0": (EPOCHS, [steps(30, gamma=0.0)], [("LLD508", "param_scheduler.0")]),
    "a one-cycle of an lr that is an optimizer's for another": (
        EPOCHS + ADAMW, [{"type": "OneCycleLR", "eta_max": 5.0, "total_steps": 40}],
        [("LLD509", "optim_wrapper.optimizer.lr")],
    ),
    "options of 0.x": (
        EPOCHS + "runner = dict(type='EpochBasedRunner', max_epochs=100)\n"
        "fp16 = dict(loss_scale=512.)\ncheckpoint_config = dict(interval=1)\n"
        "optimizer = dict(type='SGD', lr=0.01)\nevaluation = dict(interval=1)\n",
        [],
        [
            ("LLD510", "optimizer"), ("LLD510", "runner"), ("LLD510", "fp16"),
            ("LLD510", "evaluation"), ("LLD510", "checkpoint_config"),
        ],
    ),
    "a one-cycle for half of the training": (
        EPOCHS, [{"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 20}],
        [("LLD511", "param_scheduler.0.total_steps")],
    ),
    "a start_factor above 1": (
        EPOCHS, [linear(start_factor=2.0, end=5), cosine(begin=5)],
        [("LLD511", "param_scheduler.0")],
    ),
    "an end before its begin": (
        EPOCHS, [linear(end=5), cosine(begin=5, end=5)], [("LLD511", "param_scheduler.1.begin")],
    ),
    "a start_factor of 0": (
        EPOCHS, [linear(start_factor=0.0, end=5)], [("LLD511", "param_scheduler.0")],
    ),
    "a policy of 0.x": (EPOCHS, [{"type": "CosineAnnealing"}], [("LLD511", "param_scheduler.0")]),
    "a warm-up shorter than an optimizer step": (
        ITERATIONS + ACCUMULATING, [linear(by_epoch=False, end=8)],
        [("LLD512", "param_scheduler.0.end")],
    ),
    "a batch larger than the lr is meant for": (
        EPOCHS + "train_dataloader = dict(batch_size=256)\n"
        "auto_scale_lr = dict(base_batch_size=64)\n", [],
        [("LLD513", "auto_scale_lr.base_batch_size")],
    ),
}  # fmt: skip

SOUND = {
    "nothing": ("", []),
    "no scheduler": (EPOCHS, []),
    "epochs converted to iterations": (
        ITERATIONS, [linear(end=4, convert_to_iter_based=True), cosine(convert_to_iter_based=True)],
    ),
    "a warm-up by iterations over steps by epochs": (
        EPOCHS, [linear(by_epoch=False, end=500), steps(24, 33)],
    ),
    "one epoch that is converted": (
        EPOCHS, [linear(end=1, convert_to_iter_based=True), cosine(begin=1, T_max=39)],
    ),
    "a training of one epoch, converted": (
        "train_cfg = dict(by_epoch=True, max_epochs=1)\n",
        [
            linear(end=0.03, convert_to_iter_based=True),
            cosine(begin=0.03, end=1, T_max=0.97, convert_to_iter_based=True),
        ],
    ),
    "a constant of 1": (EPOCHS, [{"type": "ConstantLR", "factor": 1.0, "end": 1}]),
    "constants of one epoch as steps": (
        EPOCHS, [{"type": "ConstantLR", "factor": 0.5, "begin": e, "end": e + 1} for e in (20, 30)],
    ),
    "a plateau in a training by iterations": (
        ITERATIONS, [{"type": "ReduceOnPlateauLR", "monitor": "loss", "rule": "less"}],
    ),
    "a linear decay": (EPOCHS, [linear(start_factor=1.0, end_factor=0.01)]),
    "a warm-up and a linear decay": (
        EPOCHS, [linear(end=5), linear(start_factor=1.0, end_factor=0.0, begin=5)],
    ),
    "a warm-up to a part that restarts raise": (
        EPOCHS,
        [
            linear(end=5, end_factor=0.5),
            {"type": "CosineRestartLR", "begin": 5, "periods": [20, 15], "restart_weights": [1, 1],
             "eta_min": 0.0},
        ],
    ),
    "a cosine to 0": (ITERATIONS, [cosine(by_epoch=False, T_max=8000)]),
    "a poly to 0 at the last iteration": (
        ITERATIONS, [{"type": "PolyLR", "eta_min": 0.0, "by_epoch": False, "end": 8000}],
    ),
    "a cosine that is over a little before the end": (
        ITERATIONS, [cosine(by_epoch=False, T_max=7960, end=7960)],
    ),
    "a backbone at lr 0": (
        EPOCHS + "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1), paramwise_cfg=dict("
        "custom_keys=dict(backbone=dict(lr_mult=0.))))\n",
        [cosine()],
    ),
    "a one-cycle": (EPOCHS, [{"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 40}]),
    "a linear probe with a large lr": (
        EPOCHS + "optim_wrapper = dict(optimizer=dict(type='SGD', lr=30.))\n", [steps(24, 33)],
    ),
    "an optimizer that is a variable": (
        EPOCHS + "optimizer = dict(type='SGD', lr=0.1)\n"
        "optim_wrapper = dict(optimizer=optimizer)\n"
        "optim_wrapper.update(optimizer=dict(type='SGD', lr=0.2))\n", [],
    ),
    "names of 0.x with another meaning": (
        EPOCHS + "data = 'data/imagenet'\nrunner = 'slurm'\ntotal_epochs = 40\n"
        "train_cfg = dict(by_epoch=True, max_epochs=total_epochs)\nfp16 = False\n"
        "workflow = [('train', 1)]\nresume_from = None\nlog_config = None\n", [],
    ),
    "a long warm-up of gradients that are accumulated": (
        ITERATIONS + ACCUMULATING, [linear(by_epoch=False, end=500)],
    ),
    "a batch that accumulation makes as large as the lr is meant for": (
        EPOCHS + ACCUMULATING + "train_dataloader = dict(batch_size=32)\n"
        "auto_scale_lr = dict(base_batch_size=256)\n", [],
    ),
    "lrs that are scaled": (
        EPOCHS + "train_dataloader = dict(batch_size=256)\n"
        "auto_scale_lr = dict(base_batch_size=64, enable=True)\n", [],
    ),
}  # fmt: skip


def _text(own):
    return own if "optim_wrapper" in own else SGD + own


@pytest.mark.parametrize(("own", "schedulers", "expected"), FAULTY.values(), ids=FAULTY)
def test_fault_is_found(check, own, schedulers, expected):
    found = check(_text(own), *schedulers)
    assert sorted((code, key) for code, key, _ in found) == sorted(expected)


@pytest.mark.parametrize(("own", "schedulers"), SOUND.values(), ids=SOUND)
def test_sound_training_passes(check, own, schedulers):
    assert check(_text(own), *schedulers) == []


def test_each_of_several_optimizers_has_its_own_schedule(check):
    own = {"backbone": [cosine()], "head": [linear(end=5, end_factor=0.5), steps(20, gamma=-1.0)]}
    found = check(f"{TWO}{EPOCHS}param_scheduler = {own!r}\n")
    assert {(code, key) for code, key, _ in found} == {
        ("LLD507", "param_scheduler.head.0.end_factor"),
        ("LLD508", "param_scheduler.head.1.gamma"),
    }


def test_scheduler_that_several_optimizers_share_is_found_once(check):
    found = check(TWO + EPOCHS, linear(end=1), steps(20))
    assert found == [("LLD506", "param_scheduler.0.end", "error")]


def test_batch_size_is_compared_only_with_the_users_number_of_gpus(check):
    text = (
        f"{SGD}{EPOCHS}train_dataloader = dict(batch_size=32)\n"
        "auto_scale_lr = dict(base_batch_size=256)\n"
    )
    assert check(text) == check(text, world_size=8) == check(text, world_size=5) == []
    assert check(text, world_size=4) == [("LLD513", "auto_scale_lr.base_batch_size", "info")]
    assert check(text, world_size=16) == [("LLD513", "auto_scale_lr.base_batch_size", "info")]
    assert check(text, world_size=16, auto_scale_lr=True) == []


def test_converted_warm_up_is_short_in_short_epochs(check):
    text = ACCUMULATING + EPOCHS
    schedulers = linear(end=1, convert_to_iter_based=True), cosine(begin=1, T_max=39)
    entry = "param_scheduler.0.end"
    assert check(text, *schedulers) == []
    assert check(text, *schedulers, length=Length(epoch_length=100)) == []
    assert check(text, *schedulers, length=Length(epoch_length=12)) == [("LLD512", entry, "info")]
    assert check(text, *schedulers, length=Length(epoch_length=8)) == [("LLD512", entry, "warning")]


def test_too_long_a_training_to_step_is_no_crash(check):
    schedulers = linear(end=5, convert_to_iter_based=True), cosine(begin=5)
    length = Length(epoch_length=1_000_000_000)
    assert check(SGD + EPOCHS, *schedulers, length=length) == []


def test_pure_python_config_has_the_defaults_of_its_classes(check):
    text = (
        f"{SGD}{EPOCHS}from mmengine.optim import LinearLR\n"
        "param_scheduler = [dict(type=LinearLR, start_factor=0.1, end=1)]\n"
    )
    assert check(text) == [("LLD506", "param_scheduler.0.end", "error")]


def test_one_fix_is_for_all_schedulers_by_epoch(tmp_path):
    path = tmp_path / "config.py"
    schedulers = [linear(end=5), cosine(begin=5, end=40)]
    path.write_text(f"{MODEL}{SGD}{ITERATIONS}param_scheduler = {schedulers!r}\n")
    policy = load_policy(tmp_path, None).overridden(select=CODES)
    first, second = check_config(policy, Request(path, "config.py")).diagnostics
    assert first.suggestion == second.suggestion
    assert first.suggestion.count("'convert_to_iter_based': True,") == 2


def test_loops_and_hooks_of_others_may_step_schedulers(check, tmp_path):
    (tmp_path / "two.py").write_text(
        "from mmengine.registry import LOOPS\nfrom mmengine.runner import IterBasedTrainLoop\n\n\n"
        "@LOOPS.register_module(force=True)\nclass EpochsOfOurs(IterBasedTrainLoop):\n    pass\n"
    )
    text = (
        f"{SGD}custom_imports = dict(imports=['two'])\n"
        "train_cfg = dict(type='EpochsOfOurs', max_iters=8000)\n"
    )
    assert check(text, steps(4, 6)) == []


def test_lr_that_a_hook_sets_to_zero_is_found_at_the_hooks(check, tmp_path):
    (tmp_path / "stop.py").write_text(
        "from mmengine.hooks import Hook\nfrom mmengine.registry import HOOKS\n\n\n"
        "@HOOKS.register_module(force=True)\nclass Stop(Hook):\n"
        "    def before_train_iter(self, runner, batch_idx, data_batch=None):\n"
        "        for group in runner.optim_wrapper.param_groups:\n"
        "            group['lr'] *= runner.iter < 20\n"
    )
    text = f"{SGD}{ITERATIONS}custom_imports = dict(imports=['stop'])\n"
    assert check(text + "custom_hooks = [dict(type='Stop')]\n") == [
        ("LLD508", "custom_hooks", "warning")
    ]

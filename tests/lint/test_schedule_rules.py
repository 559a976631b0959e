"""Rules on schedules: tables of param schedulers with the codes of what is found in them."""

import pytest
from conftest import TINY_VIT

from lldtool.config.request import Request
from lldtool.lint.engine import capture_and_check
from lldtool.lint.policy import Policy

EPOCHS = "train_cfg = dict(by_epoch=True, max_epochs={})\n"
ITERATIONS = "train_cfg = dict(type='IterBasedTrainLoop', max_iters={})\n"
#: Data with 100 iterations to an epoch.
LOADER = "train_dataloader = dict(batch_size=8, num_batch_per_epoch=100)\n"
WARM_UP = "dict(type='LinearLR', start_factor=0.1, begin=0, end=4)"
CONVERTED = "dict(type='LinearLR', start_factor=0.1, begin=0, end=4, convert_to_iter_based=True)"
BY_ITERATION = "dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500)"
COSINE = "dict(type='CosineAnnealingLR', T_max=36, begin=4, end=40)"

SOUND = {
    "no scheduler": (40, ""),
    "warm-up and cosine": (40, f"[{WARM_UP}, {COSINE}]"),
    "one scheduler as a dict": (40, "dict(type='CosineAnnealingLR', T_max=40)"),
    "two epochs more": (42, f"[{CONVERTED}, {COSINE}]"),
    "one epoch less": (39, f"[{CONVERTED}, {COSINE}]"),
    "end left out": (40, f"[{WARM_UP}, dict(type='CosineAnnealingLR', T_max=36, begin=4)]"),
    "nothing but begin": (40, f"[{WARM_UP}, dict(type='CosineAnnealingLR', begin=4)]"),
    "T_max of the whole training": (40, f"[{WARM_UP}, dict(type='CosineAnnealingLR', T_max=40)]"),
    "T_max without the warm-up": (
        40,
        f"[{WARM_UP}, dict(type='CosineAnnealingLR', T_max=40, begin=4, end=40)]",
    ),
    "hold": (40, f"[{WARM_UP}, dict(type='CosineAnnealingLR', T_max=20, begin=20, end=40)]"),
    "warm-up alone": (40, f"[{WARM_UP}]"),
    "steps": (40, "dict(type='MultiStepLR', milestones=[24, 33])"),
    "a milestone at the end": (40, "dict(type='MultiStepLR', milestones=[20, 30, 40])"),
    "warm-up by iteration": (
        12,
        f"[{BY_ITERATION}, dict(type='MultiStepLR', milestones=[8, 11], end=12)]",
    ),
    "warm-up within the first epoch": (
        40,
        "[dict(type='LinearLR', start_factor=0.001, end=1, convert_to_iter_based=True),"
        " dict(type='CosineRestartLR', periods=[39], begin=1, eta_min=0)]",
    ),
    "restarts": (
        40,
        "dict(type='CosineRestartLR', periods=[10, 30], restart_weights=[1, 0.5], eta_min=0)",
    ),
    "a ConstantLR holds": (
        80,
        f"[{WARM_UP}, {COSINE}, dict(type='ConstantLR', factor=1.0, begin=40, end=80)]",
    ),
    "constant warm-up": (40, f"[dict(type='ConstantLR', factor=0.1, end=4), {COSINE}]"),
    "one cycle": (40, "dict(type='OneCycleLR', eta_max=0.001, total_steps=40)"),
    "one cycle by default": (40, "dict(type='OneCycleLR', eta_max=0.001, div_factor=10)"),
    "exponential": (40, "dict(type='ExponentialLR', gamma=0.9)"),
    "step size": (40, "dict(type='StepLR', step_size=15)"),
    "polynomial": (40, f"[{WARM_UP}, dict(type='PolyLR', power=0.9, begin=4, end=40)]"),
    "linear": (40, "dict(type='LinearLR', start_factor=1.0, end_factor=0.01, end=40)"),
    "on a plateau": (40, "dict(type='ReduceOnPlateauLR', monitor='loss', patience=3)"),
    "momentum": (
        40,
        f"[{WARM_UP}, {COSINE}, dict(type='CosineAnnealingMomentum', T_max=40, eta_min=0.8)]",
    ),
    "momentum in cycles": (
        40,
        f"[{WARM_UP}, {COSINE}, dict(type='CosineAnnealingMomentum', T_max=16, end=16),"
        " dict(type='LinearMomentum', start_factor=0.9, begin=16, end=20)]",
    ),
    "a lower stage at the end": (
        40,
        "[dict(type='CosineAnnealingLR', T_max=36, end=36, eta_min_ratio=0.02),"
        " dict(type='ConstantLR', factor=0.1, begin=36, end=40)]",
    ),
    "another lr on purpose": (
        40,
        "[dict(type='CosineAnnealingLR', T_max=40),"
        " dict(type='ConstantLR', factor=0.1, begin=10, end=11)]",
    ),
    "restarts in front of a warm-up": (
        40,
        f"[dict(type='CosineRestartLR', periods=[40], eta_min=0), {WARM_UP}]",
    ),
    "up and down": (
        40,
        "[dict(type='CosineAnnealingLR', T_max=16, end=16, eta_min=0.02),"
        " dict(type='CosineAnnealingLR', T_max=24, begin=16, end=40, eta_min=1e-7)]",
    ),
}
FAULTY = {
    "warm-up too long": (3, f"[{WARM_UP}]", {"LLD501"}),
    "warm-up of half the training": (8, f"[{CONVERTED}]", {"LLD501"}),
    "warm-up without an end": (40, "[dict(type='LinearLR', start_factor=0.1)]", {"LLD501"}),
    "cosine too late": (
        4,
        f"[dict(type='LinearLR', start_factor=0.1, end=1), {COSINE}]",
        {"LLD501"},
    ),
    "momentum too late": (
        40,
        f"[{COSINE}, dict(type='CosineAnnealingMomentum', T_max=40, begin=60, end=100)]",
        {"LLD501"},
    ),
    "cosine cut off": (22, f"[{CONVERTED}, {COSINE}]", {"LLD502"}),
    "cosine cut off, by an unknown warm-up": (22, f"[{BY_ITERATION}, {COSINE}]", {"LLD502"}),
    "cosine cut off by its own end": (
        40,
        "dict(type='CosineAnnealingLR', T_max=80, end=40)",
        {"LLD502"},
    ),
    "polynomial cut off": (20, "dict(type='PolyLR', end=40)", {"LLD502"}),
    "linear cut off": (
        20,
        "dict(type='LinearLR', start_factor=1.0, end_factor=0.01, end=40)",
        {"LLD502"},
    ),
    "one cycle cut off": (40, "dict(type='OneCycleLR', eta_max=0.001, total_steps=80)", {"LLD502"}),
    "restarts cut off": (
        40,
        "dict(type='CosineRestartLR', periods=[30, 30], restart_weights=[1, 1], eta_min=0)",
        {"LLD502"},
    ),
    "cosine too short": (90, f"[{CONVERTED}, {COSINE}]", {"LLD503"}),
    "polynomial too short": (90, "dict(type='PolyLR', end=40)", {"LLD503"}),
    "linear too short": (
        90,
        "dict(type='LinearLR', start_factor=1.0, end_factor=0.01, end=40)",
        {"LLD503"},
    ),
    "steps too short": (90, "dict(type='StepLR', step_size=10, end=40)", {"LLD503"}),
    "exponential too short": (90, "dict(type='ExponentialLR', gamma=0.9, end=40)", {"LLD503"}),
    "cosine rises again": (40, "dict(type='CosineAnnealingLR', T_max=10)", {"LLD503"}),
    "cosine rises once": (
        60,
        f"[{WARM_UP}, dict(type='CosineAnnealingLR', T_max=36, begin=4)]",
        {"LLD503"},
    ),
    "cosine rises within its end": (
        40,
        "dict(type='CosineAnnealingLR', T_max=20, end=40)",
        {"LLD503"},
    ),
    "two warm-ups": (
        40,
        f"[{CONVERTED}, dict(type='LinearLR', start_factor=0.1, begin=4, end=8,"
        " convert_to_iter_based=True), dict(type='CosineAnnealingLR', begin=8, T_max=32)]",
        {"LLD504"},
    ),
    "warm-up in a cosine": (
        40,
        "[dict(type='CosineAnnealingLR', T_max=40),"
        " dict(type='LinearLR', start_factor=0.01, begin=10, end=14)]",
        {"LLD504"},
    ),
    "one cycle after a warm-up": (
        40,
        f"[{WARM_UP}, dict(type='OneCycleLR', eta_max=0.001, total_steps=36, begin=4)]",
        {"LLD504"},
    ),
    "restart after a cosine": (
        40,
        "[dict(type='CosineAnnealingLR', T_max=20, end=20),"
        " dict(type='CosineRestartLR', periods=[20], begin=20, eta_min=0)]",
        {"LLD504"},
    ),
    "restarts after a warm-up with the same begin": (
        40,
        f"[{WARM_UP}, dict(type='CosineRestartLR', periods=[40], eta_min=0)]",
        {"LLD504"},
    ),
    "no milestone reached": (40, "dict(type='MultiStepLR', milestones=[100, 150])", {"LLD505"}),
    "a milestone not reached": (
        40,
        "[dict(type='MultiStepLR', milestones=[24, 33, 50])]",
        {"LLD505"},
    ),
    "milestones counted from begin": (
        40,
        "[dict(type='MultiStepLR', milestones=[24, 36], begin=5)]",
        {"LLD505"},
    ),
    "milestones after the scheduler's end": (
        24,
        "[dict(type='MultiStepLR', milestones=[16, 23], end=12)]",
        {"LLD505"},
    ),
    "milestones in iterations": (
        40,
        "dict(type='MultiStepLR', milestones=[6000, 8000])",
        {"LLD505"},
    ),
    "milestones in epochs": (
        40,
        "dict(type='MultiStepLR', milestones=[24, 33], by_epoch=False)",
        {"LLD505"},
    ),
    "the only milestone at the end": (40, "dict(type='MultiStepLR', milestones=[40])", {"LLD505"}),
    "step size over the length": (40, "dict(type='StepLR', step_size=50)", {"LLD505"}),
}
IN_ITERATIONS = {
    "polynomial": (
        8000,
        f"[{BY_ITERATION}, dict(type='PolyLR', by_epoch=False, begin=500)]",
        set(),
    ),
    "steps": (8000, "dict(type='MultiStepLR', milestones=[5000, 7000], by_epoch=False)", set()),
    "cosine": (
        8000,
        f"[{BY_ITERATION}, dict(type='CosineAnnealingLR', by_epoch=False, begin=500, T_max=7500)]",
        set(),
    ),
    "warm-up too long": (400, f"[{BY_ITERATION}]", {"LLD501"}),
    "polynomial cut off": (
        4000,
        f"[{BY_ITERATION}, dict(type='PolyLR', by_epoch=False, begin=500, end=8000)]",
        {"LLD502"},
    ),
    "polynomial too short": (8000, "dict(type='PolyLR', by_epoch=False, end=4000)", {"LLD503"}),
    "cosine rises again": (
        8000,
        "dict(type='CosineAnnealingLR', by_epoch=False, T_max=2000)",
        {"LLD503"},
    ),
    "jump": (
        8000,
        "[dict(type='CosineAnnealingLR', by_epoch=False, T_max=8000),"
        " dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=1000, end=2000)]",
        {"LLD504"},
    ),
    "milestones not reached": (
        8000,
        "dict(type='MultiStepLR', milestones=[60000, 80000], by_epoch=False)",
        {"LLD505"},
    ),
    "milestones in epochs": (
        8000,
        "dict(type='MultiStepLR', milestones=[8, 11], by_epoch=False)",
        {"LLD505"},
    ),
    "never steps": (8000, "dict(type='MultiStepLR', milestones=[60000, 80000])", set()),
}
WITH_LENGTH = {
    "warm-up": (40, f"[{BY_ITERATION}, dict(type='CosineAnnealingLR', begin=5, T_max=35)]", set()),
    "converted": (
        40,
        f"[{CONVERTED}, dict(type='CosineAnnealingLR', begin=4, T_max=36, end=40,"
        " convert_to_iter_based=True)]",
        set(),
    ),
    "warm-up too long": (4, f"[{BY_ITERATION}]", {"LLD501"}),
    "cut off": (
        20,
        f"[{BY_ITERATION}, dict(type='CosineAnnealingLR', begin=500, T_max=3500, end=4000,"
        " by_epoch=False)]",
        {"LLD502"},
    ),
    "too short": (
        40,
        f"[{BY_ITERATION}, dict(type='PolyLR', begin=500, end=2000, by_epoch=False)]",
        {"LLD503"},
    ),
    "jump": (
        40,
        f"[{CONVERTED}, dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=400,"
        " end=800)]",
        {"LLD504"},
    ),
    "milestones in iterations": (
        40,
        "dict(type='MultiStepLR', milestones=[2400, 3300])",
        {"LLD505"},
    ),
    "milestones in epochs": (
        40,
        "dict(type='MultiStepLR', milestones=[24, 33], by_epoch=False)",
        {"LLD505"},
    ),
}
TABLE = [
    *((EPOCHS, name, (*case, set())) for name, case in SOUND.items()),
    *((EPOCHS, name, case) for name, case in FAULTY.items()),
    *((ITERATIONS, name, case) for name, case in IN_ITERATIONS.items()),
    *((EPOCHS + LOADER, name, case) for name, case in WITH_LENGTH.items()),
]


@pytest.fixture
def check(tmp_path):
    """The diagnostics of rules on schedules in a config that ends with this text."""

    def checked(text, *inherited):
        for number, base in enumerate(inherited):
            (tmp_path / f"base{number}.py").write_text(TINY_VIT + base)
        path = tmp_path / "config.py"
        path.write_text(text if inherited else TINY_VIT + text)
        policy = Policy().overridden(select=["LLD501", "LLD502", "LLD503", "LLD504", "LLD505"])
        capture, result = capture_and_check(policy, Request(path, "config.py"))
        assert result.error is None
        assert capture.required_plan.schedule.error is None
        return result.diagnostics

    return checked


@pytest.mark.parametrize(
    ("train", "case"), [pytest.param(t, case, id=f"{t[16:21]}-{name}") for t, name, case in TABLE]
)
def test_what_is_found_in_a_schedule(check, train, case):
    length, schedulers, codes = case
    found = check(
        train.format(length) + (f"param_scheduler = {schedulers}\n" if schedulers else "")
    )
    assert {d.code for d in found} == codes, [str(d) for d in found]


APART = """
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch.optim import SGD

@OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
class HeadApart:
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        self.lr = optim_wrapper_cfg['optimizer']['lr']

    def __call__(self, model):
        parts = dict(backbone=model.backbone, head=model.head)
        return OptimWrapperDict(**{
            name: OptimWrapper(SGD(part.parameters(), lr=self.lr)) for name, part in parts.items()})
"""


def test_each_of_several_optimizers_has_a_schedule_of_its_own(check, tmp_path, monkeypatch):
    (tmp_path / "head_apart.py").write_text(APART)
    monkeypatch.syspath_prepend(tmp_path)
    wrapper = "custom_imports = dict(imports=['head_apart'])\n"
    wrapper += "optim_wrapper['constructor'] = 'HeadApart'\n" + EPOCHS.format(40)
    own = "param_scheduler = dict(backbone=dict(type='PolyLR', end=40), head=[{}])\n"
    assert not check(wrapper + own.format("dict(type='PolyLR', end=40)"))
    (found,) = check(wrapper + own.format("dict(type='PolyLR', end=20)"))
    assert (found.code, found.key) == ("LLD503", "param_scheduler.head.0.end")
    (found,) = check(wrapper + "param_scheduler = [dict(type='PolyLR', end=80)]\n")
    assert (found.code, found.key) == ("LLD502", "param_scheduler.0.end")


def test_a_scheduler_whose_length_is_inherited_has_both_places(check):
    inherited = EPOCHS.format(40) + f"param_scheduler = [{CONVERTED}, {COSINE}]\n"
    (found,) = check("_base_ = ['base0.py']\ntrain_cfg = dict(max_epochs=22)\n", inherited)
    assert (found.location.file.name, found.key) == ("base0.py", "param_scheduler.1.T_max")
    assert "stops at 0.50 × the base lr" in found.message
    assert found.message.endswith("the training ends at epoch 22 (config.py:2)")
    assert "end=22" in found.suggestion
    assert "T_max=18" in found.suggestion


@pytest.mark.parametrize(
    ("milestones", "length", "reading"),
    [
        ("[2400, 3300]", LOADER, "with by_epoch=False, they are epoch 24 and 33"),
        ("[2400, 3300]", "", "iterations need by_epoch=False"),
        ("[24, 33], by_epoch=False", "", "epochs need by_epoch=True"),
    ],
)
def test_milestones_have_both_readings(check, milestones, length, reading):
    scheduler = f"param_scheduler = [dict(type='MultiStepLR', milestones={milestones})]\n"
    (found,) = check(EPOCHS.format(40) + length + scheduler)
    assert reading in found.message
    assert "by_epoch" in found.suggestion

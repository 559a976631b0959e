"""What lldtool says of a resumed training, against a Runner that resumes and trains."""

import pytest
from conftest import TINY_VIT, slow
from resuming import COSINE, announced, assert_announced, save, train_resumed, written

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
         "param_scheduler.1.eta_min", "param_scheduler.1.T_max"],
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

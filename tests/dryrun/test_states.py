"""The state of a parameter: what a real training moves is trained, and nothing else is."""

import json
from collections import Counter

import pytest
import states
import torch
from mmengine.config import Config
from runners import runner_of

import lldtool
from lldtool.plan import FROZEN, UPDATES_STATISTICS, plan_from_json, plan_to_json


@pytest.mark.parametrize("name", states.CONFIGS)
def test_parameters_have_the_state_that_their_config_gives_them(name, tmp_path, monkeypatch):
    plan = lldtool.dry_run(states.write(tmp_path, monkeypatch, name))
    assert Counter(p.state for p in plan.parameters) == states.CONFIGS[name][1]


@pytest.mark.parametrize("name", states.CONFIGS)
def test_a_real_training_moves_what_is_trained_and_nothing_else(name, tmp_path, monkeypatch):
    path = states.write(tmp_path, monkeypatch, name)
    plan = lldtool.dry_run(path)
    size = 64 if name in ("stages", "norms", "key") else 32
    runner = runner_of(Config.fromfile(path), tmp_path / "work", size=size)
    # The images are black, so that an input that is multiplied gets no gradient.
    before = {}

    def remember(*_):
        for parameter in runner.model.parameters():
            parameter.register_hook(torch.ones_like) if parameter.requires_grad else None
        before.update({n: p.detach().clone() for n, p in runner.model.named_parameters()})

    monkeypatch.setattr(runner, "call_hook", _calling(runner.call_hook, "before_train", remember))
    runner.train()
    moved = {n for n, p in runner.model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {p.name for p in plan.trained}


def _calling(call_hook, point, function):
    def called(name, **arguments):
        call_hook(name, **arguments)
        if name == point:
            function()

    return called


RAISED = {
    "dict(type='CosineAnnealingLR', eta_min=1e-3)": True,
    "dict(type='CosineAnnealingLR', eta_min_ratio=0.1)": False,
    "dict(type='PolyLR', eta_min=1e-3, by_epoch=True, end=2)": True,
    "dict(type='OneCycleLR', eta_max=0.1, total_steps=2, by_epoch=True)": True,
    "dict(type='LinearLR', start_factor=0.1, end=1)": False,
    "dict(type='MultiStepLR', milestones=[1])": False,
    # It begins once the training is over.
    "dict(type='CosineAnnealingLR', eta_min=1e-3, begin=4, end=6)": False,
    # Its unit is an iteration, and how many an epoch has is not known.
    "dict(type='CosineAnnealingLR', eta_min=1e-3, by_epoch=False, begin=500, T_max=9)": True,
    "dict(type='CosineAnnealingLR', eta_min=1e-3, convert_to_iter_based=True, T_max=2)": True,
    "[dict(type='LinearLR', end=1), dict(type='CosineAnnealingLR', eta_min=1e-3, begin=1)]": True,
}


@pytest.mark.parametrize("scheduler", RAISED)
def test_lr_0_is_trained_where_a_scheduler_raises_it(scheduler, tmp_path, monkeypatch):
    more = f"train_cfg['max_epochs'] = 4\nparam_scheduler = {scheduler}\n"
    path = states.write(tmp_path, monkeypatch, "key", more)
    found = Counter(p.state for p in lldtool.dry_run(path).parameters)
    assert found == ({"trained": 62} if RAISED[scheduler] else {"trained": 2, "zero_lr": 60})


def test_a_scheduler_of_ones_own_may_raise_lr_0(tmp_path, monkeypatch):
    more = "custom_imports = dict(imports=['raising'])\nparam_scheduler = dict(type='Raises')\n"
    (tmp_path / "raising.py").write_text(
        "from mmengine.optim import ConstantLR\n"
        "from mmengine.registry import PARAM_SCHEDULERS\n"
        "@PARAM_SCHEDULERS.register_module(force=True)\n"
        "class Raises(ConstantLR):\n"
        "    def _get_value(self):\n"
        "        return [0.5 * self.last_step for _ in self.base_values]\n"
    )
    path = states.write(tmp_path, monkeypatch, "key", more)
    assert {p.state for p in lldtool.dry_run(path).parameters} == {"trained"}


def test_a_frozen_parameter_in_no_group_has_the_layer_that_it_would_have(tmp_path, monkeypatch):
    frozen = lldtool.dry_run(states.write(tmp_path, monkeypatch, "attention")).frozen
    whole = tmp_path / "whole.py"
    whole.write_text(states.VIT)
    layers = {p.name: p.layer_id for p in lldtool.dry_run(whole).parameters}
    assert len(frozen) == 102
    assert {p.name: p.layer_id for p in frozen} == {p.name: layers[p.name] for p in frozen}


def test_batch_norms_that_move_their_statistics_are_known(tmp_path, monkeypatch):
    def updating(name, more=""):
        plan = lldtool.dry_run(states.write(tmp_path, monkeypatch, name, more))
        return sum(UPDATES_STATISTICS in p.traits for p in plan.parameters)

    assert updating("norms") == updating("key") == 40
    assert updating("stages") == 0  # train() of mmpretrain's ResNet sees to its frozen stages
    assert updating("norms", "model['backbone']['norm_eval'] = True\n") == 0


def test_a_plan_of_lldtool_0_1_has_states_by_its_traits(tmp_path, monkeypatch):
    plan = lldtool.dry_run(states.write(tmp_path, monkeypatch, "norms"))
    content = json.loads(plan_to_json(plan))
    for row in content["parameters"]:
        del row["state"]
    old = plan_from_json(json.dumps(content))
    assert old.parameters == plan.parameters
    assert {p.state for p in old.parameters if FROZEN in p.traits} == {"frozen"}


def test_states_are_in_the_saved_plan(tmp_path, monkeypatch):
    plan = lldtool.dry_run(states.write(tmp_path, monkeypatch, "key"))
    content = json.loads(plan_to_json(plan))
    assert Counter(row["state"] for row in content["parameters"]) == {"zero_lr": 60, "trained": 2}
    assert plan_from_json(plan_to_json(plan)) == plan

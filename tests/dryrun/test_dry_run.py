"""The dry run on configs that are unusual but right."""

import sys
import textwrap

import pytest
from conftest import TINY_VIT

import lldtool
from lldtool.errors import LldtoolError


@pytest.fixture
def plan_of(tmp_path, monkeypatch):
    def run(extra="", base=TINY_VIT, **options):
        path = tmp_path / "config.py"
        path.write_text(base + textwrap.dedent(extra))
        return lldtool.dry_run(path, **options)

    monkeypatch.chdir(tmp_path)
    return run


def settings(plan):
    return {p.name: (p.lr, p.lr_scale, p.weight_decay, p.layer_id) for p in plan.parameters}


@pytest.mark.parametrize(
    "wrapper",
    [
        "type='AmpOptimWrapper', loss_scale=512., dtype='bfloat16'",
        "type='ApexOptimWrapper', opt_level='O1'",
        "type='DeepSpeedOptimWrapper'",
        "type='ColossalAIOptimWrapper'",
    ],
)
def test_a_wrapper_that_needs_a_gpu_is_simulated_and_changes_no_setting(wrapper, plan_of):
    plan = plan_of(f"optim_wrapper.update(dict({wrapper}))")
    name = wrapper.split("'")[1]
    assert settings(plan) == settings(plan_of())
    assert plan.optim_wrapper.type == name
    assert any(note.startswith(name) for note in plan.notes)


def test_a_simulated_wrapper_still_refuses_arguments_it_does_not_know(plan_of):
    with pytest.raises(LldtoolError, match="unexpected keyword argument 'los_scale'"):
        plan_of("optim_wrapper.update(dict(type='AmpOptimWrapper', los_scale=1.))")


@pytest.mark.parametrize("kind", ["bnb_AdamW8bit", "PagedAdamW32bit", "Lion", "lion_pytorch.Lion"])
def test_an_optimizer_that_is_not_installed_still_shows_its_groups(kind, plan_of):
    plan = plan_of(f"optim_wrapper['optimizer']['type'] = {kind!r}")
    assert settings(plan) == settings(plan_of())
    assert any("is not installed" in note and kind.split(".")[-1] in note for note in plan.notes)


@pytest.mark.parametrize("kind", ["0.75", "no such.Adam", "a..Adam"])
def test_a_type_that_no_package_can_have_is_an_error(tmp_path, kind):
    path = tmp_path / "config.py"
    path.write_text(TINY_VIT.replace("AdamW", kind))
    with pytest.raises(lldtool.LldtoolError, match="training fails at startup"):
        lldtool.dry_run(path)


def test_an_optimizer_imported_by_a_pure_python_config_need_not_be_installed(plan_of):
    text = TINY_VIT.replace("_base_ = []", "from bitsandbytes.optim import AdamW8bit").replace(
        "type='AdamW'", "type=AdamW8bit"
    )
    plan = plan_of(base=text)
    assert plan.optimizer.type == "AdamW8bit"
    assert settings(plan) == settings(plan_of())


def test_an_empty_paramwise_cfg_is_noted(plan_of):
    plan = plan_of("optim_wrapper['paramwise_cfg'] = dict()")
    assert {p.lr_scale for p in plan.parameters} == {1.0}
    assert {p.layer_id for p in plan.parameters} == {None}
    assert (
        "paramwise_cfg is empty: LearningRateDecayOptimWrapperConstructor did nothing" in plan.notes
    )


def test_no_default_scope_is_mmpretrain_where_the_model_is_found_only_there(plan_of):
    plan = plan_of(base=TINY_VIT.replace("default_scope = 'mmpretrain'", ""))
    assert settings(plan) == settings(plan_of())
    assert any(note.startswith("no default_scope: mmpretrain assumed") for note in plan.notes)


def test_frozen_parameters_are_listed(plan_of):
    plan = plan_of("model['backbone']['frozen_stages'] = 1")
    assert "backbone.cls_token" in {p.name for p in plan.frozen}
    assert not {p.name for p in plan.frozen} & {p.name for p in plan.parameters}


def test_what_a_constructor_logs_without_a_logger_is_left_out(
    plan_of, tmp_path, monkeypatch, capsys
):
    # mmseg's has a line for each parameter.
    module = """
        from mmengine.logging import print_log
        from mmengine.optim import DefaultOptimWrapperConstructor
        from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

        @OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
        class Talkative(DefaultOptimWrapperConstructor):
            def __call__(self, model):
                print_log("logged")
                print("printed")
                return super().__call__(model)
    """
    (tmp_path / "lldtool_test_talkative.py").write_text(textwrap.dedent(module))
    monkeypatch.syspath_prepend(tmp_path)
    plan_of(
        "custom_imports = dict(imports=['lldtool_test_talkative'])\n"
        "optim_wrapper['constructor'] = 'Talkative'"
    )
    assert tuple(capsys.readouterr()) == ("", "printed\n")


def test_parameters_that_a_constructor_leaves_out_are_listed(plan_of, tmp_path, monkeypatch):
    module = """
        from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
        from mmengine.optim import DefaultOptimWrapperConstructor

        @OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
        class HeadOnly(DefaultOptimWrapperConstructor):
            def add_params(self, params, module, **kwargs):
                params += [dict(params=[p], lr=0.5) for p in module.head.parameters()]
    """
    (tmp_path / "lldtool_test_head_only.py").write_text(textwrap.dedent(module))
    monkeypatch.syspath_prepend(tmp_path)
    plan = plan_of(
        "custom_imports = dict(imports=['lldtool_test_head_only'])\n"
        "optim_wrapper['constructor'] = 'HeadOnly'"
    )
    assert {p.name: p.lr for p in plan.parameters} == {"head.fc.weight": 0.5, "head.fc.bias": 0.5}
    assert {p.lr_scale for p in plan.parameters} == {500.0}
    assert {p.weight_decay for p in plan.parameters} == {0.05}  # torch fills it in
    assert "backbone.cls_token" in {p.name for p in plan.left_out}


def test_several_optimizers(plan_of, tmp_path, monkeypatch):
    module = """
        from mmengine.optim import OptimWrapperDict
        from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS

        @OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
        class PerModule:
            def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
                self.cfg = optim_wrapper_cfg
            def __call__(self, model):
                wrappers = {}
                for name, cfg in self.cfg.items():
                    params = getattr(model, name).parameters()
                    optimizer = OPTIMIZERS.build(dict(cfg.optimizer, params=params))
                    kind = cfg.get('type', 'OptimWrapper')
                    wrappers[name] = OPTIM_WRAPPERS.build(dict(type=kind, optimizer=optimizer))
                return OptimWrapperDict(**wrappers)
    """
    (tmp_path / "lldtool_test_per_module.py").write_text(textwrap.dedent(module))
    monkeypatch.syspath_prepend(tmp_path)
    plan = plan_of(
        """
        custom_imports = dict(imports=['lldtool_test_per_module'])
        optim_wrapper = dict(
            constructor='PerModule',
            backbone=dict(type='AmpOptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
            head=dict(optimizer=dict(type='AdamW', lr=0.2, weight_decay=0.3)))
        """
    )
    assert plan.optimizer.type == "backbone: SGD, head: AdamW"
    by_name = {p.name: (p.lr, p.weight_decay) for p in plan.parameters}
    assert by_name["backbone.cls_token"] == (0.1, 0.0)
    assert by_name["head.fc.weight"] == (0.2, 0.3)


def test_extra_entries_of_a_custom_key_are_kept(plan_of):
    plan = plan_of(
        "optim_wrapper['paramwise_cfg']['custom_keys'] = "
        "{'head': dict(lr_mult=10., betas=(0.8, 0.9)), 'cls_token': dict(eps=1e-8)}"
    )
    extras = {p.name: p.extras for p in plan.parameters}
    assert extras["head.fc.bias"] == {"lr_mult": 10.0, "betas": [0.8, 0.9]}
    assert extras["backbone.cls_token"] == {}  # AdamW's own default
    assert extras["backbone.pos_embed"] == {}


AUTO_SCALE = "train_dataloader = dict(batch_size=64)\nauto_scale_lr = dict(base_batch_size=1024)\n"


def test_auto_scale_lr_is_what_the_runner_does(plan_of):
    plain = plan_of(AUTO_SCALE)
    scaled = plan_of(AUTO_SCALE, auto_scale_lr=True, world_size=8)
    for before, after in zip(plain.parameters, scaled.parameters, strict=True):
        assert after.lr == before.lr * (float(8 * 64) / float(1024))
        assert after.lr_scale == before.lr_scale
    assert "auto_scale_lr: every lr × 8 × 64 ÷ 1024 = × 0.5" in scaled.notes


def test_world_size_without_auto_scale_lr_is_said_to_change_no_lr(plan_of):
    for config in ("", AUTO_SCALE):
        plan = plan_of(config, world_size=8)
        assert settings(plan) == settings(plan_of(config))
        assert any(note.startswith("--world-size 8 changes no lr") for note in plan.notes)
        assert not any("--world-size" in note for note in plan_of(config).notes)
    for scaled in (
        plan_of(AUTO_SCALE, auto_scale_lr=True, world_size=8),
        plan_of(AUTO_SCALE.replace("1024", "1024, enable=True"), world_size=8),
    ):
        assert not any("changes no lr" in note for note in scaled.notes)  # fmt: skip


def test_auto_scale_lr_that_the_config_enables_is_noted(plan_of):
    enabled = AUTO_SCALE.replace("1024", "1024, enable=True")
    plan = plan_of(enabled)
    assert settings(plan) == settings(plan_of())
    assert any("training multiplies every lr by GPUs × 64 ÷ 1024" in note for note in plan.notes)
    assert plan_of(enabled, world_size=16).parameters[0].lr == plan.parameters[0].lr


def test_cfg_options_are_merged(plan_of):
    plan = plan_of(cfg_options={"optim_wrapper.paramwise_cfg.layer_decay_rate": 0.5})
    assert plan.constructor.paramwise_cfg["layer_decay_rate"] == 0.5
    assert plan.parameters[0].lr_scale == 0.5**13


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("k=1", 1), ("k=1.5", 1.5), ("k=true", True), ("k=None", None), ("k=a", "a"),
        ("k=1,2", [1, 2]), ("k=[1,2]", [1, 2]), ("k=(1,2)", (1, 2)), ("k='[a,b]'", ["a", "b"]),
        ('k="(0.9, 0.95)"', (0.9, 0.95)), ("k=[(1,2),(3,4)]", [(1, 2), (3, 4)]), ("k=a=b", "a=b"),
        ("k=", ""),
    ],
)  # fmt: skip
def test_cfg_options_are_parsed_as_mmengine_does(pair, value):
    from lldtool.dryrun.edits import overrides

    assert overrides((pair,)) == {"k": value}


def test_json_and_yaml_configs(plan_of, tmp_path):
    from mmengine.config import Config

    expected = plan_of()
    Config.fromfile(tmp_path / "config.py").dump(tmp_path / "dumped.json")
    Config.fromfile(tmp_path / "config.py").dump(tmp_path / "dumped.yaml")
    assert settings(lldtool.dry_run(tmp_path / "dumped.json")) == settings(expected)
    assert settings(lldtool.dry_run(tmp_path / "dumped.yaml")) == settings(expected)


def test_the_default_scope_of_the_session_is_left_as_it_was(plan_of):
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope("mmdet"):
        plan_of()
        assert DefaultScope.get_current_instance().scope_name == "mmdet"


def test_the_session_is_left_as_it_was(plan_of):
    import gc
    import logging
    import os
    import socket

    import torch

    def state():
        return (
            gc.isenabled(), logging.root.manager.disable, os._exit, socket.socket.connect,
            socket.getaddrinfo, torch.optim.Optimizer.add_param_group, list(sys.path), sys.stdout,
        )  # fmt: skip

    before = state()
    plan_of()
    assert state() == before


def test_custom_imports_find_modules_of_the_working_directory(plan_of, tmp_path):
    (tmp_path / "lldtool_test_project").mkdir()
    (tmp_path / "lldtool_test_project" / "__init__.py").write_text("loaded = True\n")
    plan_of("custom_imports = dict(imports=['lldtool_test_project'])")
    assert sys.modules["lldtool_test_project"].loaded


DECLARING = """
import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.registry import MODELS


@MODELS.register_module(force=True)
class Declaring(VisionTransformer):
    def no_weight_decay(self):
        return ['pos_embed']

    def no_weight_decay_keywords(self):
        return ['ln1']


@MODELS.register_module(force=True)
class Failing(VisionTransformer):
    def no_weight_decay(self):
        raise RuntimeError('oh')


def not_a_module(**options):
    return options


MODELS.register_module('NotAModule', module=not_a_module, force=True)
"""


@pytest.fixture
def declaring(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "declaring.py").write_text(DECLARING)

    def write(old, new):
        text = TINY_VIT.replace(old, new) + "custom_imports = dict(imports=['declaring'])\n"
        (tmp_path / "config.py").write_text(text)
        return tmp_path / "config.py"

    yield write
    sys.modules.pop("declaring", None)


def test_what_a_model_declares_to_be_undecayed_is_a_trait(declaring):
    plan = lldtool.dry_run(declaring("'VisionTransformer'", "'Declaring'"))
    declared = {p.name for p in plan.parameters if "no_weight_decay" in p.traits}
    assert "backbone.pos_embed" in declared
    assert {n for n in declared if "ln1" in n} == {
        p.name for p in plan.parameters if "ln1" in p.name
    }
    assert "backbone.cls_token" not in declared


def test_a_declaration_that_fails_costs_the_trait_only(declaring):
    plan = lldtool.dry_run(declaring("'VisionTransformer'", "'Failing'"))
    assert not any("no_weight_decay" in p.traits for p in plan.parameters)


def test_a_model_that_is_no_module_is_an_error(declaring):
    with pytest.raises(lldtool.LldtoolError, match="model builds a dict"):
        lldtool.dry_run(declaring("'ImageClassifier'", "'NotAModule'"))


def test_a_config_without_a_scope_gets_mmpretrain_where_its_model_is(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(TINY_VIT.replace("default_scope = 'mmpretrain'", ""))
    (note,) = [n for n in lldtool.dry_run(path).notes if "default_scope" in n]
    assert "mmpretrain assumed" in note

"""A reason is one that the constructor follows, not one whose number happens to agree."""

import pytest
from conftest import TINY_VIT

import lldtool

MODULE = """
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor

register = OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)

@register
class NeverDecaysVectors(DefaultOptimWrapperConstructor):
    def add_params(self, params, module, prefix='', **kwargs):
        super().add_params(params, module, prefix, **kwargs)
        for group in params if prefix == '' else ():
            if group['params'][0].ndim == 1:
                group['weight_decay'] = 0.0

@register
class SetsTheHead(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        wrapper = super().__call__(model)
        for group in wrapper.optimizer.param_groups:
            if any(p is model.head.fc.weight for p in group['params']):
                group['lr'] = 0.01
        return wrapper

@register
class OnlyTheFirstKey(DefaultOptimWrapperConstructor):
    def _validate_cfg(self):
        super()._validate_cfg()
        keys = self.paramwise_cfg.get('custom_keys', {})
        first = dict(list(keys.items())[:1])
        self.paramwise_cfg = dict(self.paramwise_cfg, custom_keys=first)

@register
class SwitchesNormsOff(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        assert self.paramwise_cfg['norm_decay_mult'] in (0, 1)
        return super().__call__(model)

@register
class Renamed(LearningRateDecayOptimWrapperConstructor):
    pass

@register
class WithoutOptions(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        from mmengine.registry import OPTIMIZERS, OPTIM_WRAPPERS
        groups = [dict(params=list(model.backbone.parameters()), lr=1e-3),
                  dict(params=list(model.head.parameters()))]
        optimizer = OPTIMIZERS.build(dict(self.optimizer_cfg, params=groups))
        return OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=optimizer))
"""


@pytest.fixture
def reasons(tmp_path, monkeypatch):
    """The reasons that a constructor's settings have, given its options."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "proof_module.py").write_text(MODULE)

    def explained(constructor, options=""):
        path = tmp_path / "config.py"
        path.write_text(
            f"{TINY_VIT}custom_imports = dict(imports=['proof_module'])\n"
            f"optim_wrapper['constructor'] = '{constructor}'\n"
            f"optim_wrapper['paramwise_cfg'] = dict({options})\n"
        )
        return {p.name: p.reason for p in lldtool.dry_run(path).parameters}

    return explained


NORM, WEIGHT, HEAD = "backbone.ln1.weight", "backbone.layers.0.attn.qkv.weight", "head.fc.weight"


def test_an_option_whose_number_agrees_by_chance_is_no_reason(reasons):
    found = reasons("NeverDecaysVectors", "norm_decay_mult=0.0, custom_keys={'head': {}}")
    assert found[NORM].weight_decay.rule == "constructor"
    assert found[NORM].lr.rule == "base"
    assert found[WEIGHT].weight_decay.rule == "base"
    assert found[HEAD].weight_decay.key == "head"


def test_a_key_whose_value_the_constructor_gives_is_no_reason(reasons):
    found = reasons("SetsTheHead", "custom_keys={'head': dict(lr_mult=10.0)}")
    assert found[HEAD].lr.rule == "constructor"  # 0.001 × 10 is 0.01 as well
    assert found["head.fc.bias"].lr.key == "head"


def test_a_key_that_the_constructor_drops_is_no_reason(reasons):
    keys = "custom_keys={'.ln1': dict(decay_mult=0.0), 'head': dict(decay_mult=1.0)}"
    found = reasons("OnlyTheFirstKey", keys)
    assert found[NORM].weight_decay.key == ".ln1"
    assert found[HEAD].weight_decay.rule == "constructor"


def test_an_option_that_takes_few_values_is_proven_by_itself(reasons):
    found = reasons("SwitchesNormsOff", "norm_decay_mult=0.0, bias_decay_mult=0.5")
    assert found[NORM].weight_decay.rule == "norm_decay_mult"
    assert found["head.fc.bias"].weight_decay.rule == "bias_decay_mult"


def test_a_subclass_that_changes_nothing_keeps_all_reasons(reasons):
    found = reasons("Renamed", "layer_decay_rate=0.5, norm_decay_mult=0.0, flat_decay_mult=0.5")
    assert found[NORM].weight_decay.rule == "norm_decay_mult"
    assert found[NORM].weight_decay.beats == ("flat_decay_mult",)
    assert found[WEIGHT].weight_decay.misses == ("norm_decay_mult", "flat_decay_mult")
    assert {one.lr.rule for one in found.values()} == {"layer_decay"}


def test_base_settings_that_a_constructor_without_options_sets_itself_are_no_reason(reasons):
    found = reasons("WithoutOptions")
    assert found[WEIGHT].lr.rule == "constructor"  # which is the base lr, written out
    assert found[HEAD].lr.rule == "base"
    assert found[WEIGHT].weight_decay.rule == "base"


def test_a_method_that_was_replaced_is_not_the_published_one(reasons, monkeypatch):
    from mmengine.optim import DefaultOptimWrapperConstructor

    published = DefaultOptimWrapperConstructor.add_params

    def replaced(self, params, module, prefix="", **kwargs):
        published(self, params, module, prefix, **kwargs)
        for group in params if prefix == "" else ():
            group["weight_decay"] = 0.0

    monkeypatch.setattr(DefaultOptimWrapperConstructor, "add_params", replaced)
    found = reasons("DefaultOptimWrapperConstructor", "norm_decay_mult=0.0")
    assert found[NORM].weight_decay.rule == "constructor"

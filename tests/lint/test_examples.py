"""An example is its base and what differs, as mmengine merges a config into its `_base_`."""

from mmengine.config import Config

from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, SGD, Example


def config(example):
    return Config.fromstring(example.text, ".py").to_dict()


def test_an_example_adds_options_to_those_of_its_base():
    options = config(Example(LAYER_DECAY, {"norm_decay_mult": 0.0}))["optim_wrapper"]
    assert options["paramwise_cfg"] == {"layer_decay_rate": 0.75, "norm_decay_mult": 0.0}


def test_an_example_changes_entries_as_mmengine_does():
    base, changed = config(Example(SGD)), Config(config(Example(SGD)))
    entries = {
        "model.backbone.depth": 18,
        "optim_wrapper.optimizer": {"_delete_": True, "type": "AdamW"},
        "optim_wrapper.clip_grad": {"max_norm": float("inf")},
    }
    changed.merge_from_dict(entries)
    assert config(Example(SGD, config=entries)) == changed.to_dict()
    assert config(Example(SGD)) == base


def test_an_example_may_have_another_model_than_its_base():
    swin = config(Example(RECIPE, model="swin"))
    assert swin["model"]["backbone"]["type"] == "SwinTransformer"
    assert swin["optim_wrapper"] == config(Example(RECIPE))["optim_wrapper"]

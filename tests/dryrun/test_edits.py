"""`--with KEY=VALUE` on configs."""

import pytest
from mmengine.config import Config

from lldtool.dryrun.edits import apply_edits, apply_overrides
from lldtool.errors import LldtoolError


def edited(*edits):
    config = Config(
        {
            "optim_wrapper": {
                "optimizer": {"type": "AdamW", "lr": 0.1},
                "paramwise_cfg": {
                    "rate": 0.75,
                    "custom_keys": {
                        ".ln": {"decay_mult": 0.0},
                        ".ln.bias": {"decay_mult": 0.5},
                        "backbone.layers.0": {"lr_mult": 1.0},
                        "head": {"lr_mult": 10},
                    },
                },
            },
            "hooks": [{"type": "A"}, {"type": "B"}],
        }
    )
    apply_edits(config, edits)
    return config.to_dict()


KEYS = "optim_wrapper.paramwise_cfg.custom_keys"


def custom_keys(*edits):
    return edited(*edits)["optim_wrapper"]["paramwise_cfg"]["custom_keys"]


def test_a_plain_key_is_set():
    assert edited("optim_wrapper.optimizer.lr=2e-3")["optim_wrapper"]["optimizer"]["lr"] == 2e-3


def test_a_new_plain_key_is_set():
    optimizer = edited("optim_wrapper.optimizer.betas=(0.9,0.95)")["optim_wrapper"]["optimizer"]
    assert optimizer["betas"] == (0.9, 0.95)
    assert optimizer["type"] == "AdamW"


@pytest.mark.parametrize("key", [".ln", ".ln.bias", "backbone.layers.0", "head"])
def test_one_custom_key_is_removed_though_keys_contain_dots(key):
    left = custom_keys(f"{KEYS}.{key}=DELETE")
    assert left == {k: v for k, v in custom_keys().items() if k != key}


def test_the_option_of_a_custom_key_is_removed():
    assert custom_keys(f"{KEYS}.backbone.layers.0.lr_mult=DELETE")["backbone.layers.0"] == {}


def test_the_longest_key_is_taken():
    assert custom_keys(f"{KEYS}..ln.bias.decay_mult=1")[".ln.bias"] == {"decay_mult": 1}
    assert custom_keys(f"{KEYS}..ln.decay_mult=1")[".ln"] == {"decay_mult": 1}


def test_a_new_custom_key_goes_up_to_its_option():
    assert custom_keys(f"{KEYS}..norm.decay_mult=0")[".norm"] == {"decay_mult": 0}
    assert custom_keys(f"{KEYS}.a.b.c.lr_mult=2")["a.b.c"] == {"lr_mult": 2}


def test_a_value_in_braces_is_a_dict():
    assert custom_keys(f"{KEYS}..norm={{'decay_mult': 0.}}")[".norm"] == {"decay_mult": 0.0}
    merged = custom_keys(KEYS + "={'head': {'lr_mult': 5}}")
    assert merged["head"] == {"lr_mult": 5}
    assert ".ln" in merged
    replaced = custom_keys(KEYS + "={'_delete_': True, 'head': {'lr_mult': 5}}")
    assert replaced == {"head": {"lr_mult": 5}}


def test_items_of_lists():
    assert edited("hooks.1.type=C")["hooks"] == [{"type": "A"}, {"type": "C"}]
    assert edited("hooks.0=DELETE")["hooks"] == [{"type": "B"}]


def test_edits_are_made_one_after_the_other():
    edits = (f"{KEYS}=DELETE", f"{KEYS}.head.lr_mult=3")
    assert custom_keys(*edits) == {"head": {"lr_mult": 3}}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("nothing", "expected KEY=VALUE"),
        ("=1", "expected KEY=VALUE"),
        (f"{KEYS}..norm=DELETE", "the config has no '.norm' to delete there"),
        (f"{KEYS}.heat=DELETE", "did you mean 'head'?"),
        (f"{KEYS}.backbone.layer.0=DELETE", "did you mean 'backbone.layers.0'?"),
        (f"{KEYS}..norm=1.0", "a custom key needs an option"),
        (f"{KEYS}.norm=1.0", "a custom key needs an option"),
        ("optim_wrapper.optimizer.lr.x=DELETE", "the config has no 'x'"),
        ("hooks.7=DELETE", "the config has no '7'"),
        ("hooks.7.type=C", 'hooks.7.type: KeyError: "Index 7'),
        ("a={1: ", "is no Python dict"),
        ("a=[1,(2]", "Imbalanced brackets"),
    ],
)
def test_what_cannot_be_done_is_an_error(edit, message):
    with pytest.raises(LldtoolError) as raised:
        edited(edit)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("edit", "near"),
    [
        ("optim_wraper.x=1", "optim_wrapper"),
        ("optim_wrapper.optimizer.typ=SGD", "type"),
        ("type=SGD", "optim_wrapper.optimizer.type"),
        ("optimizer.lr=1", "optim_wrapper.optimizer.lr"),
    ],
)
def test_a_new_key_that_is_nearly_one_of_the_config_is_noted(edit, near):
    content = {"optim_wrapper": {"optimizer": {"type": "AdamW"}}}
    key, _, value = edit.partition("=")
    noted = [f"{key} is new to the config: did you mean {near!r}?"]
    assert apply_edits(Config(content), [edit]) == noted
    assert apply_overrides(Config(content), {key: value}) == noted


def test_another_new_key_is_not_noted():
    assert apply_edits(Config({"optim_wrapper": {"lr": 1}}), ["optim_wrapper.betas=1"]) == []
    assert apply_overrides(Config({"optim_wrapper": {"lr": 1}}), {"optim_wrapper.betas": 1}) == []

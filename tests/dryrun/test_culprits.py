"""Which entry of a config makes its constructor raise, where it stands, and what fixes it."""

import pytest
from conftest import TINY_VIT
from pasting import pasted

from lldtool.config.request import Request
from lldtool.lint.engine import check_config
from lldtool.lint.policy import Policy

#: A constructor as mmdet's and mmseg's, which need `decay_rate`.
OWN = """
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

@OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
class NeedsDecayRate(DefaultOptimWrapperConstructor):
    def add_params(self, params, module, **kwargs):
        rate = self.paramwise_cfg.get('decay_rate')
        for name, p in module.named_parameters():
            params.append({'params': [p], 'lr': self.base_lr * rate ** 2})
"""
LAYER_DECAY = "constructor='LearningRateDecayOptimWrapperConstructor'"


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """The finding of LLD401 in a config, and the text of what it points at."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needs_decay_rate.py").write_text(OWN)
    base = TINY_VIT.partition("optim_wrapper")[0]
    own = "custom_imports = dict(imports=['needs_decay_rate'])\n"

    def check(optim_wrapper, name="config.py"):
        path = tmp_path / name
        path.write_text(base + own + optim_wrapper if name.endswith(".py") else optim_wrapper)
        result = check_config(Policy(), Request(path, name))
        (finding,) = [f for f in result.diagnostics if f.code == "LLD401"]
        assert result.error == finding.message
        line = path.read_text().splitlines()[finding.place.line - 1]
        named = line[finding.place.column - 1 : finding.place.end_column - 1].strip("'\"")
        return finding, named

    return check


def wrapper(optimizer, rest=""):
    return f"optim_wrapper = dict(\n    {rest}optimizer=dict(\n        {optimizer}))\n"


ADAMW = "type='AdamW', lr=1e-3, weight_decay=0.05"
QUOTED = "a number in quotes"
FIXED = {
    "lr": (wrapper("type='AdamW', lr='1e-3', weight_decay=0.05"), "lr", QUOTED),
    "lr with layer decay": (
        wrapper("type='AdamW', lr='1e-3', weight_decay=0.05", f"{LAYER_DECAY}, "), "lr", QUOTED
    ),
    "weight_decay": (wrapper("type='SGD', lr=0.1, weight_decay='1'"), "weight_decay", QUOTED),
    "one of betas": (wrapper(f"{ADAMW}, betas=(0.9, '0.98')"), "betas", QUOTED),
    "mult of a key": (
        wrapper(ADAMW, "paramwise_cfg=dict(custom_keys={'head': dict(lr_mult='10')}), "),
        "lr_mult", QUOTED,
    ),
    "key that is no string": (
        wrapper(ADAMW, "paramwise_cfg=dict(custom_keys={0: dict(lr_mult=2.)}), "), "0",
        "custom key 0 is not a string",
    ),
    "rate": (
        wrapper(ADAMW, f"{LAYER_DECAY}, paramwise_cfg=dict(layer_decay_rate='0.75'), "),
        "layer_decay_rate", QUOTED,
    ),
    "two numbers": (
        wrapper("type='AdamW', lr='1e-3', weight_decay='0.05'"), "lr", "are numbers as text"
    ),
    "misspelt": (
        wrapper(f"{ADAMW}, beta=(0.9, 0.98)"), "beta",
        "AdamW has no argument 'beta' (did you mean 'betas'?)",
    ),
    "of another optimizer": (
        wrapper(f"{ADAMW}, momentum=0.9"), "momentum", "AdamW has no argument 'momentum'"
    ),
    "misspelt of the wrapper": (
        wrapper(ADAMW, "clip_gradient=dict(max_norm=1.0), "), "clip_gradient", "has no argument"
    ),
    "constructor option": (
        wrapper(f"{ADAMW}, layer_decay_rate=0.9", f"{LAYER_DECAY}, "), "layer_decay_rate",
        "belongs in optim_wrapper.paramwise_cfg, not in optim_wrapper.optimizer",
    ),
    "constructor option in the wrapper": (
        wrapper(ADAMW, "norm_decay_mult=0.0, "), "norm_decay_mult",
        "belongs in optim_wrapper.paramwise_cfg, not in optim_wrapper",
    ),
    "clip_grad": (
        wrapper(f"{ADAMW}, clip_grad=dict(max_norm=1.0)"), "clip_grad",
        "belongs in optim_wrapper, not in optim_wrapper.optimizer",
    ),
    "accumulative_counts": (
        wrapper(f"{ADAMW}, accumulative_counts=4"), "accumulative_counts", "belongs in"
    ),
    "constructor and its options": (
        wrapper(f"{ADAMW}, {LAYER_DECAY}, paramwise_cfg=dict(layer_decay_rate=0.9)"),
        "constructor", "belongs in optim_wrapper, not in optim_wrapper.optimizer",
    ),
    "several mistakes": (
        wrapper(f"{ADAMW}, eps='1e-8', momentum=0.9, accumulative_counts=2", "dtyp=1, "),
        "momentum", "AdamW has no argument 'momentum'",
    ),
    "lr in the wrapper": (
        wrapper("type='SGD'", "lr=0.1, "), "lr", "lr belongs in optim_wrapper.optimizer"
    ),
    "_delete_ in the optimizer": (
        wrapper(f"{ADAMW}, _delete_=True"), "_delete_", "has nothing inherited to replace"
    ),
    "_delete_ in the wrapper": (
        wrapper(ADAMW, "_delete_=True, "), "_delete_", "has nothing inherited to replace"
    ),
    "rate by another name": (
        wrapper(ADAMW, "constructor='NeedsDecayRate', paramwise_cfg=dict(layer_decay_rate=0.9), "),
        "layer_decay_rate", "NeedsDecayRate reads 'decay_rate', not 'layer_decay_rate'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "named", "problem"), FIXED.values(), ids=FIXED)
def test_the_finding_is_at_the_wrong_entry_and_its_suggestion_works(
    checked, tmp_path, text, named, problem
):
    finding, at = checked(text)
    assert at == named
    assert problem in finding.message
    assert "training fails at startup with" in finding.message
    path = tmp_path / "config.py"
    path.write_text(pasted(finding.suggestion, path))
    assert check_config(Policy(), Request(path, "config.py")).error is None


#: What can't be corrected without knowing what was meant.
LEFT_OUT = {
    "betas": (wrapper(f"{ADAMW}, betas=0.9"), "betas"),
    "negative lr": (wrapper("type='SGD', lr=-0.1", f"{LAYER_DECAY}, "), "lr"),
    "clip_grad": (wrapper(ADAMW, "clip_grad=1.0, "), "clip_grad"),
    "custom key": (
        wrapper(ADAMW, "paramwise_cfg=dict(custom_keys={'head': 0.1}), "), "head"
    ),
    "text": (wrapper(ADAMW, f"{LAYER_DECAY}, paramwise_cfg=dict(layer_decay_rate='high'), "),
             "layer_decay_rate"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "named"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_wrong_value_is_found_by_leaving_it_out(checked, text, named):
    finding, at = checked(text)
    assert at == named
    assert finding.suggestion is None


def test_where_no_single_entry_is_to_blame_the_constructor_is(checked):
    text = wrapper(ADAMW, "constructor='NeedsDecayRate', paramwise_cfg=dict(bias_lr_mult=2.0), ")
    finding, at = checked(text)
    assert at == "constructor"
    assert finding.message.startswith("NeedsDecayRate: training fails at startup with TypeError")


def test_yaml_takes_a_number_without_a_dot_for_text(checked):
    finding, at = checked(
        "default_scope: mmpretrain\n"
        "model: {type: ImageClassifier, backbone: {type: LeNet5, num_classes: 10}}\n"
        "optim_wrapper:\n  optimizer:\n    type: SGD\n    lr: 1e-5\n",
        "config.yaml",
    )
    assert at == "lr"
    assert "lr is '1e-5', which YAML takes for text (write it with a dot" in finding.message
    assert finding.suggestion.endswith("\nlr: 1.0e-05")


@pytest.mark.parametrize("dict_", ["type='ImageClassifier'", "type='LeNet5'"])
def test_a_delete_of_the_model_that_replaces_nothing_is_named(cli, tmp_path, dict_):
    text = f"""
default_scope = 'mmpretrain'
model = dict(type='ImageClassifier', backbone=dict(type='LeNet5', num_classes=3))
{wrapper(ADAMW)}"""
    path = tmp_path / "config.py"
    path.write_text(text.replace(dict_, f"{dict_}, _delete_=True"))
    result = cli("inspect", str(path))
    assert result.code == 2
    assert "(leave out _delete_, which has nothing inherited to replace)" in result.err


def test_a_delete_of_a_scheduler_that_replaces_nothing_is_named(cli, tmp_path):
    scheduler = "param_scheduler = dict(type='StepLR', step_size=2, _delete_=True)\n"
    path = tmp_path / "config.py"
    path.write_text(TINY_VIT + scheduler)
    result = cli("schedule", str(path), "--epoch-length", "2", "--epochs", "3")
    assert result.code == 2
    assert "(leave out _delete_, which has nothing inherited to replace)" in result.err

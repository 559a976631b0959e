"""Options without effect are found however a constructor looks at them, by what they change."""

import pytest
from conftest import TINY_VIT, slow

from lldtool.config.request import Request
from lldtool.lint.engine import check_config
from lldtool.lint.policy import Policy
from lldtool.workers.pool import Fleet

#: How a constructor may take its options -> code that makes `options` of `self.paramwise_cfg`.
WAYS = {
    "get": "options = self.paramwise_cfg",
    "deepcopy": "options = copy.deepcopy(self.paramwise_cfg)",
    "dict": "options = dict(self.paramwise_cfg)",
    "copy": "options = self.paramwise_cfg.copy()",
    "items": "options = {key: value for key, value in self.paramwise_cfg.items()}",
    "unpacking": "options = (lambda **known: known)(**self.paramwise_cfg)",
    "repr": "options = self.paramwise_cfg; repr(options)",
    "json": "options = json.loads(json.dumps(self.paramwise_cfg))",
    "f-string": "options = self.paramwise_cfg; text = f'{options}'",
    "logging": "options = self.paramwise_cfg; logging.getLogger('x').info('with %s', options)",
    "print": "options = self.paramwise_cfg; print(options)",
    "to_dict": "options = self.paramwise_cfg.to_dict()",
}
MODULE = """
import copy, json, logging
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS, OPTIM_WRAPPERS

@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class Own(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        {way}
        head = self.base_lr * options.get('head_lr', 1.0)
        groups = [
            dict(params=[p], lr=head if name.startswith('head') else self.base_lr,
                 weight_decay=0.0 if p.ndim == 1 else self.base_wd)
            for name, p in model.named_parameters()]
        optimizer = OPTIMIZERS.build(dict(self.optimizer_cfg, params=groups))
        return OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=optimizer))
"""
OPTIONS = """
custom_imports = dict(imports=['my_code'])
optim_wrapper['constructor'] = 'Own'
optim_wrapper['paramwise_cfg'] = dict(
    head_lr=10.0, norm_decay_mult=0.0, headlr=3.0, custom_keys={'head': dict(lr_mult=10)})
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def fleet():
    with Fleet(2, timeout=60) as running:
        yield running


def findings(fleet, folder, way, options):
    (folder / "my_code.py").write_text(MODULE.format(way=WAYS[way]))
    path = folder / "config.py"
    path.write_text(TINY_VIT + options)
    result = fleet.submit(check_config, Policy(), Request(path, "config.py")).result()
    assert result.error is None
    return {f.key.rpartition(".")[2]: f for f in result.diagnostics if f.code.startswith("LLD3")}


@pytest.mark.parametrize("way", ["get", "json", *map(slow, sorted(WAYS.keys() - {"get", "json"}))])
def test_options_that_change_nothing_have_no_effect(way, fleet, tmp_path):
    found = findings(fleet, tmp_path, way, OPTIONS)
    codes = {key: finding.code for key, finding in found.items()}
    assert codes == {"norm_decay_mult": "LLD305", "headlr": "LLD304", "custom_keys": "LLD305"}
    assert all("has no effect" in finding.message for finding in found.values())


def test_an_option_that_is_left_out_with_effect_is_not_to_be_deleted(fleet, tmp_path):
    only = OPTIONS.replace(
        "head_lr=10.0, norm_decay_mult=0.0, headlr=3.0, custom_keys={'head': dict(lr_mult=10)}",
        "norm_decy_mult=0.0",
    ).replace("'Own'", "'DefaultOptimWrapperConstructor'")
    frozen = "model['backbone']['frozen_stages'] = 2\n"  # which the constructor leaves out now
    found = findings(fleet, tmp_path, "get", only + frozen)["norm_decy_mult"]
    assert "leaving it out changes" in found.message
    assert "did you mean 'norm_decay_mult'" in found.message
    assert "delete" not in (found.suggestion or "") or "norm_decay_mult=0.0" in found.suggestion


def test_keys_that_a_constructor_reads_as_patterns_do_match(fleet, tmp_path):
    way = "options = self.paramwise_cfg; import re; self.base_wd *= 0.5 if any("
    way += "re.search(k, 'backbone.ln1') for k in options.get('custom_keys', {})) else 1.0"
    WAYS["patterns"] = way
    pattern = "optim_wrapper['paramwise_cfg'] = dict(custom_keys={'b.*ln': dict(decay_mult=0.0)})\n"
    try:
        assert "b.*ln" not in str(findings(fleet, tmp_path, "patterns", OPTIONS + pattern))
    finally:
        del WAYS["patterns"]


def test_an_option_that_is_read_and_changes_nothing_is_information(fleet, tmp_path):
    WAYS["overruled"] = (
        "options = self.paramwise_cfg\n"
        "        self.base_wd *= options.get('norm_decay_mult', 0) * 0 + 1"
    )
    try:
        found = findings(fleet, tmp_path, "overruled", OPTIONS)["norm_decay_mult"]
    finally:
        del WAYS["overruled"]
    assert found.severity.value == "info"
    assert "Own reads it, but nothing in the optimizer changes" in found.message

"""Reasons: attached where they hold to the last bit, and only there."""

import sys
import textwrap
from types import ModuleType

import pytest
from captures import dry_run_keys
from conftest import SAMPLES, layer_decay_configs, make_parameter, unexplained

import lldtool
from lldtool.config.request import Request
from lldtool.dryrun import tracing
from lldtool.dryrun.tracers import merging
from lldtool.dryrun.tracers import mmengine as default
from lldtool.dryrun.tracing import Setup, Trace, traced, with_reasons
from lldtool.plan import Reason, Reasons


@pytest.mark.parametrize("name", layer_decay_configs())
def test_every_parameter_of_a_layer_decay_config_has_a_verified_reason(name):
    assert unexplained(lldtool.dry_run(f"mmpretrain::{name}")) == []


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_parameter_of_a_sample_config_has_a_verified_reason(path):
    assert unexplained(lldtool.dry_run(path)) == []


@pytest.fixture(scope="module")
def keys_only():
    plan = lldtool.dry_run(SAMPLES / "vit-base_layer-decay_keys-only.py")
    return {p.name: p.reason for p in plan.parameters}


@pytest.fixture(scope="module")
def example():
    plan = lldtool.dry_run(SAMPLES / "vit-base_layer-decay.py")
    return {p.name: p.reason for p in plan.parameters}


def test_the_longest_custom_key_wins_and_beats_the_shorter(keys_only):
    reason = keys_only["backbone.layers.3.ln1.bias"].weight_decay
    assert (reason.rule, reason.key, reason.mult) == ("custom_key", ".bias", 0.0)
    assert reason.beats == ("custom_key:.ln",)


def test_the_norm_rule_beats_the_flat_rule(example):
    reason = example["backbone.layers.3.ln1.weight"].weight_decay
    assert (reason.rule, reason.beats) == ("norm_decay_mult", ("flat_decay_mult",))
    assert reason.would_give == (0.0,)
    assert reason.misses == ("custom_key:.cls_token", "custom_key:.pos_embed")


def test_options_that_do_not_apply_are_misses(example):
    reason = example["backbone.patch_embed.projection.weight"].weight_decay
    assert reason.rule == "base"
    assert reason.misses[-2:] == ("norm_decay_mult", "flat_decay_mult")


def test_layer_decay_names_its_depth(example):
    reason = example["backbone.layers.3.ln1.weight"].lr
    assert (reason.rule, reason.key, reason.max_layer_id) == ("layer_decay", "layer_decay_rate", 14)
    assert reason.mult == 0.75 ** (14 - 4 - 1)


def setup_of(**changes):
    fields = {
        "model": None, "paramwise_cfg": {"x": 1}, "base_lr": 2e-3, "base_weight_decay": 0.05,
        "defaults": {}, "parameters": (make_parameter("a", lr=1e-3, weight_decay=0.05),),
    }  # fmt: skip
    return Setup(**fields | changes)


def explained(constructor, setup):
    """The only parameter with its reasons, and the note."""
    traces, note = traced(constructor, setup)
    (parameter,) = with_reasons(setup.parameters, traces or {})
    return parameter, note


@pytest.fixture
def deformable_net(monkeypatch):
    """A model with what mmengine's rules tell apart, for which mmcv's ops need not be compiled."""
    import torch
    from mmengine.optim.optimizer import default_constructor
    from mmengine.utils import dl_utils

    class DeformConv2d(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.zeros(2))
            self.conv_offset = torch.nn.Conv2d(4, 2, 1)
            self.conv_offset_norm = torch.nn.BatchNorm2d(2)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.conv_offset = torch.nn.Conv2d(4, 2, 1)
            self.depthwise = torch.nn.Conv2d(4, 4, 3, groups=4)
            self.norm = torch.nn.BatchNorm2d(4)
            self.deformable = DeformConv2d()
            self.modulated = type("ModulatedDeformConv2d", (DeformConv2d,), {})()
            self.frozen = torch.nn.Linear(2, 2).requires_grad_(False)
            self.last = torch.nn.Linear(2, 2)

    ops, net = ModuleType("mmcv.ops"), Net()
    ops.DeformConv2d, ops.ModulatedDeformConv2d = DeformConv2d, type(net.modulated)
    monkeypatch.setitem(sys.modules, "mmcv.ops", ops)
    for module in (dl_utils, default_constructor):
        monkeypatch.setattr(module, "mmcv_full_available", lambda: True)
    return net


LR_MULTS = {"bias_lr_mult": 2.0, "dcn_offset_lr_mult": 0.5}
MULTS = LR_MULTS | {
    f"{kind}_decay_mult": 0.1 * i for i, kind in enumerate(("norm", "bias", "dwconv", "flat"))
}
KEYS = {
    "conv": {"lr_mult": 2.0},
    "conv_offset": {},
    "norm": {"lr": 0.7, "weight_decay": 0.9},
    ".scale": {"lr_mult": 0.0},
}
MORE_KEYS = KEYS | {"depthwise": {"lr_mult": 3.0, "decay_mult": 0.5}}


@pytest.mark.parametrize(
    ("cfg", "decay"),
    [
        *(({option: mult}, 0.05) for option, mult in MULTS.items()),
        (MULTS, 0.05),
        (MULTS | {"custom_keys": MORE_KEYS}, 0.05),
        ({"custom_keys": KEYS}, None),
        (LR_MULTS, None),
    ],
)
def test_the_default_constructor_gives_what_its_tracer_says(deformable_net, cfg, decay):
    from mmengine.optim import DefaultOptimWrapperConstructor

    optimizer = {"type": "SGD", "lr": 2e-3} | ({} if decay is None else {"weight_decay": decay})
    constructor = DefaultOptimWrapperConstructor({"optimizer": optimizer}, cfg)
    groups = constructor(deformable_net).optimizer.param_groups
    given = {id(group["params"][0]): (group["lr"], group["weight_decay"]) for group in groups}
    defaults = {"weight_decay": 0}
    traces = default.trace(
        setup_of(
            model=deformable_net, paramwise_cfg=cfg, base_weight_decay=decay, defaults=defaults
        )
    )
    assert {name: (t.lr, t.weight_decay) for name, t in traces.items()} == {
        name: given[id(p)] for name, p in deformable_net.named_parameters() if id(p) in given
    }


def test_the_first_rule_of_the_default_constructor_is_the_reason(deformable_net):
    setup = setup_of(model=deformable_net, paramwise_cfg=MULTS)
    reasons = {name: one.reasons for name, one in default.trace(setup).items()}
    assert {name: (r.lr.rule, r.weight_decay.rule) for name, r in reasons.items()} == {
        "scale": ("base", "flat_decay_mult"),
        "conv_offset.weight": ("base", "base"),
        "conv_offset.bias": ("bias_lr_mult", "bias_decay_mult"),
        "depthwise.weight": ("base", "dwconv_decay_mult"),
        "depthwise.bias": ("bias_lr_mult", "bias_decay_mult"),
        "norm.weight": ("base", "norm_decay_mult"),
        "norm.bias": ("base", "norm_decay_mult"),
        **{
            f"{module}.{name}": rules
            for module in ("deformable", "modulated")
            for name, rules in {
                "bias": ("bias_lr_mult", "bias_decay_mult"),
                "conv_offset.weight": ("dcn_offset_lr_mult", "base"),
                "conv_offset.bias": ("dcn_offset_lr_mult", "base"),
                "conv_offset_norm.weight": ("base", "norm_decay_mult"),
                "conv_offset_norm.bias": ("base", "norm_decay_mult"),
            }.items()
        },
        "last.weight": ("base", "base"),
        "last.bias": ("bias_lr_mult", "bias_decay_mult"),
    }
    assert reasons["depthwise.bias"].weight_decay == Reason(
        "bias_decay_mult",
        mult=MULTS["bias_decay_mult"],
        beats=("dwconv_decay_mult", "flat_decay_mult"),
        would_give=(0.05 * MULTS["dwconv_decay_mult"], 0.05 * MULTS["flat_decay_mult"]),
        misses=("norm_decay_mult",),
    )
    assert reasons["last.bias"].lr == Reason(
        "bias_lr_mult", mult=2.0, misses=("dcn_offset_lr_mult",)
    )


def test_the_reason_of_a_custom_key_has_its_multiplier_unless_it_has_the_value(deformable_net):
    setup = setup_of(model=deformable_net, paramwise_cfg={"custom_keys": MORE_KEYS})
    reasons = {name: one.reasons for name, one in default.trace(setup).items()}
    for module, lr_mult, decay_mult in (
        ("depthwise", 3.0, 0.5), ("conv_offset", 1.0, 1.0), ("norm", None, None)
    ):  # fmt: skip
        reason = reasons[f"{module}.weight"]
        assert (reason.lr.key, reason.lr.mult) == (module, lr_mult)
        assert (reason.weight_decay.key, reason.weight_decay.mult) == (module, decay_mult)
    lr = reasons["conv_offset.weight"].lr
    assert (lr.beats, lr.would_give) == (("custom_key:conv",), (4e-3,))
    assert lr.misses == ("custom_key:norm", "custom_key:.scale", "custom_key:depthwise")


def test_without_a_base_weight_decay_only_a_key_can_give_one(deformable_net):
    cfg = {"custom_keys": MORE_KEYS}
    setup = setup_of(model=deformable_net, paramwise_cfg=cfg, base_weight_decay=None)
    reasons = {name: one.reasons.weight_decay for name, one in default.trace(setup).items()}
    assert reasons["norm.weight"] == Reason("custom_key", key="norm")
    assert reasons["depthwise.weight"] == reasons["last.weight"] == Reason("optimizer_default")


@pytest.mark.parametrize(
    ("trace", "option", "tokens"),
    [
        (merging.trace_by_decay_rate, "decay_rate", {"pos_embed", "cls_token"}),
        (merging.trace_by_renamed_decay_rate, "layer_decay_rate", {"pos_embed", "cls_token"}),
        (merging.trace_by_layer_decay_rate, "layer_decay_rate", {"pos_embed", "b.pos_embed"}),
        (merging.trace_mmaction, "decay_rate", set()),
    ],
)
def test_constructors_that_merge_spare_vectors_biases_and_tokens(trace, option, tokens):
    names = ("pos_embed", "cls_token", "b.pos_embed", "b.cls_token", "b.weight", "b.bias")
    members = [make_parameter(name, shape=(2, 2), layer_id=3) for name in names]
    members[:0] = [make_parameter("unknown", layer_id=None)]
    members += [make_parameter("b.norm", shape=(2,), layer_id=3)]
    cfg = {"num_layers": 4, option: 0.5}
    traces = trace(setup_of(paramwise_cfg=cfg, parameters=tuple(members)))
    lr = Reason("layer_decay", key=option, mult=0.25, max_layer_id=6)
    spared = Trace(5e-4, 0.0, Reasons(lr, Reason("no_decay", mult=0.0)))
    decayed = Trace(5e-4, 0.05, Reasons(lr, Reason("base")))
    assert traces == {
        name: spared if name in {"b.bias", "b.norm", *tokens} else decayed
        for name in (*names, "b.norm")
    }


@pytest.fixture
def tracer(monkeypatch):
    """Install a tracer for a constructor's class; gives the class."""

    def install(trace, base=object):
        cls = type("Known", (base,), {"__module__": "somewhere"})

        class Point:
            name = "somewhere.Known"
            load = staticmethod(lambda: trace)

        monkeypatch.setattr(tracing, "installed_tracers", lambda: {Point.name: Point()})
        return cls

    return install


def test_a_reason_is_dropped_where_the_recomputed_float_differs_in_the_last_bit(tracer):
    import math

    reasons = Reasons(Reason("lr_mult"), Reason("base"))
    cls = tracer(lambda setup: {"a": Trace(math.nextafter(1e-3, 1), 0.05, reasons)})
    parameter, _ = explained(cls, setup_of())
    assert parameter.reason == Reasons(Reason("constructor"), Reason("base"))


def test_a_reason_is_dropped_where_the_layer_is_another(tracer):
    reasons = Reasons(Reason("layer_decay", mult=0.5, max_layer_id=3), Reason("base"))
    cls = tracer(lambda setup: {"a": Trace(1e-3, 0.05, reasons, layer_id=2)})
    parameter, _ = explained(cls, setup_of())
    assert (parameter.layer_id, parameter.reason.lr.rule) == (1, "constructor")


def test_a_subclass_is_traced_as_its_nearest_known_base(tracer):
    def lr(setup):
        return setup.base_lr * setup.paramwise_cfg["lr_mult"]

    reasons = Reasons(Reason("lr_mult"), Reason("base"))
    cls = tracer(lambda setup: {"a": Trace(lr(setup), setup.base_weight_decay, reasons)})
    setup = setup_of(paramwise_cfg={"lr_mult": 0.5})
    parameter, _ = explained(type("Child", (cls,), {}), setup)
    assert parameter.reason == reasons


def test_a_tracer_that_raises_costs_no_numbers(tracer):
    def broken(setup):
        raise ValueError("no")

    parameter, note = explained(tracer(broken), setup_of())
    assert parameter.reason == Reasons()
    assert parameter.lr == 1e-3
    assert note == "no reasons: the tracer of Known failed, ValueError: no"


def test_an_unknown_constructor_has_no_reasons():
    parameter, _ = explained(object, setup_of())
    assert parameter.reason == Reasons()


@pytest.fixture
def keys_of_config(tmp_path, monkeypatch):
    def run(paramwise_cfg, constructor="LearningRateDecayOptimWrapperConstructor"):
        path = tmp_path / "config.py"
        path.write_text(
            textwrap.dedent(
                f"""
                _base_ = []
                default_scope = 'mmpretrain'
                model = dict(
                    type='ImageClassifier',
                    backbone=dict(type='VisionTransformer', arch='deit-tiny', img_size=32),
                    head=dict(type='LinearClsHead', num_classes=10, in_channels=192))
                optim_wrapper = dict(
                    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
                    constructor={constructor!r},
                    paramwise_cfg={paramwise_cfg!r})
                """
            )
        )
        monkeypatch.chdir(tmp_path)
        _, keys = dry_run_keys(Request(path, "config.py"))
        return {key.name: key for key in keys}

    return run


def test_keys_are_in_order_of_precedence(keys_of_config):
    custom = {key: {"decay_mult": 0.0} for key in (".ln", "bias", ".bias", "ln")}
    keys = keys_of_config({"flat_decay_mult": 0.0, "norm_decay_mult": 0.0, "custom_keys": custom})
    assert list(keys) == [".bias", "bias", ".ln", "ln", "norm_decay_mult", "flat_decay_mult"]
    assert (keys["bias"].matched, keys["bias"].decided) == (75, 0)
    assert keys["bias"].taken == {".bias": 75}
    assert (keys[".ln"].matched, keys[".ln"].decided) == (50, 25)


def test_leaving_a_key_out_is_decided_by_running_the_constructor(keys_of_config):
    custom = {".ln": {"decay_mult": 0.0}, ".nrom": {"decay_mult": 0.0}, "head": {"lr_mult": 10.0}}
    keys = keys_of_config({"norm_decay_mult": 0.0, "decay_rate": 0.5, "custom_keys": custom})
    assert keys[".ln"].effect.settings == 0  # the norm rule does the same
    assert keys[".nrom"].effect == type(keys[".nrom"].effect)()
    assert (keys["head"].effect.settings, keys["head"].effect.extras) == (0, 2)
    assert keys["decay_rate"].matched is None
    assert keys["decay_rate"].effect.settings == 0


def test_a_misspelt_option_decides_nothing_whatever_it_is_called(keys_of_config):
    keys = keys_of_config({"layer_decay": 0.5, "base": 1, "bias_lr_mult": 2.0})
    assert {(key.matched, key.decided) for key in keys.values()} == {(None, None)}
    assert {key.effect.settings for key in keys.values()} == {0}


def test_a_key_that_only_keeps_the_constructor_at_work_changes_no_setting(keys_of_config):
    keys = keys_of_config({"decay_rate": 0.5})
    assert (keys["decay_rate"].effect.settings, keys["decay_rate"].effect.layers) == (0, 152)


def test_leaving_an_option_out_that_the_constructor_needs_says_what_it_raises(
    keys_of_config, tmp_path, monkeypatch
):
    (tmp_path / "lldtool_test_needy.py").write_text(
        "from mmengine.optim import DefaultOptimWrapperConstructor\n"
        "class Needy(DefaultOptimWrapperConstructor):\n"
        "    def add_params(self, params, module, **kwargs):\n"
        "        self.paramwise_cfg['needed'] + 1\n"
        "        super().add_params(params, module, **kwargs)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    keys = keys_of_config({"needed": 1, "other": 2}, "lldtool_test_needy.Needy")
    assert "KeyError: 'needed'" in keys["needed"].effect.error
    assert keys["other"].effect.error is None


def test_each_module_of_tracers_is_found_by_being_there(tmp_path, monkeypatch):
    from lldtool.dryrun import tracers

    text = "def trace(setup):\n    return {}\n\n\nTRACES = {'somewhere.New': trace}\n"
    (tmp_path / "new_tracer.py").write_text(text)
    known = len(tracing.builtin_tracers())
    monkeypatch.setattr(tracers, "__path__", [*tracers.__path__, str(tmp_path)])
    found = tracing.builtin_tracers.__wrapped__()
    monkeypatch.delitem(sys.modules, "lldtool.dryrun.tracers.new_tracer")
    assert found["somewhere.New"](None) == {}
    assert len(found) == known + 1

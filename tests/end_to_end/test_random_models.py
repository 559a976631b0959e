"""Random small models and random settings: the plan is what the real constructor's groups are."""

from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from lldtool.config.request import Request
from lldtool.dryrun.training import Training
from lldtool.errors import LldtoolError

# Names that contain each other, and that keys will contain.
NAMES = ["a", "ab", "abc", "norm", "bias", "head", "conv_offset", "n"]
KEYS = ["", "a", "ab", ".a", "a.", "norm", ".norm", "bias", ".bias", "weight", "head", "b", "xyz"]


class Depth(BaseModel):
    """A model of any modules, with a depth for each name."""

    def __init__(self, tree, depth):
        super().__init__()
        for name, child in tree.items():
            self.register_module(name, child)
        self.depth = depth

    def get_layer_depth(self, name):
        return len(name) % self.depth, self.depth

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return inputs


leaves = st.sampled_from(
    [
        lambda: nn.Linear(3, 2),
        lambda: nn.Linear(3, 2, bias=False),
        lambda: nn.LayerNorm(3),
        lambda: nn.BatchNorm2d(3),
        lambda: nn.GroupNorm(1, 3),
        lambda: nn.InstanceNorm1d(3, affine=True),
        lambda: nn.Conv2d(4, 4, 1, groups=4),
        lambda: nn.Conv2d(4, 2, 1),
        lambda: nn.Embedding(3, 2),
        lambda: nn.PReLU(),
        nn.Identity,
    ]
).map(lambda make: make())


@st.composite
def nested(draw, children):
    module = nn.Module()
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True)):
        module.add_module(name, draw(children))
    if draw(st.booleans()):
        module.register_parameter("token", nn.Parameter(torch.zeros(1, 2)))
    return module


modules = st.recursive(leaves, nested, max_leaves=5)


@st.composite
def models(draw):
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    model = Depth({name: draw(modules) for name in names}, draw(st.integers(1, 5)))
    if draw(st.booleans()):
        model.register_parameter("cls", nn.Parameter(torch.zeros(2)))
    parameters = list(model.parameters())
    for parameter in parameters:
        parameter.requires_grad_(draw(st.integers(0, 5)) > 0)
    if parameters and draw(st.integers(0, 4)) == 0:
        model.register_parameter("shared", draw(st.sampled_from(parameters)))
    return model


mults = st.sampled_from([0.0, 0.1, 0.5, 1.0, 2, -1.0])
entries = st.fixed_dictionaries(
    {},
    optional={
        "lr_mult": mults, "decay_mult": mults, "weight_decay": mults, "momentum": mults,
        "lr": mults,
    },
)  # fmt: skip
OPTIONS = [
    "layer_decay_rate", "norm_decay_mult", "bias_decay_mult", "flat_decay_mult",
    "dwconv_decay_mult", "bias_lr_mult", "dcn_offset_lr_mult",
]  # fmt: skip
paramwise_cfgs = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(OPTIONS, mults)
    | {
        "bypass_duplicate": st.booleans(),
        "decay_rate": mults,
        "custom_keys": st.dictionaries(st.sampled_from(KEYS), entries, max_size=4),
    },
)
optimizers = st.fixed_dictionaries(
    {"type": st.just("SGD")},
    optional={
        "lr": st.sampled_from([0.1, 1, 0.003]),
        "weight_decay": st.sampled_from([0.05, 0, 1]),
    },
)


@pytest.fixture(scope="module", autouse=True)
def _in_mmpretrain():
    from lldtool import dry_run

    dry_run("mmpretrain::resnet/resnet18_8xb32_in1k.py")  # imports it, torchvision or not
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        yield


def same(a, b):
    return (a is None and b is None) or float(a).hex() == float(b).hex()


@pytest.mark.parametrize(
    "constructor",
    ["LearningRateDecayOptimWrapperConstructor", "DefaultOptimWrapperConstructor"],
)
@given(model=models(), paramwise_cfg=paramwise_cfgs, optimizer=optimizers)
@settings(max_examples=6 * settings().max_examples)
def test_plan_is_what_the_real_constructor_makes(constructor, model, paramwise_cfg, optimizer):
    assume(list(model.parameters()))
    wrapper = ConfigDict(
        optimizer=dict(optimizer), constructor=constructor, paramwise_cfg=dict(paramwise_cfg)
    )
    try:
        groups = build_optim_wrapper(model, wrapper).optimizer.param_groups
    except Exception:
        groups = None
    request = Request(Path("random.py"), "random")
    training = Training(request, ConfigDict(optim_wrapper=wrapper), model, [])

    if groups is None:
        with pytest.raises(LldtoolError):
            training.plan()
        return
    plan = training.plan()

    group_of = {id(p): (i, g) for i, g in enumerate(groups) for p in g["params"]}
    named = dict(model.named_parameters())
    assert [p.name for p in plan.parameters] == [n for n, t in named.items() if id(t) in group_of]
    for p in plan.parameters:
        index, group = group_of[id(named[p.name])]
        assert p.group == index
        assert same(p.lr, group["lr"])
        assert same(p.weight_decay, group["weight_decay"])
        assert p.layer_id == group.get("layer_id")
        if "lr_scale" in group:
            assert same(p.lr_scale, group["lr_scale"])
    untrained = {p.name for p in (*plan.frozen, *plan.left_out)}
    assert untrained == {n for n, t in named.items() if id(t) not in group_of}
    for p in plan.parameters:
        assert p.reason.lr.rule != "constructor"
        assert p.reason.weight_decay.rule != "constructor"

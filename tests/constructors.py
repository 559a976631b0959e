"""Constructors that are hard to follow, each with a config: 36 kinds.

They go by values, keep something from run to run, change the model, look at the class of their
options, or build what mmengine's own never do.
"""

from small_configs import MODEL

MODULE = '''
import copy, functools, json, pickle, random, re

import numpy
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.optim import (
    DefaultOptimWrapperConstructor, OptimWrapper, OptimWrapperDict, build_optim_wrapper)
from mmengine.registry import (
    MODELS, OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS, RUNNERS)
from mmengine.runner import Runner
from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from mmpretrain.models import VisionTransformer
from torch import nn
from torch.nn.utils import parametrizations

register = OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)


class ForEachGroup(DefaultOptimWrapperConstructor):
    """Gives groups of one parameter each to `change`."""

    def add_params(self, params, module, prefix='', **kwargs):
        super().add_params(params, module, prefix, **kwargs)
        if prefix == '':
            self.names = {id(p): name for name, p in module.named_parameters()}
            for group in params:
                self.change(group, group['params'][0])


# By value

@register
class ByNorm(ForEachGroup):
    def change(self, group, p):
        if p.norm() > 5:
            group['lr'] = self.base_lr * 10

@register
class TenTimesForZeros(ForEachGroup):
    def change(self, group, p):
        if not p.any():
            group['lr'] = self.base_lr * 10

@register
class ByLargest(ForEachGroup):
    def change(self, group, p):
        group['lr'] = self.base_lr * (1 + min(1.0, p.detach().abs().max().item()))

@register
class ByNumpy(ForEachGroup):
    def change(self, group, p):
        group['lr'] = self.base_lr * float(1 + numpy.abs(p.detach().numpy()).mean())

@register
class ByList(ForEachGroup):
    def change(self, group, p):
        group['weight_decay'] = 0.0 if p.flatten()[:1].tolist() == [1.0] else 0.1

@register
class ByBytes(ForEachGroup):
    def change(self, group, p):
        copied = pickle.loads(pickle.dumps(p.detach()))
        group['weight_decay'] = 0.1 if copied.sum().item() > 0 else 0.2

@register
class ByState(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        self.ones = {name for name, v in model.state_dict().items() if torch.equal(v, v * 0 + 1)}
        wrapper = super().__call__(model)
        names = {id(p): name for name, p in model.named_parameters()}
        for group in wrapper.optimizer.param_groups:
            if names[id(group['params'][0])] in self.ones:
                group['weight_decay'] = 0.0
        return wrapper

@register
class ByPointer(ForEachGroup):
    def __call__(self, model):
        self.seen = set()
        return super().__call__(model)

    def change(self, group, p):
        if p.data_ptr() in self.seen:
            group['lr'] = 0.0
        self.seen.add(p.data_ptr())

@register
class Draws(ForEachGroup):
    def change(self, group, p):
        group['lr'] = self.base_lr * random.random()

# With a memory

@register
class Counts(ForEachGroup):
    count = 0

    def change(self, group, p):
        Counts.count += 1
        group['lr'] = self.base_lr * Counts.count

@register
class FirstTime(ForEachGroup):
    seen = set()

    def change(self, group, p):
        if self.names[id(p)] not in self.seen:
            group['lr'] = self.base_lr * 0.1
        self.seen.add(self.names[id(p)])

NUMBER = iter(range(1, 10**6))

@register
class Iterates(ForEachGroup):
    def change(self, group, p):
        group['weight_decay'] = 1 / next(NUMBER)

@register
class FreezesTheFirst(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        next(p for p in model.parameters() if p.requires_grad).requires_grad_(False)
        return super().__call__(model)

@register
class Adapts(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        model.requires_grad_(False)
        for module in list(model.modules()):
            if isinstance(module, nn.Linear):
                module.down = nn.Linear(module.in_features, 2, bias=False)
        return super().__call__(model)

@register
class Renames(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        model.backbone.add_module('patches', model.backbone._modules.pop('patch_embed'))
        return super().__call__(model)

@register
class Doubles(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        self.optimizer_cfg['lr'] *= 2
        self.base_lr *= 2
        return super().__call__(model)

# By their options' class

@register
class WantsConfigDict(DefaultOptimWrapperConstructor):
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        assert type(paramwise_cfg) is ConfigDict, type(paramwise_cfg)
        super().__init__(optim_wrapper_cfg, paramwise_cfg)

@register
class PicklesOptions(DefaultOptimWrapperConstructor):
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        super().__init__(optim_wrapper_cfg, pickle.loads(pickle.dumps(paramwise_cfg)))

@register
class TenTimesSmaller(DefaultOptimWrapperConstructor):
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        if type(paramwise_cfg) is not ConfigDict:
            self.base_lr /= 10

@register
class ByJson(DefaultOptimWrapperConstructor):
    def __init__(self, optim_wrapper_cfg, paramwise_cfg=None):
        super().__init__(optim_wrapper_cfg, json.loads(json.dumps(paramwise_cfg)))

# By names and shapes

@register
class ByPattern(ForEachGroup):
    def change(self, group, p):
        for pattern, scale in self.paramwise_cfg['patterns'].items():
            if re.search(pattern, self.names[id(p)]):
                group['lr'] = self.base_lr * scale

def scaled_by(function):
    @register
    class Closure(ForEachGroup):
        def change(self, group, p):
            group['lr'] = function(self.base_lr, p.numel())
    return Closure

scaled_by(lambda lr, number: lr / number ** 0.5)

@register
class LayerDecayOfPowers(LearningRateDecayOptimWrapperConstructor):
    def add_params(self, params, module, **kwargs):
        super().add_params(params, module, **kwargs)
        for group in params:
            group['lr'] = self.base_lr * group['lr_scale'] ** 2

@register
class LargeGroups(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        groups = {}
        for name, p in model.named_parameters():
            groups.setdefault(p.ndim, []).append(p)
        params = [dict(params=own, lr=0.1 / ndim, weight_decay=ndim / 100)
                  for ndim, own in groups.items()]
        optimizer = OPTIMIZERS.build(dict(self.optimizer_cfg, params=params))
        return OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=optimizer))

@register
class LeavesOut(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        params = list(model.backbone.parameters())
        optimizer = OPTIMIZERS.build(dict(self.optimizer_cfg, params=params))
        return OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=optimizer))

@register
class AddsGroups(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        wrapper = DefaultOptimWrapperConstructor(
            dict(type='OptimWrapper', optimizer=self.optimizer_cfg))(model.backbone)
        for i, p in enumerate(model.head.parameters()):
            wrapper.optimizer.add_param_group(dict(params=[p], lr=float(i + 1)))
        return wrapper

@register
class TensorLr(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        wrapper = super().__call__(model)
        for i, group in enumerate(wrapper.optimizer.param_groups):
            group['lr'] = torch.tensor(0.25 * (i + 1))
        return wrapper

@register
class Copies(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        copied = copy.deepcopy(model)
        large = {name for name, p in copied.named_parameters() if p.numel() > 1000}
        wrapper = super().__call__(model)
        names = {id(p): name for name, p in model.named_parameters()}
        for group in wrapper.optimizer.param_groups:
            group['weight_decay'] = 0.1 if names[id(group['params'][0])] in large else 0.0
        return wrapper

# Models

@register
class Parametrizes(DefaultOptimWrapperConstructor):
    def __call__(self, model):
        parametrizations.weight_norm(model.head.fc)
        return super().__call__(model)

class Net(BaseModule):
    def __init__(self, data_preprocessor=None):
        super().__init__()
        self.make()

@MODELS.register_module(force=True)
class Tied(Net):
    def make(self):
        self.embedding, self.head = nn.Embedding(8, 4), nn.Linear(4, 8)
        self.head.weight = self.embedding.weight

@MODELS.register_module(force=True)
class Lazy(Net):
    def make(self):
        self.first, self.second = nn.LazyLinear(4), nn.Linear(4, 4)

@MODELS.register_module(force=True)
class Quantised(Net):
    def make(self):
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.first.weight = nn.Parameter(torch.zeros(4, 4, dtype=torch.int8), requires_grad=False)
        self.register_buffer('q', torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8))

@MODELS.register_module(force=True)
class Meta(Net):
    def make(self):
        self.first, self.second = nn.Linear(4, 4, device='meta'), nn.Linear(4, 4)

@MODELS.register_module(force=True)
class Normed(Net):
    def make(self):
        self.first = parametrizations.weight_norm(nn.Linear(4, 4))
        self.second = parametrizations.orthogonal(nn.Linear(4, 4))

@MODELS.register_module(force=True)
class CountsBlocks(Net):
    number = 0

    def make(self):
        CountsBlocks.number += 1
        self.add_module(f'block{CountsBlocks.number}', nn.Linear(4, 4))

@MODELS.register_module(force=True)
class WithInit(VisionTransformer):
    def init_weights(self):
        super().init_weights()
        nn.init.zeros_(self.pos_embed)
        nn.init.constant_(self.patch_embed.projection.weight, 3.0)

@MODELS.register_module(force=True)
class LoadsInInit(MODELS.get('mmpretrain.LinearClsHead')):
    def __init__(self, path, **kwargs):
        super().__init__(**kwargs)
        from mmengine.runner import load_checkpoint
        load_checkpoint(self, path)

# Runners

@RUNNERS.register_module(force=True)
class HalfTheRate(Runner):
    def build_optim_wrapper(self, optim_wrapper):
        wrapper = super().build_optim_wrapper(optim_wrapper)
        for group in wrapper.optimizer.param_groups:
            group['lr'] /= 2
        return wrapper
'''

#: A batch of options for constructors that go by mmengine's own rules too.
_OPTIONS = "paramwise_cfg=dict(norm_decay_mult=0.5, custom_keys={'head': dict(lr_mult=2.)})"
_OWN = ["Tied", "Lazy", "Quantised", "Meta", "Normed", "CountsBlocks"]


def _config(constructor, options=_OPTIONS, more=""):
    return f"""{MODEL}
custom_imports = dict(imports=['constructors_module'])
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='{constructor}', {options})
randomness = dict(seed=7)
train_cfg = dict(by_epoch=True, max_epochs=2)
{more}"""


_OPTIONED = [
    "ByNorm", "TenTimesForZeros", "ByLargest", "ByNumpy", "ByList", "ByBytes", "ByState",
    "ByPointer", "Draws", "Counts", "FirstTime", "Iterates", "FreezesTheFirst", "Adapts", "Renames",
    "Doubles", "WantsConfigDict", "PicklesOptions", "TenTimesSmaller", "ByJson", "Closure",
    "LargeGroups", "LeavesOut", "AddsGroups", "TensorLr", "Copies", "Parametrizes",
]  # fmt: skip
#: Name -> the text of a config.
CONFIGS = {
    **{name: _config(name) for name in _OPTIONED},
    "ByPattern": _config("ByPattern", r"paramwise_cfg=dict(patterns={r'layers\.\d\.': 0.5})"),
    "LayerDecayOfPowers": _config("LayerDecayOfPowers", "paramwise_cfg=dict(layer_decay_rate=0.9)"),
    **{
        name: _config("DefaultOptimWrapperConstructor", more=f"model = dict(type='{name}')")
        for name in _OWN
    },
    "Flexible": _config(
        "ByNorm", more="runner_type = 'FlexibleRunner'\nmodel['backbone']['type'] = 'WithInit'"
    ),
    "Runner": _config("DefaultOptimWrapperConstructor", more="runner_type = 'HalfTheRate'"),
}


def write(folder, monkeypatch, name, more=""):
    """The config of this name in a file, beside the module that it imports."""
    (folder / "constructors_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    path = folder / f"{name}.py"
    path.write_text(CONFIGS[name] + more)
    return path

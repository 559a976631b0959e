"""Small configs whose parameters are not all trained, each for another reason."""

RESNET = """
_base_ = []
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=4, in_channels=512))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.5))
train_cfg = dict(by_epoch=True, max_epochs=2)
"""
VIT = """
_base_ = []
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16),
    head=dict(type='VisionTransformerClsHead', num_classes=4, in_channels=192))
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75, norm_decay_mult=0.0))
train_cfg = dict(by_epoch=True, max_epochs=2)
"""
#: A module with backbones of a team's own.
MODULE = """
from mmpretrain.models import VisionTransformer
from mmpretrain.registry import MODELS

@MODELS.register_module(force=True)
class FreezesInTrain(VisionTransformer):
    def train(self, mode=True):
        super().train(mode)
        self.patch_embed.requires_grad_(False)
        return self

@MODELS.register_module(force=True)
class ThawsInTrain(VisionTransformer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ln1.requires_grad_(False)
    def train(self, mode=True):
        super().train(mode)
        self.ln1.requires_grad_(True)
        return self

@MODELS.register_module(force=True)
class FreezesInInitWeights(VisionTransformer):
    def init_weights(self):
        super().init_weights()
        self.pos_embed.requires_grad = False

@MODELS.register_module(force=True)
class OnlyAttention(VisionTransformer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name, parameter in self.named_parameters():
            parameter.requires_grad = '.attn.' in name
"""
OWN = "custom_imports = dict(imports=['states_module'])\n"
NO_OPTIONS = "del optim_wrapper['constructor'], optim_wrapper['paramwise_cfg']\n"
#: Name -> text, and how many parameters have which state.
CONFIGS = {
    "stages": (
        f"{RESNET}model['backbone']['frozen_stages'] = 4\n",
        {"frozen": 60, "trained": 2},
    ),
    "norms": (
        f"{RESNET}model['backbone']['norm_cfg'] = dict(type='BN', requires_grad=False)\n",
        {"frozen": 40, "trained": 22},
    ),
    "key": (
        f"{RESNET}optim_wrapper['paramwise_cfg'] = "
        "dict(custom_keys={'backbone': dict(lr_mult=0.0)})\n",
        {"zero_lr": 60, "trained": 2},
    ),
    "train": (
        f"{OWN}{VIT}model['backbone']['type'] = 'FreezesInTrain'\n",
        {"frozen_by_train": 2, "trained": 150},
    ),
    "init": (
        f"{OWN}{VIT}model['backbone']['type'] = 'FreezesInInitWeights'\n",
        {"frozen_by_train": 1, "trained": 151},
    ),
    "thaws": (
        f"{OWN}{VIT}{NO_OPTIONS}model['backbone']['type'] = 'ThawsInTrain'\n",
        {"trained": 152},
    ),
    "attention": (
        f"{OWN}{VIT}model['backbone']['type'] = 'OnlyAttention'\n",
        {"trained": 50},
    ),
}


def write(folder, monkeypatch, name, more=""):
    """The config of this name in a file, beside the module that it may import."""
    (folder / "states_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(folder)
    path = folder / f"{name}.py"
    path.write_text(CONFIGS[name][0] + more)
    return path

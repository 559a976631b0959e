"""Parts of small configs that the rules are tried on."""

from conftest import TINY_VIT

MODEL = TINY_VIT[: TINY_VIT.index("optim_wrapper")]
RESNET = """
_base_ = []
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier', backbone=dict(type='ResNet', depth=50),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=2048))
"""
SWIN_V2 = """
_base_ = []
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='SwinTransformerV2', arch='tiny', img_size=64, window_size=[2, 2, 2, 2]),
    head=dict(type='LinearClsHead', num_classes=10, in_channels=768))
"""
SGD = "optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)"
ADAMW = "optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05)"
LAYERS = f"{ADAMW}, constructor='LearningRateDecayOptimWrapperConstructor'"
SPARED = """norm_decay_mult=0., bias_decay_mult=0., custom_keys={
    '.cls_token': dict(decay_mult=0.), '.pos_embed': dict(decay_mult=0.)%s}"""


def wrapper(what, options):
    return f"optim_wrapper = dict({what}, paramwise_cfg=dict({options}))\n"


SOUND = MODEL + wrapper(LAYERS, "layer_decay_rate=0.75, " + SPARED % "")

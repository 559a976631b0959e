# mmengine's pure-Python style: bases are imported, types are classes.
from mmengine.config import read_base
from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from mmpretrain.models import ImageClassifier, LabelSmoothLoss, LinearClsHead, VisionTransformer
from torch.optim import AdamW

with read_base():
    from ._base_.runtime import *

model = dict(
    type=ImageClassifier,
    backbone=dict(type=VisionTransformer, arch='deit-small', img_size=224, patch_size=16),
    head=dict(
        type=LinearClsHead,
        num_classes=100,
        in_channels=384,
        loss=dict(type=LabelSmoothLoss, label_smooth_val=0.1, mode='original')))

optim_wrapper = dict(
    optimizer=dict(type=AdamW, lr=1e-3, weight_decay=0.05),
    constructor=LearningRateDecayOptimWrapperConstructor,
    paramwise_cfg=dict(layer_decay_rate=0.75, norm_decay_mult=0.0, bias_decay_mult=0.0))

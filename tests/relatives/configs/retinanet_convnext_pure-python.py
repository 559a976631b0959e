# mmdet in mmengine's pure-Python style, with mmdet's layer decay on a backbone of mmpretrain.
from mmdet.engine.optimizers import LearningRateDecayOptimizerConstructor
from mmdet.models import FPN, DetDataPreprocessor, L1Loss, RetinaHead, RetinaNet
from mmdet.models.losses import FocalLoss
from mmdet.models.task_modules import AnchorGenerator, DeltaXYWHBBoxCoder
from mmengine.config import read_base
from mmengine.optim import AmpOptimWrapper
from mmpretrain.models import ConvNeXt
from torch.optim import AdamW

with read_base():
    from .default_runtime import *

model = dict(
    type=RetinaNet,
    data_preprocessor=dict(type=DetDataPreprocessor, pad_size_divisor=32),
    backbone=dict(
        type=ConvNeXt, arch='tiny', out_indices=[0, 1, 2, 3], gap_before_final_norm=False),
    neck=dict(
        type=FPN, in_channels=[96, 192, 384, 768], out_channels=256, start_level=1, num_outs=5,
        add_extra_convs='on_input'),
    bbox_head=dict(
        type=RetinaHead, num_classes=80, in_channels=256, stacked_convs=4,
        anchor_generator=dict(
            type=AnchorGenerator, octave_base_scale=4, scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0], strides=[8, 16, 32, 64, 128]),
        bbox_coder=dict(type=DeltaXYWHBBoxCoder),
        loss_cls=dict(type=FocalLoss, use_sigmoid=True),
        loss_bbox=dict(type=L1Loss)))

optim_wrapper = dict(
    type=AmpOptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-4, weight_decay=0.05),
    constructor=LearningRateDecayOptimizerConstructor,
    paramwise_cfg=dict(num_layers=6, decay_rate=0.95, decay_type='layer_wise'))

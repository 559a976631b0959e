# mmseg in mmengine's pure-Python style, with mmengine's own constructor.
from mmengine.config import read_base
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmseg.models import MAE, CrossEntropyLoss, EncoderDecoder, SegDataPreProcessor, UPerHead
from mmseg.models.necks import Feature2Pyramid
from torch.nn import BatchNorm2d
from torch.optim import SGD

with read_base():
    from .default_runtime import *

default_scope = 'mmseg'
model = dict(
    type=EncoderDecoder,
    data_preprocessor=dict(type=SegDataPreProcessor, size=(64, 64)),
    backbone=dict(type=MAE, img_size=(64, 64), num_layers=4, out_indices=(0, 1, 2, 3)),
    neck=dict(
        type=Feature2Pyramid, embed_dim=768, rescales=[4, 2, 1, 0.5],
        norm_cfg=dict(type=BatchNorm2d)),
    decode_head=dict(
        type=UPerHead, in_channels=[768] * 4, in_index=[0, 1, 2, 3], channels=64, num_classes=19,
        loss_decode=dict(type=CrossEntropyLoss)))

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=SGD, lr=0.01, momentum=0.9, weight_decay=0.0005),
    constructor=DefaultOptimWrapperConstructor,
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_lr_mult=2.0, custom_keys={'head': dict(lr_mult=10.0)}))

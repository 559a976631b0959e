# ResNet-50 with a frozen stem: layer decay over groups of blocks, and untrained parameters.
_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    'mmpretrain::_base_/datasets/imagenet_bs64.py',
    'mmpretrain::_base_/default_runtime.py',
]

model = dict(backbone=dict(frozen_stages=1))

optim_wrapper = dict(
    optimizer=dict(type='Lamb', lr=0.016, weight_decay=0.02),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.7, norm_decay_mult=0.0, bias_decay_mult=0.0))

train_cfg = dict(by_epoch=True, max_epochs=100)

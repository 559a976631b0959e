# ConvNeXt: depth-wise convolutions, and one-dimensional layer scales (`gamma`).
_base_ = [
    'mmpretrain::_base_/models/convnext/convnext-tiny.py',
    'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py',
    'mmpretrain::_base_/default_runtime.py',
]

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=8e-4, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.8, norm_decay_mult=0.0, flat_decay_mult=0.0))

train_cfg = dict(by_epoch=True, max_epochs=100)

# Silent mistakes: this config trains, but not as it reads.
_base_ = [
    'mmpretrain::_base_/models/vit-base-p16.py',
    'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py',
    'mmpretrain::_base_/default_runtime.py',
]

optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    constructor='LearningRateDecayOptimWrapperConstructor',
    paramwise_cfg=dict(
        decay_rate=0.75,  # the name of the option in mmdet: no layer decay here
        norm_decay_mult=0.0,
        bias_lr_mult=2.0,  # an option of mmengine's default constructor
        custom_keys={
            'backbone.layers': dict(),  # turns the norm rule off for every block
            '.norm': dict(decay_mult=0.0),  # the norms are called ln1 and ln2
            'head': dict(lr_mult=10.0),  # no effect here, except an extra entry in the group
        }))

# An absolute minimum, above the initial lr of deep layers.
param_scheduler = dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, T_max=100)
train_cfg = dict(by_epoch=True, max_epochs=100)

# mmengine's default constructor: no layers, but separate lrs for the new head and for biases.
_base_ = [
    'mmpretrain::_base_/models/resnet50.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    'mmpretrain::_base_/default_runtime.py',
]

optim_wrapper = dict(
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        bias_lr_mult=2.0,
        custom_keys={
            'head': dict(lr_mult=10.0),
            'backbone.conv1': dict(lr_mult=0.1, decay_mult=0.0),
        }))

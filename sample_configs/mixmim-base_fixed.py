# mmpretrain's fine-tuning config of MixMIM, with the fixes that `lldtool check` suggests.
_base_ = 'mmpretrain::mixmim/benchmarks/mixmim-base_8xb128-coslr-100e_in1k.py'

optim_wrapper = dict(
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            '.relative_position_bias_table': dict(decay_mult=0.0),
        }))

# A list replaces that of the base. eta_min_ratio is relative to each layer's own lr.
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-6,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=95,
        eta_min_ratio=0.0005,
        by_epoch=True,
        begin=5,
        end=100,
        convert_to_iter_based=True),
]

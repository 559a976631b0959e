# A variant for comparison: a steeper decay, and custom keys instead of the norm and flat rules.
# `.ln` appears to mean every norm layer; inspect the settings of the others.
_base_ = ['./vit-base_layer-decay.py']

optim_wrapper = dict(
    paramwise_cfg=dict(
        _delete_=True,
        layer_decay_rate=0.65,
        custom_keys={
            '.ln': dict(decay_mult=0.0),
            '.bias': dict(decay_mult=0.0),
            '.cls_token': dict(decay_mult=0.0),
            '.pos_embed': dict(decay_mult=0.0),
        }))

# mmaction2's constructor on a model made by hand: the models of the registry's 1.2.0 do not import.
default_scope = 'mmengine'
custom_imports = dict(
    imports=['mmaction.engine.optimizers.layer_decay_optim_wrapper_constructor', 'hand_made_mvit'],
    allow_failed_imports=False)
model = dict(type='HandMadeRecognizer', depth=4)
optim_wrapper = dict(
    type='AmpOptimWrapper',
    constructor='mmaction.LearningRateDecayOptimizerConstructor',
    paramwise_cfg=dict(num_layers=4, decay_rate=0.75, decay_type='layer_wise'),
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05))

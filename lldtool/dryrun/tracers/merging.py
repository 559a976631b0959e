"""The constructors of mmdet, mmseg, mmpose and mmaction2, which merge parameters into few groups.

Their layer of a parameter depends on the backbone's class; it is taken from the group's name. What
can be recomputed is the lr of that layer, and which parameters get no weight decay.

Sources: engine/optimizers/layer_decay_optimizer_constructor.py of mmdet 3.3 and mmseg 1.2,
engine/optim_wrappers/layer_decay_optim_wrapper.py of mmpose 1.3,
engine/optimizers/layer_decay_optim_wrapper_constructor.py of mmaction2 1.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lldtool.dryrun.tracing import Setup, Trace, layer_decay
from lldtool.plan import Parameter, Reason, Reasons


def _trace(
    setup: Setup, *, option: str, undecayed: Callable[[Parameter], bool] = lambda _: False
) -> dict[str, Trace]:
    """Traces by lr = base lr × rate^(num_layers + 2 − layer_id − 1), and no decay for vectors.

    Args:
        setup: what the constructor is given.
        option: what it calls the rate.
        undecayed: whether a parameter that is no vector or bias gets no weight decay either.
    """
    max_layer_id = setup.paramwise_cfg["num_layers"] + 2
    assert setup.base_lr is not None
    traces = {}
    for p in setup.parameters:
        if not isinstance(p.layer_id, int):
            continue
        lr, scale = layer_decay(setup, option, p.layer_id, max_layer_id)
        decay, reason = setup.base_weight_decay, Reason("base")
        if len(p.shape) == 1 or p.name.endswith(".bias") or undecayed(p):
            decay, reason = 0.0, Reason("no_decay", mult=0.0)
        traces[p.name] = Trace(scale * setup.base_lr, decay, Reasons(lr, reason))
    return traces


def _is_root_token(p: Parameter) -> bool:
    """Whether the full name is that of a token: `backbone.pos_embed` is decayed."""
    return p.name in ("pos_embed", "cls_token")


trace_by_decay_rate = partial(_trace, option="decay_rate", undecayed=_is_root_token)
#: Deprecated in mmseg: the same, its option under another name.
trace_by_renamed_decay_rate = partial(_trace, option="layer_decay_rate", undecayed=_is_root_token)
trace_by_layer_decay_rate = partial(
    _trace, option="layer_decay_rate", undecayed=lambda p: "pos_embed" in p.name
)
#: Its exponent, num_layers − layer_id + 1, is that of the others.
trace_mmaction = partial(_trace, option="decay_rate")

_LAYER_DECAY = "engine.optimizers.layer_decay_optimizer_constructor"
_MMPOSE = "mmpose.engine.optim_wrappers.layer_decay_optim_wrapper"
_MMACTION = "mmaction.engine.optimizers.layer_decay_optim_wrapper_constructor"
TRACES = {
    f"mmdet.{_LAYER_DECAY}.LearningRateDecayOptimizerConstructor": trace_by_decay_rate,
    f"mmseg.{_LAYER_DECAY}.LearningRateDecayOptimizerConstructor": trace_by_decay_rate,
    f"mmseg.{_LAYER_DECAY}.LayerDecayOptimizerConstructor": trace_by_renamed_decay_rate,
    f"{_MMPOSE}.LayerDecayOptimWrapperConstructor": trace_by_layer_decay_rate,
    f"{_MMACTION}.LearningRateDecayOptimizerConstructor": trace_mmaction,
}

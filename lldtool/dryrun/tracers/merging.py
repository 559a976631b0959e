"""The constructors of mmdet, mmseg, mmpose and mmaction2, which merge parameters into few groups.

Their layer of a parameter depends on the backbone's class; it is taken from the group's name. What
can be recomputed is the lr of that layer, and who is not decayed.
"""

from __future__ import annotations

from collections.abc import Callable

from lldtool.dryrun.tracing import Setup, Trace, layer_decay
from lldtool.plan import Parameter, Reason, Reasons

#: Not decayed, but compared with the full name: `backbone.pos_embed` is.
_ROOT_LEVEL_TOKENS = ("pos_embed", "cls_token")


def trace_by_decay_rate(setup: Setup) -> dict[str, Trace]:
    """mmdet's and mmseg's `LearningRateDecayOptimizerConstructor`.

    Sources: mmdet 3.3 and mmseg 1.2, engine/optimizers/layer_decay_optimizer_constructor.py.
    """
    return _traces(setup, "decay_rate", lambda p: p.name in _ROOT_LEVEL_TOKENS)


def trace_by_renamed_decay_rate(setup: Setup) -> dict[str, Trace]:
    """mmseg's deprecated `LayerDecayOptimizerConstructor`: the same, its option under another name.

    Source: as above.
    """
    return _traces(setup, "layer_decay_rate", lambda p: p.name in _ROOT_LEVEL_TOKENS)


def trace_by_layer_decay_rate(setup: Setup) -> dict[str, Trace]:
    """mmpose's `LayerDecayOptimWrapperConstructor`.

    Source: mmpose 1.3, engine/optim_wrappers/layer_decay_optim_wrapper.py.
    """
    return _traces(setup, "layer_decay_rate", lambda p: "pos_embed" in p.name)


def trace_mmaction(setup: Setup) -> dict[str, Trace]:
    """mmaction2's `LearningRateDecayOptimizerConstructor`.

    Its exponent, num_layers − layer_id + 1, is that of the others.
    Source: mmaction2 1.2, engine/optimizers/layer_decay_optim_wrapper_constructor.py.
    """
    return _traces(setup, "decay_rate", lambda p: False)


def _traces(setup: Setup, option: str, undecayed: Callable[[Parameter], bool]) -> dict[str, Trace]:
    """Traces by lr = base lr × rate^(num_layers + 2 − layer_id − 1)."""
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

"""mmpretrain's `LearningRateDecayOptimWrapperConstructor`.

Source: mmpretrain 1.2.0, engine/optimizers/layer_decay_optim_wrapper_constructor.py.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from lldtool.dryrun.tracing import (
    Setup,
    Trace,
    base_weight_decay,
    decay_candidates,
    is_norm,
    layer_decay,
    matching_keys,
    rule_for,
)
from lldtool.plan import Reason, Reasons

#: The options that it looks at for a parameter's weight decay, in their order.
_OPTIONS = ("norm_decay_mult", "bias_decay_mult", "flat_decay_mult")


def trace(setup: Setup) -> dict[str, Trace]:
    """lr = base lr × rate^(max_layer_id − layer_id − 1); weight decay by the first rule."""
    traces: dict[str, Trace] = {}
    assert setup.base_lr is not None  # else the constructor has raised
    # Hundreds of parameters are of a few kinds in a few layers.
    layer = functools.cache(functools.partial(layer_decay, setup, "layer_decay_rate", default=1.0))
    weight_decay = functools.cache(functools.partial(_weight_decay, setup))
    for path, module in setup.model.named_modules():
        for name, tensor in module.named_parameters(recurse=False):
            if not tensor.requires_grad:
                continue
            full_name = f"{path}.{name}" if path else name
            layer_id, max_layer_id = setup.model.get_layer_depth(full_name)
            reason, scale = layer(layer_id, max_layer_id)
            keys = matching_keys(setup.paramwise_cfg.get("custom_keys", {}), full_name)
            kinds = is_norm(module), name == "bias", tensor.ndim == 1
            decay, decay_reason = weight_decay(tuple(keys), kinds)
            reasons = Reasons(reason, decay_reason)
            traces.setdefault(full_name, Trace(setup.base_lr * scale, decay, reasons, layer_id))
    return traces


def _weight_decay(
    setup: Setup, keys: Sequence[str], kinds: Sequence[bool]
) -> tuple[float | None, Reason]:
    """The weight decay of the parameters that these keys match and that are of these kinds.

    Args:
        setup: what the constructor was given.
        keys: the custom keys that match, in the order in which they are tried.
        kinds: for each of the options, whether the parameters are of the kind that it is for.
    """
    if setup.base_weight_decay is None:
        return base_weight_decay(setup)
    rules = dict(zip(_OPTIONS, kinds, strict=True))
    reason, value = rule_for(setup, decay_candidates(setup, keys, rules), rules)
    return value, reason


_MODULE = "mmpretrain.engine.optimizers.layer_decay_optim_wrapper_constructor"
TRACES = {f"{_MODULE}.LearningRateDecayOptimWrapperConstructor": trace}

"""mmpretrain's `LearningRateDecayOptimWrapperConstructor`.

Source: mmpretrain 1.2.0, engine/optimizers/layer_decay_optim_wrapper_constructor.py.
"""

from __future__ import annotations

from typing import Any

from lldtool.dryrun.explain import (
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


def trace(setup: Setup) -> dict[str, Trace]:
    """lr = base lr × rate^(max_layer_id − layer_id − 1); weight decay by the first rule."""
    traces: dict[str, Trace] = {}
    assert setup.base_lr is not None  # else the constructor has raised
    for path, module in setup.model.named_modules():
        for name, tensor in module.named_parameters(recurse=False):
            if not tensor.requires_grad:
                continue
            full_name = f"{path}.{name}" if path else name
            layer_id, max_layer_id = setup.model.get_layer_depth(full_name)
            reason, scale = layer_decay(setup, "layer_decay_rate", layer_id, max_layer_id, 1.0)
            decay, decay_reason = _weight_decay(setup, module, name, full_name, tensor)
            reasons = Reasons(reason, decay_reason)
            traces.setdefault(full_name, Trace(setup.base_lr * scale, decay, reasons, layer_id))
    return traces


def _weight_decay(
    setup: Setup, module: Any, name: str, full_name: str, tensor: Any
) -> tuple[float | None, Reason]:
    if setup.base_weight_decay is None:
        return base_weight_decay(setup)
    rules = {
        "norm_decay_mult": is_norm(module),
        "bias_decay_mult": name == "bias",
        "flat_decay_mult": tensor.ndim == 1,
    }
    keys = matching_keys(setup.paramwise_cfg.get("custom_keys", {}), full_name)
    reason, value = rule_for(setup, decay_candidates(setup, keys, rules), rules)
    return value, reason

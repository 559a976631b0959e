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
    matching_keys,
    rule_for,
)
from lldtool.plan import Reason, Reasons


def trace(setup: Setup) -> dict[str, Trace]:
    """lr = base lr × rate^(max_layer_id − layer_id − 1); weight decay by the first rule."""
    traces: dict[str, Trace] = {}
    for path, module in setup.model.named_modules():
        for name, tensor in module.named_parameters(recurse=False):
            full_name = f"{path}.{name}" if path else name
            lr, lr_reason = _lr(setup, full_name)
            decay, decay_reason = _weight_decay(setup, module, name, full_name, tensor)
            traces.setdefault(full_name, Trace(lr, decay, Reasons(lr_reason, decay_reason)))
    return traces


def _lr(setup: Setup, name: str) -> tuple[float, Reason]:
    layer_id, max_layer_id = setup.model.get_layer_depth(name)
    scale = setup.paramwise_cfg.get("layer_decay_rate", 1.0) ** (max_layer_id - layer_id - 1)
    assert setup.base_lr is not None  # else the constructor has raised
    option = "layer_decay_rate" if "layer_decay_rate" in setup.paramwise_cfg else None
    reason = Reason("layer_decay", key=option, mult=scale, max_layer_id=max_layer_id)
    return setup.base_lr * scale, reason


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

"""mmengine's `DefaultOptimWrapperConstructor`.

Source: mmengine 0.10.7, optim/optimizer/default_constructor.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lldtool.dryrun.tracing import (
    Setup,
    Trace,
    base_lr,
    base_weight_decay,
    decay_candidates,
    is_norm,
    matching_keys,
    rule_for,
)
from lldtool.plan import Reason, Reasons


def trace(setup: Setup) -> dict[str, Trace]:
    """lr and weight decay by the first rule that fits.

    A parameter that is shared between modules has the settings of the first, with
    `bypass_duplicate`; without, torch refuses it.
    """
    traces: dict[str, Trace] = {}
    for path, module, in_dcn in _walk(setup.model, "", in_dcn=False):
        for name, tensor in module.named_parameters(recurse=False):
            if not tensor.requires_grad:
                continue
            full_name = f"{path}.{name}" if path else name
            keys = matching_keys(setup.paramwise_cfg.get("custom_keys", {}), f"{path}.{name}")
            lr, lr_reason = _lr(setup, path, module, name, keys, in_dcn=in_dcn)
            decay, decay_reason = _weight_decay(setup, module, name, tensor, keys, in_dcn=in_dcn)
            traces.setdefault(full_name, Trace(lr, decay, Reasons(lr_reason, decay_reason)))
    return traces


def _walk(module: Any, path: str, *, in_dcn: bool) -> Iterator[tuple[str, Any, bool]]:
    """Path, module, and whether its parent is a deformable convolution; parents first."""
    yield path, module, in_dcn
    below = isinstance(module, _deformable_convolutions())
    for name, child in module.named_children():
        yield from _walk(child, f"{path}.{name}" if path else name, in_dcn=below)


def _deformable_convolutions() -> tuple[type, ...]:
    from mmengine.utils.dl_utils import mmcv_full_available

    if not mmcv_full_available():
        return ()
    from mmcv.ops import DeformConv2d, ModulatedDeformConv2d

    return DeformConv2d, ModulatedDeformConv2d


def _lr(
    setup: Setup, path: str, module: Any, name: str, keys: list[str], *, in_dcn: bool
) -> tuple[float | None, Reason]:
    import torch

    base, cfg = setup.base_lr, setup.paramwise_cfg
    if base is None:
        return base_lr(setup)
    custom_keys = cfg.get("custom_keys", {})
    candidates = []
    for key in keys:
        mult = custom_keys[key].get("lr_mult", 1.0)
        shown = None if "lr" in custom_keys[key] else float(mult)
        value = custom_keys[key].get("lr", base * mult)
        candidates.append((Reason("custom_key", key=key, mult=shown), value))
    offset = "conv_offset" in path and in_dcn and isinstance(module, torch.nn.Conv2d)
    bias = name == "bias" and not (is_norm(module) or in_dcn)
    rules = {"dcn_offset_lr_mult": offset, "bias_lr_mult": bias}
    for option, applies in rules.items():
        mult = cfg.get(option, None)
        if applies and mult is not None:
            candidates.append((Reason(option, mult=float(mult)), base * mult))
    reason, value = rule_for(setup, [*candidates, (Reason("base"), base)], rules)
    return value, reason


def _weight_decay(
    setup: Setup, module: Any, name: str, tensor: Any, keys: list[str], *, in_dcn: bool
) -> tuple[float | None, Reason]:
    import torch

    if setup.base_weight_decay is None:
        custom = setup.paramwise_cfg.get("custom_keys", {})
        if keys and "weight_decay" in custom[keys[0]]:
            return custom[keys[0]]["weight_decay"], Reason("custom_key", key=keys[0])
        return base_weight_decay(setup)
    depthwise = isinstance(module, torch.nn.Conv2d) and module.in_channels == module.groups
    rules = {
        "norm_decay_mult": is_norm(module),
        "bias_decay_mult": name == "bias" and not in_dcn,
        "dwconv_decay_mult": depthwise,
        "flat_decay_mult": tensor.ndim == 1 and not in_dcn,
    }
    reason, value = rule_for(setup, decay_candidates(setup, keys, rules), rules)
    return value, reason


TRACES = {"mmengine.optim.optimizer.default_constructor.DefaultOptimWrapperConstructor": trace}

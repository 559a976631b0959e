"""What the entries of a param group mean, be it an optimizer's or one in a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lldtool.plan.parameters import LayerId

#: The settings, and how constructors name and number their groups; what else is there is extra.
_NO_EXTRAS = {
    "lr", "lr_scale", "weight_decay",
    "params", "param_name", "param_names", "group_name", "layer_id", "initial_lr",
}  # fmt: skip
_LAYER_NAME = re.compile(r"layer_([0-9]{1,18})(_|$)")
#: Of a layer id that is a number; NaN and the infinities have no place in an order.
_LARGEST = 2**63 - 1


def layer_id_of(group: Mapping[str, Any]) -> LayerId | None:
    """Return the layer of a group, as the constructor calls it: a number, or else text.

    mmpretrain's groups carry `layer_id`; the merged groups of mmdet, mmseg, mmpose and mmaction2
    are called `layer_3_no_decay`.

    Args:
        group: whose values are plain data.
    """
    if "layer_id" not in group:
        named = _LAYER_NAME.match(str(group.get("group_name", "")))
        return int(named[1]) if named else None
    layer_id = group["layer_id"]
    if layer_id is None or isinstance(layer_id, str):
        return layer_id
    is_number = isinstance(layer_id, (int, float)) and not isinstance(layer_id, bool)
    return layer_id if is_number and abs(layer_id) <= _LARGEST else str(layer_id)


def lr_ratio(lr: float | None, base_lr: float | None) -> float | None:
    """Return the lr_scale of a group without one; None where there is no base lr."""
    if lr is None or base_lr is None or base_lr == 0:
        return None
    return lr / base_lr


def extra_entries(group: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that are no setting, no bookkeeping and no default of the optimizer."""
    return {
        k: v
        for k, v in group.items()
        if k not in _NO_EXTRAS
        if k not in defaults or (defaults[k] is not v and defaults[k] != v)
    }

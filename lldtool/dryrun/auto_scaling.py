"""What mmengine's `Runner.scale_lr` does to every lr."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from lldtool.config.request import Request
from lldtool.errors import LldtoolError
from lldtool.plan import Parameter
from lldtool.text import quoted


def auto_scale(config: Any, request: Request) -> tuple[float, str | None]:
    """What `Runner.scale_lr` multiplies every lr by, 1 where it does nothing; and a note on it.

    Raises:
        LldtoolError: scaling was asked for, and the config does not say from which batch size.
    """
    settings = part(config, "auto_scale_lr")
    enabled = bool(settings.get("enable", False))
    if not enabled and not request.auto_scale_lr:
        idle = (
            f"--world-size {request.world_size} changes no lr: that needs --auto-scale-lr, or "
            "auto_scale_lr.enable in the config"
        )
        return 1.0, idle if request.world_size is not None else None
    base, batch = settings.get("base_batch_size", None), train_batch_size(config)
    if base is None or batch is None:
        missing = "auto_scale_lr.base_batch_size" if base is None else "train_dataloader.batch_size"
        who = "--auto-scale-lr" if request.auto_scale_lr else "auto_scale_lr.enable"
        raise LldtoolError(f"{who} needs {missing}", config=request.name)
    if not isinstance(base, (int, float)) or not 0 < base < sys.float_info.max:
        raise LldtoolError(f"auto_scale_lr.base_batch_size is {quoted(base)}", config=request.name)
    if not request.auto_scale_lr and request.world_size is None:
        return 1.0, (
            f"auto_scale_lr is enabled: training multiplies every lr by GPUs × {batch} ÷ {base}; "
            "--world-size N shows it"
        )
    world_size = request.world_size or 1
    ratio = scale_factor({**settings, "enable": True}, batch, world_size)
    return ratio, f"auto_scale_lr: every lr × {world_size} × {batch} ÷ {base} = × {ratio:g}"


def scale_factor(settings: Any, batch_size: int, world_size: int) -> float:
    """What `Runner.scale_lr` multiplies every lr by, for a batch on each of the GPUs.

    Args:
        settings: `auto_scale_lr` of the config.
        batch_size: samples on one GPU.
        world_size: the number of GPUs.
    """
    if not settings or not settings.get("enable", False):
        return 1.0
    # In the order in which mmengine's Runner computes it, for the same float.
    return float(world_size * batch_size) / float(settings["base_batch_size"])


def scaled(parameter: Parameter, ratio: float) -> Parameter:
    """The parameter with its lr multiplied, and its lr_scale left as the constructor gave it."""
    if parameter.lr is None or ratio == 1.0:
        return parameter
    return replace(parameter, lr=parameter.lr * ratio)


def train_batch_size(config: Any) -> int | None:
    """Samples on one GPU, where the config says so."""
    size = part(config, "train_dataloader").get("batch_size", None)
    return size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else None


def part(config: Any, key: str) -> Any:
    """A part of the config; empty where it has none."""
    value = config.get(key, None)
    return value if isinstance(value, dict) else {}

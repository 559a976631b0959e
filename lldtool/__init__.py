"""See what an OpenMMLab optimizer will do to every parameter, before training starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lldtool.diff import PlanDiff, diff_plans
from lldtool.errors import LldtoolError
from lldtool.plan import Layer, Parameter, Plan, Reason, Reasons, load_plan
from lldtool.versions import lldtool_version as _lldtool_version

__all__ = [
    "Layer",
    "LldtoolError",
    "Parameter",
    "Plan",
    "PlanDiff",
    "Reason",
    "Reasons",
    "diff_plans",
    "dry_run",
    "load_plan",
]


def dry_run(
    config: str | Path,
    *,
    cfg_options: Mapping[str, Any] | None = None,
    device: str = "cpu",
    auto_scale_lr: bool = False,
    world_size: int | None = None,
    allow_network: bool = False,
) -> Plan:
    """Build a config's model and optimizer as training would, and return every setting.

    Args:
        config: a config file, or `package::path` of an installed package's config; either
            `@revision` of git as well.
        cfg_options: dotted key -> value, merged into the config as `--cfg-options` does.
        device: `cpu`, `cuda` or `cuda:N`.
        auto_scale_lr: scale every lr as the runner does with `auto_scale_lr.enable`.
        world_size: the number of GPUs for that, 1 if not given.
        allow_network: let the model download what it wants while it is built.

    Raises:
        LldtoolError: the config, its model or its constructor does not work.
    """
    from lldtool.dryrun import dry_run as run
    from lldtool.request import Request
    from lldtool.source import locate

    name = str(config)
    found = locate(name)
    request = Request(
        path=found.path,
        name=name,
        cfg_options=dict(cfg_options or {}),
        checkout=found.checkout,
        device=device,
        auto_scale_lr=auto_scale_lr,
        world_size=world_size,
        allow_network=allow_network,
    )
    return run(request)


def __getattr__(name: str) -> str:
    if name == "__version__":
        return _lldtool_version()
    raise AttributeError(f"module 'lldtool' has no attribute {name!r}")

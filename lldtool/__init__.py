"""See what an OpenMMLab optimizer will do to every parameter, before training starts.

Nothing is imported before it is asked for: Ctrl-C in the first tenth of a second of a command would
show where Python then is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from lldtool.analysis.diff import PlanDiff, diff_plans
    from lldtool.config.location import Location
    from lldtool.config.request import Request
    from lldtool.errors import LldtoolError
    from lldtool.lint.diagnostics import Diagnostic, Severity
    from lldtool.plan import Layer, Parameter, Plan, Reason, Reasons, load_plan

__all__ = [
    "Diagnostic",
    "Layer",
    "LldtoolError",
    "Location",
    "Parameter",
    "Plan",
    "PlanDiff",
    "Reason",
    "Reasons",
    "Severity",
    "check",
    "diff_plans",
    "dry_run",
    "load_plan",
]
#: The modules of the names above.
_MODULES = {
    "lldtool.analysis.diff": ("PlanDiff", "diff_plans"),
    "lldtool.config.location": ("Location",),
    "lldtool.errors": ("LldtoolError",),
    "lldtool.lint.diagnostics": ("Diagnostic", "Severity"),
    "lldtool.plan": ("Layer", "Parameter", "Plan", "Reason", "Reasons", "load_plan"),
}
#: The names of lldtool 0.1.
_OLD_NAMES = {"Finding": "Diagnostic", "Place": "Location"}


def dry_run(
    config: str | Path,
    *,
    cfg_options: Mapping[str, Any] | None = None,
    device: str = "cpu",
    auto_scale_lr: bool = False,
    world_size: int | None = None,
    epoch_length: int | None = None,
    curves: bool = False,
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
        epoch_length: iterations of an epoch.
        curves: step the schedulers, for `plan.schedule.curves`.
        allow_network: let the model download what it wants while it is built.

    Raises:
        LldtoolError: the config, its model or its constructor does not work.
    """
    from dataclasses import replace

    from lldtool.config.request import Length
    from lldtool.dryrun import dry_run as run

    request = replace(
        _request(config),
        cfg_options=dict(cfg_options or {}),
        device=device,
        auto_scale_lr=auto_scale_lr,
        world_size=world_size,
        length=Length(epoch_length),
        curves="all" if curves else "none",
        allow_network=allow_network,
    )
    _show_plans_in_notebooks()
    return run(request)


def check(
    config: str | Path | Plan,
    *,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    fail_on: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> tuple[Diagnostic, ...]:
    """Check a config, as `lldtool check` does.

    Args:
        config: a plan, or what `dry_run` takes. A plan's have no locations and suggestions.
        select: codes of the only rules to apply, beginnings of codes, or names.
        ignore: those of rules to leave out.
        fail_on: `error`, `warning` or `info`, the least severity to return.
        cfg_options: as for `dry_run`.

    What is not given is as the nearest `lldtool.toml` or `pyproject.toml` says.

    Returns:
        The diagnostics that are at least so severe.

    Raises:
        LldtoolError: the config has no plan, or there is a mistake in the settings.
    """
    from dataclasses import replace
    from pathlib import Path

    from lldtool.config import saved_plan
    from lldtool.errors import LldtoolError
    from lldtool.lint.diagnostics import Severity
    from lldtool.lint.engine import check_config, check_plan, final_results
    from lldtool.lint.policy import load_policy
    from lldtool.plan import Plan

    if fail_on is not None and fail_on not in {one.value for one in Severity}:
        raise LldtoolError(f"fail_on is {fail_on!r}, and not error, warning or info")
    least = None if fail_on is None else Severity(fail_on)
    policy = load_policy(Path.cwd()).overridden(select=select, ignore=ignore, fail_on=least)
    if isinstance(config, Plan):
        checked = check_plan(policy, config)
    else:
        request = replace(_request(config), cfg_options=dict(cfg_options or {}))
        plan = saved_plan(request.path, request.name)
        checked = (
            check_config(policy, request)
            if plan is None
            else check_plan(policy, plan, request.name)
        )
    (result,) = final_results([checked], policy)
    if result.error is not None:
        raise LldtoolError(result.error, config=result.config)
    return result.failing


def _request(config: str | Path) -> Request:
    from lldtool.config import locate
    from lldtool.config.request import Request

    found = locate(str(config))
    return Request(path=found.path, name=str(config), checkout=found.checkout)


def _show_plans_in_notebooks() -> None:
    """Have Jupyter show a plan as the table that `lldtool inspect` prints."""
    from lldtool.plan import Plan

    def plan_html(plan: Plan) -> str:
        from lldtool.output.html import fragment
        from lldtool.output.plan_document import plan_document

        return fragment(plan_document(plan))

    Plan._repr_html_ = plan_html  # type: ignore[attr-defined]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from lldtool.versions import lldtool_version

        return lldtool_version()
    name = _OLD_NAMES.get(name, name)
    for module, names in _MODULES.items():
        if name in names:
            import importlib

            _show_plans_in_notebooks()
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'lldtool' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

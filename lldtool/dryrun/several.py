"""Several configs in one process: what they share is imported and built once."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lldtool.dryrun.importers import user_modules
from lldtool.dryrun.session import in_fresh_process
from lldtool.dryrun.training import building, in_its_place, load, start_of_training
from lldtool.plan import Plan
from lldtool.request import Request


def plan(request: Request) -> Plan:
    """The plan of one config; errors as `dry_run`."""
    with start_of_training(request) as training:
        return training.plan()


def plans(*requests: Request) -> list[Plan]:
    """The plans of several configs, in their order.

    A config whose model is described as the one before it gets the model that was built for that.
    One that could meet code of the user's own that another config imported, and that it would not
    import itself, runs in a process of its own.

    Raises:
        LldtoolError: one of them has no plan.
    """
    known, made = set(sys.modules), list[Plan]()
    last: _Done | None = None
    for request in requests:
        done = _after(last, request, own_code=user_modules(known))
        made.append(in_fresh_process(plan, request) if done is None else done.plan)
        last = done or last
    return made


@dataclass(frozen=True)
class _Done:
    """A config that was run in this process, and its model as it was before its constructor."""

    request: Request
    config: Any
    model: Any
    description: object
    state: object
    plan: Plan


def _after(last: _Done | None, request: Request, own_code: Mapping[str, str]) -> _Done | None:
    """Run a config after another one, or None where that could change what comes out."""
    if last is not None and own_code and request.checkout != last.request.checkout:
        return None
    with in_its_place(request):
        config, notes = load(request)
        description = _description(request, config)
        model = None
        if last is not None:
            if not _imports_the_same(request, config, last, own_code):
                return None
            same = last.description == description and last.state == _state(last.model)
            model = last.model if same else None
        with building(request, config, notes, model) as training:
            state = _state(training.model)
            return _Done(request, config, training.model, description, state, training.plan())


def _description(request: Request, config: Any) -> object:
    """All that decides what a config's model is built as."""
    parts = (config.get(key, None) for key in ("model", "data_preprocessor", "default_scope"))
    # to_dict names the classes of a pure-Python config, which are other objects in each.
    described = [p.to_dict() if hasattr(p, "to_dict") else p for p in parts]
    return request.checkout, request.device, described


def _state(model: Any) -> object:
    return [(name, id(p), p.requires_grad) for name, p in model.named_parameters()]


def _imports_the_same(
    request: Request, config: Any, last: _Done, own_code: Mapping[str, str]
) -> bool:
    """Whether the user's modules that were imported so far are this config's as well."""
    if not own_code or request.path == last.request.path:
        return True
    imports, others = (one.get("custom_imports", None) for one in (config, last.config))
    names = (imports or {}).get("imports", [])
    packages = {name.partition(".")[0] for name in ([names] if isinstance(names, str) else names)}
    return imports == others and {name.partition(".")[0] for name in own_code} <= packages

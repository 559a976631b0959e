"""Several configs in one process: what they share is imported and built once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lldtool.config.request import Checkout, Request
from lldtool.dryrun.process_copy import CopyFailedError, can_copy, in_copy
from lldtool.dryrun.session import in_fresh_process
from lldtool.dryrun.side_effects import SideEffects
from lldtool.dryrun.training import Training, building, config_context, load, start_of_training
from lldtool.errors import LldtoolError
from lldtool.plan import Plan


def plan(request: Request) -> Plan:
    """The plan of one config; errors as `dry_run`."""
    with start_of_training(request) as training:
        return training.plan()


def plans(*requests: Request) -> list[Plan]:
    """The plans of several configs, in their order.

    A config whose model is described as that of the one before it gets the model that was built
    for that. Where a config has code of its own, it runs in a copy of this process, and others,
    which could meet that code, in processes of their own.

    Raises:
        LldtoolError: one of them has no plan.
    """
    process = _Process()
    return [
        process.plan(request) if process.accepts(request) else in_fresh_process(plan, request)
        for request in requests
    ]


@dataclass
class _Built:
    """A built model, its description, and what it looked like before a constructor had it."""

    description: str
    training: Training
    state: object


class _Process:
    """This process: whose code has been in it, and the model that was built last."""

    def __init__(self) -> None:
        #: The config with code of its own that was run here; None as long as there is none.
        self._config_with_code: tuple[Path, Checkout | None] | None = None
        self._is_repeatable = True
        self._built: _Built | None = None

    def accepts(self, request: Request) -> bool:
        """Whether the config comes to the same here as in a process of its own."""
        is_same = self._config_with_code == (request.path, request.checkout)
        return self._config_with_code is None or (is_same and self._is_repeatable)

    def plan(self, request: Request) -> Plan:
        """Run the config here.

        Raises:
            LldtoolError: it has no plan.
        """
        effects = SideEffects()
        with config_context(request):
            with effects.loading(request.path):
                config, notes = load(request)
            is_shared = effects.are_none(config)
            if is_shared:
                made = self._plan_in_process(request, config, notes)
            elif can_copy(request.device):
                made = _plan_in_copy(request, config, notes)
            else:
                made = in_fresh_process(plan, request)
        if not (is_shared and effects.are_none(config)):
            self._config_with_code = (request.path, request.checkout)
            self._is_repeatable = self._is_repeatable and effects.is_repeatable()
        return made

    def _plan_in_process(self, request: Request, config: Any, notes: list[str]) -> Plan:
        description = _description(request, config)
        reused = self._reusable(description)
        with building(request, config, notes, reused) as training:
            self._built = _Built(description, training, _state(training.model))
            return training.plan()

    def _reusable(self, description: str) -> Training | None:
        """The model that was built last, if it is the one described, and as it was; or None.

        Code of the user's own may have kept more in it than can be seen.
        """
        built = self._built
        if built is None or self._config_with_code is not None or built.description != description:
            return None
        return built.training if built.state == _state(built.training.model) else None


def _plan_in_copy(request: Request, config: Any, notes: list[str]) -> Plan:
    """The plan, from a copy of this process; a process of its own tells the reason of an error."""

    def build() -> Plan:
        with building(request, config, notes) as training:
            return training.plan()

    try:
        return in_copy(build)
    except (CopyFailedError, LldtoolError):
        return in_fresh_process(plan, request)


def _description(request: Request, config: Any) -> str:
    """All that decides what a config's model is built as; 5 and 5.0 are not the same."""
    parts = (config.get(key, None) for key in ("model", "data_preprocessor", "default_scope"))
    # to_dict names the classes of a pure-Python config, which are other objects in each.
    described = [part.to_dict() if hasattr(part, "to_dict") else part for part in parts]
    return repr((request.checkout, request.device, described))


def _state(model: Any) -> object:
    return [(name, id(p), p.requires_grad, p.dtype) for name, p in model.named_parameters()]

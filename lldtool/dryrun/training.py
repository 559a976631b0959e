"""What training does up to its first step, without the step."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from lldtool.config.request import Request
from lldtool.dryrun import config_loading as configs
from lldtool.dryrun import model_building as models
from lldtool.dryrun.auto_scaling import auto_scale, scaled
from lldtool.dryrun.checkpoints import Checkpoints, missing_allowed
from lldtool.dryrun.construction import Construction, construct, has_user_code, is_repeatable
from lldtool.dryrun.edits import apply_edits, apply_overrides, overrides
from lldtool.dryrun.isolation import blocked_hosts, in_checkout, silenced
from lldtool.dryrun.param_groups import model_header
from lldtool.dryrun.parameter_traits import traits_of
from lldtool.dryrun.plan_assembly import plan_of
from lldtool.dryrun.process_copy import CopyFailedError, can_copy, in_copy
from lldtool.dryrun.registries import import_scope
from lldtool.dryrun.starts import Starts, starts_of
from lldtool.dryrun.uninitialised import UninitialisedReads, ValuesNeeded
from lldtool.errors import LldtoolError, RemoteError, translated
from lldtool.plan import Model, Parameter, Plan
from lldtool.text import quoted

Result = TypeVar("Result")


@dataclass(frozen=True)
class Training:
    """A loaded config and the model built from it, about to be given an optimizer.

    `uninitialised` knows which of its values are not initialised. `checkpoints` are those that the
    model asked for while it was built. Of a trial, of a config that is not the user's own, nothing
    that its constructor prints is shown. `known_starts` is shared by all trials of one model.
    """

    request: Request
    config: Any
    model: Any
    notes: Sequence[str]
    uninitialised: UninitialisedReads = field(default_factory=UninitialisedReads)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    is_trial: bool = False
    known_starts: list[Starts] = field(default_factory=list)

    @functools.cached_property
    def traits(self) -> Mapping[str, tuple[str, ...]]:
        """Parameter name -> traits."""
        return traits_of(self.model)

    @property
    def starts(self) -> Starts:
        """From where each tensor of the model starts.

        Raises: as `starts_of`.
        """
        if not self.known_starts:
            self.known_starts.append(starts_of(self))
        return self.known_starts[0]

    @functools.cached_property
    def header(self) -> Model:
        """What a plan says of the model as a whole."""
        return model_header(self.model)

    def with_model(self, description: Any) -> Training:
        """The same config with another `model`, which is built.

        Raises:
            LldtoolError: it can't be built.
        """
        config = copy.deepcopy(self.config)
        config.model = description
        with translated(lambda error: models.model_error(error, self.request.name)):
            model, uninitialised = models.build_model(config, self.request)
        return replace(
            self, config=config, model=model, uninitialised=uninitialised, known_starts=[]
        )

    def plan(self, *, explained: bool = True) -> Plan:
        """Run the constructor and read what came out.

        Args:
            explained: with a reason for each setting.

        Raises:
            ConstructorError: the constructor raised, and training would.
            LldtoolError: lldtool can't tell what the constructor's optimizers hold.
        """
        return plan_of(self, explained=explained)

    def parameters(self, wrapper: Any) -> tuple[Parameter, ...]:
        """The parameters with the settings that this `optim_wrapper` gives them, without reasons.

        Raises: as `plan`.
        """
        ratio, _ = auto_scale(self.config, self.request)
        return tuple(scaled(p, ratio) for p in self.run_again(wrapper).parameters)

    def run_first(self, wrapper: Any, **how: Any) -> Construction:
        """Run the constructor as training does; an error has its cause. Arguments as `construct`.

        Raises: as `plan`.
        """
        if self.is_trial:
            return self.run_again(wrapper, **how)
        run = functools.partial(construct, self, wrapper, **how)
        try:
            made = self.run_isolated(run, silent=False)
        except CopyFailedError:
            made = run()
        except LldtoolError as error:
            if not isinstance(error.__cause__, (RemoteError, type(None))):
                raise
            made = run()  # for the cause itself, not the text of its traceback
        return self._with_values(made)

    def run_again(self, wrapper: Any, **how: Any) -> Construction:
        """Run the constructor without showing what it prints. Arguments as `construct`.

        Raises: as `plan`.
        """
        try:
            return self._with_values(
                self.run_isolated(functools.partial(construct, self, wrapper, **how))
            )
        except CopyFailedError as error:
            raise LldtoolError("the constructor ended the process") from error

    def run_isolated(self, function: Callable[[], Result], *, silent: bool = True) -> Result:
        """What a function returns that runs the constructor, and leaves nothing for the next run.

        Raises:
            LldtoolError: what the function raised.
            CopyFailedError: there is no result for another reason.
        """
        is_safe = is_repeatable(self.config.optim_wrapper) and not self._has_user_code
        if is_safe or not can_copy(self.request.device):
            with silenced() if silent else contextlib.nullcontext():
                return function()
        return in_copy(function, silent=silent)

    @functools.cached_property
    def _has_user_code(self) -> bool:
        return has_user_code(self.model)

    def _with_values(self, made: Construction) -> Construction:
        """What a run came to, if it read no value that a dry run leaves out.

        Raises:
            ValuesNeeded: it did.
        """
        if made.read_value is not None and not self.request.initialised:
            raise ValuesNeeded(made.read_value)
        return made


@contextlib.contextmanager
def start_of_training(request: Request) -> Iterator[Training]:
    """Load the config and build its model, in the config's scope for as long as this lasts.

    Raises:
        LldtoolError: the config can't be read or its model can't be built.
    """
    with config_context(request):
        config, notes = load(request)
        with building(request, config, notes) as training:
            yield training


def load(request: Request) -> tuple[Any, list[str]]:
    """The config as training would load it, overridden and edited, and notes on the edits.

    Raises:
        LldtoolError: it can't be read, or has no model or no optimizer.
    """
    options = overrides(request.cfg_options)
    with translated(lambda error: configs.config_error(error, request.path, request.name)):
        config = configs.load_config(request.path)
        notes = apply_overrides(config, options) + apply_edits(config, request.edits)
    configs.require_training_settings(config, request.name)
    return config, notes


@contextlib.contextmanager
def building(
    request: Request, config: Any, notes: Sequence[str], built: Training | None = None
) -> Iterator[Training]:
    """Build the config's model, in the config's scope for as long as this lasts.

    Args:
        request: what was asked for.
        config: its config.
        notes: what there is to be said about it.
        built: a training whose model is the one that this config describes.

    Raises:
        LldtoolError: the model can't be built.
    """
    name = request.name
    with contextlib.ExitStack() as stack:
        with translated(lambda error: models.model_error(error, name)):
            from mmengine.registry import DefaultScope

            models.require_device(request.device)
            scope, scope_note = models.default_scope(config)
            import_scope(scope, " of default_scope")
            stack.enter_context(DefaultScope.overwrite_default_scope(scope))
            if built is None:
                with missing_allowed(allow_network=request.allow_network) as checkpoints:
                    model, uninitialised = models.build_model(config, request)
            else:
                model, checkpoints = built.model, built.checkpoints
                uninitialised = built.uninitialised
            models.require_compiled_operators(model, name)
        if request.initialised and checkpoints.missing:
            raise LldtoolError(
                f"the constructor reads the parameters' values, and the model loads them from "
                f"{quoted(checkpoints.missing[0])}, which is not here"
            )
        notes = (*notes, *filter(None, [scope_note]))
        yield Training(request, config, model, notes, uninitialised, checkpoints)


@contextlib.contextmanager
def config_context(request: Request) -> Iterator[None]:
    """Run a config's code where its checkout is, and name the config in errors."""
    blocked_hosts().clear()
    try:
        with in_checkout(request.checkout):
            yield
    except LldtoolError as error:
        tree = f"{request.checkout.tree}{os.sep}" if request.checkout is not None else None
        message = error.message.replace(tree, "") if tree is not None else error.message
        raise error.with_config(request.name).replace(message=message) from error.__cause__

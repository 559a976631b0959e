"""What training does up to its first step, without the step."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from lldtool.config.request import Checkout, Request
from lldtool.dryrun import config as configs
from lldtool.dryrun import constructor, package_lookup
from lldtool.dryrun import model as models
from lldtool.dryrun.checkpoints import missing_allowed, missing_note
from lldtool.dryrun.construction import (
    Construction,
    construct,
    has_code_of_users,
    leaves_nothing_behind,
)
from lldtool.dryrun.edits import apply_edits, apply_overrides
from lldtool.dryrun.environment import in_tree, reached_for, silenced
from lldtool.dryrun.groups import model_header, plain
from lldtool.dryrun.importers import user_modules
from lldtool.dryrun.imports import stand_ins
from lldtool.dryrun.isolation import CopyFailedError, can_copy, in_copy
from lldtool.dryrun.lr_hooks import unfollowed_hooks
from lldtool.dryrun.proof import Inputs, Run, proven, settings_of
from lldtool.dryrun.registries import import_scope, type_name
from lldtool.dryrun.runners import unfollowed
from lldtool.dryrun.scaling import auto_scale, part, scaled
from lldtool.dryrun.tracing import with_reasons
from lldtool.dryrun.traits import traits_of
from lldtool.dryrun.values import UninitialisedReads, ValuesNeeded
from lldtool.errors import LldtoolError, translated
from lldtool.plan import (
    Constructor,
    Model,
    Optimizer,
    OptimWrapper,
    Parameter,
    Plan,
    UntrainedParameter,
)
from lldtool.text import quoted
from lldtool.versions import lldtool_version, package_versions

Result = TypeVar("Result")


@dataclass(frozen=True)
class Training:
    """A loaded config and the model built from it, about to be given an optimizer.

    `uninitialised` knows which of its values are not initialised. `missing_checkpoints` are those
    that the model would have loaded while it was built. Of a trial,
    of a config that is not the user's own, nothing that its constructor prints is shown.
    """

    request: Request
    config: Any
    model: Any
    notes: Sequence[str]
    uninitialised: UninitialisedReads = field(default_factory=UninitialisedReads)
    missing_checkpoints: Sequence[str] = ()
    is_trial: bool = False

    @functools.cached_property
    def traits(self) -> Mapping[str, tuple[str, ...]]:
        """Parameter name -> traits."""
        return traits_of(self.model)

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
        return replace(self, config=config, model=model, uninitialised=uninitialised)

    def parameters(self, wrapper: Any) -> tuple[Parameter, ...]:
        """The parameters with the settings that this `optim_wrapper` gives them, without reasons.

        Raises: as `plan`.
        """
        ratio, _ = auto_scale(self.config, self.request)
        return tuple(scaled(p, ratio) for p in self._run_again(wrapper).parameters)

    def plan(self, *, explained: bool = True) -> Plan:
        """Run the constructor and read what came out.

        Args:
            explained: with a reason for each setting.

        Raises:
            ConstructorError: the constructor raised, and training would.
            LldtoolError: lldtool can't tell what the constructor's optimizers hold.
        """
        wrapper = self.config.optim_wrapper
        with translated(
            lambda error: constructor.constructor_error(error, wrapper, self.request.name)
        ):
            kind, trusted = constructor.constructor_class(wrapper), leaves_nothing_behind(wrapper)
        run = self._run_again if self.is_trial else self._run_first
        made = run(wrapper, is_watched=trusted, is_traced=explained)
        frozen, parameters, reads = made.frozen, made.parameters, made.reads
        if not trusted and explained:
            reads = self._reads(wrapper, parameters)
        if frozen and not self.is_trial and any(p.layer_id is not None for p in parameters):
            frozen = self._with_layers(frozen, wrapper)
        if made.traces is not None:
            parameters = with_reasons(parameters, made.traces)
            if not (trusted or _is_without_options(wrapper, kind)):
                rerun = functools.partial(self._altered, wrapper)
                parameters = proven(parameters, _inputs(wrapper), rerun, reads or ())
        optimizer = configs.optimizer_header(wrapper)
        ratio, scale_note = auto_scale(self.config, self.request)
        header = _constructor_header(wrapper, kind, reads)
        notes: list[str | None] = [
            *self.notes,
            *map(missing_note, self.missing_checkpoints),
            *stand_ins.notes(_packages(self.model, kind)),
            package_lookup.note(),
            *made.notes,
            *unfollowed(self.config),
            *unfollowed_hooks(self.config),
            scale_note,
            _values_note(self.config, self.request),
            _did_nothing(header, parameters, optimizer),
            _reached_for(),
            _not_of_the_revision(self.request.checkout),
        ]
        return Plan(
            config=self.request.name,
            model=made.model,
            optim_wrapper=OptimWrapper(
                type_name(wrapper.get("type", None) or "OptimWrapper"), made.wrapper_options
            ),
            optimizer=replace(
                optimizer, options=made.optimizer_options, group_entries=made.group_entries
            ),
            constructor=header,
            parameters=tuple(scaled(p, ratio) for p in parameters),
            frozen=frozen,
            left_out=made.left_out,
            notes=tuple(n for n in notes if n),
            param_scheduler=_schedulers(self.config.get("param_scheduler", None)),
            auto_scale_lr=ratio,
            versions=package_versions(),
            lldtool_version=lldtool_version(),
        )

    def apart(self, function: Callable[[], Result], *, silent: bool = True) -> Result:
        """What a function returns that runs the constructor, and leaves nothing for the next run.

        Raises:
            LldtoolError: what the function raised.
            CopyFailedError: there is no result for another reason.
        """
        is_safe = leaves_nothing_behind(self.config.optim_wrapper) and not self._has_code_of_users
        if is_safe or not can_copy(self.request.device):
            with silenced() if silent else contextlib.nullcontext():
                return function()
        return in_copy(function, silent=silent)

    def _run_first(self, wrapper: Any, **how: Any) -> Construction:
        """Run the constructor as training does; an error has its cause."""
        run = functools.partial(construct, self, wrapper, **how)
        try:
            return self._with_values(self.apart(run, silent=False))
        except (CopyFailedError, LldtoolError) as error:
            if isinstance(error, LldtoolError) and error.__cause__ is not None:
                raise
            return self._with_values(run())

    def _run_again(self, wrapper: Any, **how: Any) -> Construction:
        try:
            return self._with_values(self.apart(functools.partial(construct, self, wrapper, **how)))
        except CopyFailedError as error:
            raise LldtoolError("the constructor ended the process") from error

    def _with_values(self, made: Construction) -> Construction:
        """What a run came to, if it went by no value that a dry run leaves out.

        Raises:
            ValuesNeeded: it did.
        """
        if made.read_value is not None and not self.request.initialised:
            raise ValuesNeeded(made.read_value)
        return made

    @functools.cached_property
    def _has_code_of_users(self) -> bool:
        return has_code_of_users(self.model)

    def _reads(self, wrapper: Any, parameters: Sequence[Parameter]) -> tuple[str, ...] | None:
        """The options that the constructor reads; None where it does otherwise when watched."""
        try:
            watched = self._run_again(wrapper, is_watched=True)
        except LldtoolError:
            return None
        return watched.reads if watched.parameters == tuple(parameters) else None

    def _with_layers(
        self, frozen: Sequence[UntrainedParameter], wrapper: Any
    ) -> tuple[UntrainedParameter, ...]:
        """The frozen parameters with the layers that the constructor puts them in if not frozen."""
        try:
            made = self._run_again(wrapper, thawed=[p.name for p in frozen])
        except LldtoolError:  # of a constructor that can't take all of them
            return tuple(frozen)
        layers = {p.name: p.layer_id for p in made.parameters}
        return tuple(replace(p, layer_id=layers.get(p.name)) for p in frozen)

    def _altered(self, wrapper: Any, inputs: Inputs) -> Run | None:
        """What comes out with other inputs; None where the constructor raises."""
        altered = copy.deepcopy(wrapper)
        if not isinstance(altered.get("optimizer", None), dict):
            return None  # a constructor that chooses the optimizer itself
        if inputs.paramwise_cfg:
            altered["paramwise_cfg"] = inputs.paramwise_cfg
        for key, value in inputs.base.items():
            altered["optimizer"][key] = value
        try:
            made = self._run_again(altered, is_traced=True)
        except LldtoolError:
            return None
        given = settings_of((p.name, p) for p in made.parameters)
        return given, settings_of((made.traces or {}).items())


def _inputs(wrapper: Any) -> Inputs:
    """What a constructor goes by."""
    optimizer = configs.optimizer_header(wrapper)
    base = {"lr": optimizer.lr, "weight_decay": optimizer.weight_decay}
    return Inputs(wrapper.get("paramwise_cfg", None) or {}, base)


def _is_without_options(wrapper: Any, kind: type) -> bool:
    """Whether mmengine's own `__call__` runs, and gives all parameters the base settings."""
    module = getattr(kind.__call__, "__module__", "")
    is_mmengines = module == "mmengine.optim.optimizer.default_constructor"
    return is_mmengines and not wrapper.get("paramwise_cfg", None)


@contextlib.contextmanager
def start_of_training(request: Request) -> Iterator[Training]:
    """Load the config and build its model, in the config's scope for as long as this lasts.

    Raises:
        LldtoolError: the config can't be read or its model can't be built.
    """
    with in_its_place(request):
        config, notes = load(request)
        with building(request, config, notes) as training:
            yield training


def load(request: Request) -> tuple[Any, list[str]]:
    """The config as training would load it, overridden and edited, and notes on the edits.

    Raises:
        LldtoolError: it can't be read, or has no model or no optimizer.
    """
    options = configs.overrides(request.cfg_options)
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

            _check_device(request.device)
            scope, scope_note = models.default_scope(config)
            import_scope(scope, " of default_scope")
            stack.enter_context(DefaultScope.overwrite_default_scope(scope))
            if built is None:
                with missing_allowed(allow_network=request.allow_network) as missing:
                    model, uninitialised = models.build_model(config, request)
            else:
                model, missing = built.model, list(built.missing_checkpoints)
                uninitialised = built.uninitialised
            models.require_compiled_operators(model, name)
        if request.initialised and missing:
            raise LldtoolError(
                f"the constructor reads the parameters' values, and the model loads them from "
                f"{quoted(missing[0])}, which is not here"
            )
        notes = (*notes, *filter(None, [scope_note]))
        yield Training(request, config, model, notes, uninitialised, missing)


@contextlib.contextmanager
def in_its_place(request: Request) -> Iterator[None]:
    """Stand where the request's config is, and name it in errors."""
    reached_for.clear()
    try:
        with in_tree(request.checkout):
            yield
    except LldtoolError as error:
        tree = f"{request.checkout.tree}{os.sep}" if request.checkout is not None else None
        message = error.message.replace(tree, "") if tree is not None else error.message
        raise error.with_config(request.name).replace(message=message) from error.__cause__


def _constructor_header(wrapper: Any, kind: type, reads: tuple[str, ...] | None) -> Constructor:
    name = type_name(wrapper.get("constructor", None) or "DefaultOptimWrapperConstructor")
    bases = tuple(cls.__name__ for cls in kind.__mro__[1:-1])
    return Constructor(name, plain(wrapper.get("paramwise_cfg", None) or {}), bases, reads)


def _schedulers(configured: Any) -> Any:
    """`param_scheduler` as a plan has it: one, several, or some for each of several optimizers."""
    content = plain(configured)
    if isinstance(content, list):
        return tuple(content)
    return content if isinstance(content, dict) and content else None


def _values_note(config: Any, request: Request) -> str | None:
    """That settings depend on values, and whether these are the same in every run."""
    if not request.initialised:
        return None
    seed = part(config, "randomness").get("seed", None)
    which = "the config sets no seed, so settings vary from run to run"
    if seed is not None:
        which = f"these are those of seed {seed} on a CPU"
    return f"the constructor goes by initial values or random numbers; {which}"


def _did_nothing(
    header: Constructor, parameters: Sequence[Parameter], optimizer: Optimizer
) -> str | None:
    """A constructor chosen for what it does, and given nothing to do it with."""
    if header.paramwise_cfg or header.type == "DefaultOptimWrapperConstructor":
        return None
    settings = {(p.lr, p.weight_decay) for p in parameters}
    if len(settings) > 1 or any(lr != optimizer.lr for lr, _ in settings):
        return None
    return f"paramwise_cfg is empty: {header.type} did nothing"


def _not_of_the_revision(checkout: Checkout | None) -> str | None:
    """A package that is installed in place is found in the working tree, whatever the revision."""
    if checkout is None:
        return None
    found = {
        name.partition(".")[0]
        for name, file in user_modules(()).items()
        if Path(file).is_relative_to(checkout.top)
    }
    names = ", ".join(sorted(found))
    return (
        f"{names}: installed in place, the working tree's and not the revision's" if found else None
    )


def _reached_for() -> str | None:
    """A model that could not download may have been built another way than in training."""
    if not reached_for:
        return None
    return f"code tried to reach {reached_for[0]}; with --allow-network it may do something else"


def _packages(model: Any, constructor: type) -> set[str]:
    """The top-level packages that a model's modules and its constructor come from."""
    classes = [cls for m in model.modules() for cls in type(m).__mro__]
    return {cls.__module__.partition(".")[0] for cls in (*classes, *constructor.__mro__)}


def _check_device(device: str) -> None:
    import torch

    if device == "cpu":
        return
    try:
        kind = torch.device(device)
    except RuntimeError as error:
        raise LldtoolError(f"--device {device}: {str(error).splitlines()[0]}") from None
    if kind.type != "cuda":
        raise LldtoolError(f"--device {device}: cpu, cuda or cuda:N is known")
    if not torch.cuda.is_available():
        build = "finds no GPU" if torch.version.cuda else "is a build without CUDA"
        raise LldtoolError(f"--device {device}: this torch {torch.__version__} {build}")
    if (kind.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise LldtoolError(f"--device {device}: there are {count} GPUs, counted from 0")

"""What training does up to its first step, without the step."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lldtool.dryrun import config as configs
from lldtool.dryrun import constructor, package_lookup
from lldtool.dryrun import model as models
from lldtool.dryrun.checkpoints import missing_allowed, missing_note
from lldtool.dryrun.culprits import culprit_of
from lldtool.dryrun.edits import apply_edits, apply_overrides
from lldtool.dryrun.explain import Setup, with_reasons
from lldtool.dryrun.group_readers import mentioned
from lldtool.dryrun.groups import (
    ParametersRead,
    model_header,
    other_defaults,
    plain,
    read_parameters,
    strangers,
)
from lldtool.dryrun.importers import OPENMMLAB, user_modules
from lldtool.dryrun.imports import stand_ins
from lldtool.dryrun.options_read import WatchedOptions
from lldtool.dryrun.proof import Inputs
from lldtool.dryrun.registries import type_name
from lldtool.dryrun.scaling import auto_scale, scaled
from lldtool.dryrun.surroundings import in_tree, reached_for, silenced
from lldtool.dryrun.traits import traits_of
from lldtool.dryrun.zero_lr import raised_groups
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
from lldtool.request import Checkout, Request
from lldtool.versions import lldtool_version, package_versions


@dataclass(frozen=True)
class Training:
    """A loaded config and the model built from it, about to be given an optimizer.

    `missing_checkpoints` are those that the model would have loaded while it was built. Of a trial,
    of a config that is not the user's own, nothing that its constructor prints is shown.
    """

    request: Request
    config: Any
    model: Any
    notes: Sequence[str]
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

    def parameters(self, wrapper: Any) -> tuple[Parameter, ...]:
        """The parameters with the settings that this `optim_wrapper` gives them, without reasons.

        Raises: as `plan`.
        """
        _, (parameters, _, _) = self._built_again(wrapper)
        ratio, _ = auto_scale(self.config, self.request)
        return tuple(scaled(p, ratio) for p in parameters)

    def with_model(self, description: Any) -> Training:
        """The same config with another `model`, which is built.

        Raises:
            LldtoolError: it can't be built.
        """
        config = copy.deepcopy(self.config)
        config.model = description
        with translated(lambda error: models.model_error(error, self.request.name)):
            model = models.build_model(config, self.request.device)
        return replace(self, config=config, model=model)

    def plan(self, *, explained: bool = True) -> Plan:
        """Run the constructor and read what came out.

        Args:
            explained: with a reason for each setting.

        Raises:
            ConstructorError: the constructor raised, and training would.
            LldtoolError: lldtool can't tell what the constructor's optimizers hold.
        """
        wrapper = self.config.optim_wrapper
        build = self._built_again if self.is_trial else self._built
        built, (parameters, frozen, left_out) = build(wrapper)
        optimizers = built.optimizers
        if any(p.state == "zero_lr" for p in parameters):
            raised = raised_groups(self.config, self.request, built.wrappers)
            parameters = tuple(
                replace(p, state="trained") if p.state == "zero_lr" and p.group in raised else p
                for p in parameters
            )
        if frozen and not self.is_trial and any(p.layer_id is not None for p in parameters):
            frozen = self._with_layers(frozen, wrapper)
        optimizer = configs.optimizer_header(wrapper)
        kind = constructor.constructor_class(wrapper)
        trace_note = None
        if len(optimizers) == 1 and explained:
            parameters, trace_note = with_reasons(
                kind,
                self._setup(wrapper, built, parameters),
                functools.partial(self._altered, wrapper),
                built.options_read or (),
            )
        ratio, scale_note = auto_scale(self.config, self.request)
        header = _constructor_header(wrapper, kind, built.options_read)
        notes: list[str | None] = [
            *self.notes,
            *map(missing_note, self.missing_checkpoints),
            *stand_ins.notes(_packages(self.model, kind)),
            package_lookup.note(),
            *built.notes,
            _strangers(self.model, optimizers),
            trace_note,
            scale_note,
            _did_nothing(header, parameters, optimizer),
            _reached_for(),
            _not_of_the_revision(self.request.checkout),
        ]
        return Plan(
            config=self.request.name,
            model=self.header,
            optim_wrapper=OptimWrapper(
                type_name(wrapper.get("type", None) or "OptimWrapper"),
                plain(built.wrapper_options),
            ),
            optimizer=replace(
                optimizer,
                options=other_defaults(optimizers),
                group_entries=mentioned(self.config, built.wrappers, parameters, optimizer.lr),
            ),
            constructor=header,
            parameters=tuple(scaled(p, ratio) for p in parameters),
            frozen=frozen,
            left_out=left_out,
            notes=tuple(n for n in notes if n),
            param_scheduler=_schedulers(self.config.get("param_scheduler", None)),
            auto_scale_lr=ratio,
            versions=package_versions(),
            lldtool_version=lldtool_version(),
        )

    def _with_layers(
        self, frozen: Sequence[UntrainedParameter], wrapper: Any
    ) -> tuple[UntrainedParameter, ...]:
        """The frozen parameters with the layers that the constructor puts them in if not frozen."""
        tensors = dict(self.model.named_parameters())
        changed = [tensors[p.name] for p in frozen if tensors[p.name].is_floating_point()]
        try:
            for tensor in changed:
                tensor.requires_grad_(True)
            _, (parameters, _, _) = self._built_again(wrapper)
        except LldtoolError:  # of a constructor that can't take all of them
            return tuple(frozen)
        finally:
            for tensor in changed:
                tensor.requires_grad_(False)
        layers = {p.name: p.layer_id for p in parameters}
        return tuple(replace(p, layer_id=layers.get(p.name)) for p in frozen)

    def _setup(
        self, wrapper: Any, built: constructor.Built, parameters: tuple[Parameter, ...]
    ) -> Setup:
        """What a tracer is given."""
        optimizer = configs.optimizer_header(wrapper)
        return Setup(
            model=self.model,
            paramwise_cfg=wrapper.get("paramwise_cfg", None) or {},
            base_lr=optimizer.lr,
            base_weight_decay=optimizer.weight_decay,
            defaults=next(iter(built.optimizers.values())).defaults,
            parameters=parameters,
        )

    def _altered(self, wrapper: Any, inputs: Inputs) -> Setup | None:
        """What comes out with other inputs; None where the constructor raises."""
        altered = copy.deepcopy(wrapper)
        if not isinstance(altered.get("optimizer", None), dict):
            return None  # a constructor that chooses the optimizer itself
        if inputs.paramwise_cfg:
            altered["paramwise_cfg"] = inputs.paramwise_cfg
        for key, value in inputs.base.items():
            altered["optimizer"][key] = value
        try:
            built, (parameters, _, _) = self._built_again(altered)
        except LldtoolError:
            return None
        return self._setup(altered, built, parameters)

    def _built_again(self, wrapper: Any) -> tuple[constructor.Built, ParametersRead]:
        with silenced():
            return self._built(wrapper)

    def _built(self, wrapper: Any) -> tuple[constructor.Built, ParametersRead]:
        watched = WatchedOptions()
        with translated(lambda error: self._constructor_error(error, wrapper, watched.read or ())):
            built = constructor.build_optimizers(self.model, wrapper, watched)
        base_lr = configs.optimizer_header(wrapper).lr
        return built, read_parameters(self.model, built.optimizers, base_lr, self.traits)

    def _constructor_error(
        self, error: BaseException, wrapper: Any, reads: Sequence[str]
    ) -> LldtoolError:
        name = self.request.name
        if wrapper is not self.config.optim_wrapper:  # one that was only tried
            return constructor.constructor_error(error, wrapper, name)
        run = functools.partial(constructor.raised_by, self.model)
        find = functools.partial(culprit_of, error, wrapper, reads, run, self.request.path.suffix)
        return constructor.constructor_error(error, wrapper, name, find)


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
            _import_scope(scope, name)
            stack.enter_context(DefaultScope.overwrite_default_scope(scope))
            if built is None:
                with missing_allowed(allow_network=request.allow_network) as missing:
                    model = models.build_model(config, request.device)
            else:
                model, missing = built.model, list(built.missing_checkpoints)
            models.require_compiled_operators(model, name)
        notes = (*notes, *filter(None, [scope_note]))
        yield Training(request, config, model, notes, missing)


@contextlib.contextmanager
def in_its_place(request: Request) -> Iterator[None]:
    """Stand where the request's config is, and name it in errors."""
    reached_for.clear()
    try:
        with in_tree(request.checkout):
            yield
    except LldtoolError as error:
        error.config = error.config or request.name
        if request.checkout is not None:
            error.message = error.message.replace(f"{request.checkout.tree}{os.sep}", "")
        raise


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


def _strangers(model: Any, optimizers: Mapping[str, Any]) -> str | None:
    others = strangers(model, optimizers)
    return f"{others} tensors in param groups are no parameters of the model" if others else None


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


def _import_scope(scope: str, name: str) -> None:
    """Import the scope's package, which mmengine would do without a word about a failure."""
    try:
        importlib.import_module(f"{scope}.registry")
    except ModuleNotFoundError as error:
        if error.name not in (scope, f"{scope}.registry"):
            raise
        if scope in OPENMMLAB:
            raise LldtoolError(
                f"the package {scope!r} of default_scope is not installed", config=name
            ) from error

"""Build optimizers as training does, by the constructor that the config names."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lldtool.dryrun.options_read import WatchedOptions
from lldtool.dryrun.patching import patched
from lldtool.dryrun.registries import defaults_of, type_name
from lldtool.dryrun.runners import Build

#: Names of optimizers that exist once a package is installed -> the package.
#: https://mmengine.readthedocs.io/en/latest/common_usage/better_optimizers.html
OPTIONAL_OPTIMIZERS = {
    r"DAdapt(AdaGrad|Adam|SGD)": "dadaptation",
    r"Lion": "lion_pytorch",
    r"SophiaG?": "Sophia",
    r"Adafactor": "transformers",
    r"bnb_\w+|\w+(8|32)bit": "bitsandbytes",
    r"HybridAdam|CPUAdam": "colossalai",
    r"DeepSpeedCPUAdam": "deepspeed",
    r"Fused\w+": "apex",
}


#: Entries of `optim_wrapper` that are no arguments of the wrapper.
_NOT_THE_WRAPPERS = ("type", "optimizer", "constructor", "paramwise_cfg")


@dataclass(frozen=True)
class Built:
    """What the constructor built, and what is to be said about how.

    `wrapper` is what the runner has; `wrappers` is name -> mmengine's optimizer wrapper, with the
    name "" for a single one. `wrapper_options` are the arguments that the wrapper's class took, its
    own defaults too.
    """

    wrapper: Any
    wrappers: dict[str, Any]
    wrapper_options: dict[str, Any]
    notes: list[str]

    @property
    def optimizers(self) -> dict[str, Any]:
        """Name -> `torch.optim.Optimizer`."""
        return {name: wrapper.optimizer for name, wrapper in self.wrappers.items()}


def build_optimizers(
    model: Any, optim_wrapper: Any, build: Build, watched: WatchedOptions | None = None
) -> Built:
    """Build the optimizer as the runner does; simulate wrappers that can't be built here.

    Args:
        model: a `torch.nn.Module`.
        optim_wrapper: the config's `optim_wrapper`.
        build: how the runner builds it.
        watched: gets to know which options are looked for, also where the constructor raises.
    """
    from mmengine.optim import OptimWrapperDict

    notes: list[str] = []
    config = _with_optimizer_class(optim_wrapper, notes)
    _register_strategies(config, notes)
    kind = constructor_class(optim_wrapper)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quick_groups())
        stack.enter_context(_without_print_log())
        stack.enter_context(_simulated_wrappers(notes))
        if watched is not None:
            stack.enter_context(watched.watching(kind))
        wrapper = build(model, config)
    wrappers = dict(wrapper.items()) if isinstance(wrapper, OptimWrapperDict) else {"": wrapper}
    return Built(wrapper, wrappers, _wrapper_options(type(wrapper), optim_wrapper), notes)


def _wrapper_options(wrapper: type, config: Any) -> dict[str, Any]:
    """The config's arguments for a wrapper's class, over the defaults of its and its bases'."""
    options = defaults_of(wrapper) | {key: config[key] for key in config}
    return {key: options[key] for key in options if key not in _NOT_THE_WRAPPERS}


def constructor_class(optim_wrapper: Any) -> type:
    """The constructor that the config names; mmengine's default where it names none."""
    from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

    kind = optim_wrapper.get("constructor", "DefaultOptimWrapperConstructor")
    if isinstance(kind, str):
        with OPTIM_WRAPPER_CONSTRUCTORS.switch_scope_and_registry(None) as registry:
            kind = registry.get(kind)
    return kind if inspect.isclass(kind) else type(kind)


def _with_optimizer_class(config: Any, notes: list[str]) -> Any:
    """The config, with a substitute for an optimizer class whose package is not installed."""
    optimizer = config.get("optimizer", None)
    # dict.get: mmengine's own would import a class of a pure-Python config now.
    kind = dict.get(optimizer, "type") if isinstance(optimizer, dict) else None
    package = _missing_package(kind)
    if package is None:
        return config
    import torch

    class MissingOptimizer(torch.optim.Optimizer):
        def __init__(self, params: Any, **defaults: Any) -> None:
            super().__init__(params, defaults)

    notes.append(
        f"{type_name(kind)} needs {package}, which is not installed: "
        "shown is what the constructor gives it"
    )
    changed = config.copy()
    arguments = {key: optimizer[key] for key in optimizer if key != "type"}
    changed["optimizer"] = {**arguments, "type": MissingOptimizer}
    return changed


def _missing_package(kind: Any) -> str | None:
    """The package that an optimizer type needs and that is not installed, or None."""
    from mmengine.registry import OPTIMIZERS

    if kind is None or inspect.isclass(kind):
        return None
    path = kind if isinstance(kind, str) else f"{kind.module}.{kind}"
    top, dot, _ = path.partition(".")
    if dot:
        is_name = all(part.isidentifier() for part in path.split("."))
        return top if is_name and importlib.util.find_spec(top) is None else None
    with OPTIMIZERS.switch_scope_and_registry(None) as registry:
        registry.import_from_location()
        if path in registry.module_dict or path in OPTIMIZERS.module_dict:
            return None
    return next((p for names, p in OPTIONAL_OPTIMIZERS.items() if re.fullmatch(names, path)), None)


def _register_strategies(config: Any, notes: list[str]) -> None:
    """Import the wrappers of DeepSpeed and ColossalAI, which mmengine's strategies register."""
    name = type_name(config.get("type", ""))
    if re.match(r"DeepSpeed|ColossalAI", name):
        with contextlib.suppress(ModuleNotFoundError):  # then the type is said to be unknown
            importlib.import_module("mmengine._strategy")
        notes.append(f"{name}: its strategy was not set up; that changes no setting")


@contextlib.contextmanager
def _simulated_wrappers(notes: list[str]) -> Iterator[None]:
    """Let wrappers that refuse to be built without an accelerator be built all the same.

    They scale the loss and change no setting. Arguments that they do not know stay an error. Where
    mmengine looks elsewhere for the accelerator, a plain `OptimWrapper` takes their place.
    """
    import torch
    from mmengine.optim import AmpOptimWrapper, ApexOptimWrapper, OptimWrapper

    def simulated(cls: Any, **there: Any) -> Any:
        real, signature = cls.__init__, inspect.signature(cls.__init__)
        module = sys.modules[cls.__module__]

        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            notes.append(f"{cls.__name__} was simulated: it needs a GPU, and changes no setting")
            if there.keys() <= vars(module).keys():
                with patched(module, **there):
                    real(self, *args, **kwargs)
                return
            passed_on = signature.bind(self, *args, **kwargs).arguments.get("kwargs", {})
            OptimWrapper.__init__(self, **passed_on)

        return patched(cls, __init__=init)

    scaler = getattr(torch.amp, "GradScaler", None)  # as of torch 2.3
    on_cpu = {} if scaler is None else {"GradScaler": functools.partial(scaler, "cpu")}
    amp = simulated(AmpOptimWrapper, is_cuda_available=lambda: True, **on_cpu)
    with amp, simulated(ApexOptimWrapper, apex_amp=object()):
        yield


@contextlib.contextmanager
def _quick_groups() -> Iterator[None]:
    """Spare what torch does for each param group that is of no use here.

    The import of `torch._dynamo`, 0.8 s, that the first group causes: torch wraps
    `add_param_group` so that torch.compile leaves it alone, and nothing is compiled here. And the
    comparison of each group with all before it, which for the 392 groups of ViT-H takes 0.04 s:
    the first stands for all, and tensors are compared by identity. A torch that wraps the method
    in no way, or in another, is left as it is.
    """
    import torch

    plain = getattr(torch.optim.Optimizer.add_param_group, "__wrapped__", None)
    if plain is None:
        yield
        return
    known: dict[int, tuple[int, set[int]]] = {}  # optimizer -> number of groups, their tensors

    def add_param_group(self: Any, param_group: Any) -> None:
        groups = self.param_groups
        number, seen = known.get(id(self), (0, set()))
        if number != len(groups):
            seen = {id(p) for group in groups for p in group["params"]}
        self.param_groups = groups[:1]
        try:
            plain(self, param_group)
            new = {id(p) for p in self.param_groups[-1]["params"]}
        finally:
            self.param_groups = groups
        if seen.isdisjoint(new):
            groups.append(param_group)
            seen |= new
            known[id(self)] = len(groups), seen
        else:
            plain(self, param_group)  # raises what torch raises

    with patched(torch.optim.Optimizer, add_param_group=add_param_group):
        yield


@contextlib.contextmanager
def _without_print_log() -> Iterator[None]:
    """Leave out what mmengine's `print_log` prints where it is given no logger.

    mmseg's constructor logs so: a line for each parameter, past what silences logging.
    """

    def print_nothing(*_: object, **__: object) -> None:
        pass

    module = importlib.import_module("mmengine.logging.logger")
    with patched(module, print=print_nothing):
        yield

"""The truth to compare with: mmengine's own path from config to optimizer, without lldtool.

Run as a script, `python tests/reference.py [--skip-init] CONFIG...`. Prints a JSON line for each
config: name -> [lr, lr_scale, weight_decay, layer_id], floats as hex; or the error.
"""

import copy
import importlib.machinery
import json
import logging
import sys
import types
import warnings


class _Anything(type):
    """Stands for whatever is asked of a torchvision that is not there; data sets use it."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


def fake_torchvision():
    class Module(types.ModuleType):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return _Anything(name, (), {})

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "torchvision":
                return importlib.machinery.ModuleSpec(name, self, is_package=True)
            return None

        def create_module(self, spec):
            module = Module(spec.name)
            module.__path__, module.__version__ = [], "0.20.0"
            return module

        def exec_module(self, module):
            pass

    sys.meta_path.insert(0, Finder())


def skip_init():
    import torch

    for name in dir(torch.nn.init):
        if name.endswith("_") and not name.startswith("_"):
            setattr(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor)


def number(value):
    return None if value is None else float(value).hex()


def settings(path):
    import torch  # noqa: F401
    from mmengine.config import Config
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import MODELS, DefaultScope

    config = Config.fromfile(path)
    scope = config.get("default_scope", "mmpretrain")
    with DefaultScope.overwrite_default_scope(scope):
        if config.get("data_preprocessor", None) is not None:
            config.model.setdefault("data_preprocessor", config.data_preprocessor)
        model = MODELS.build(config.model)
        wrapper_config = copy.deepcopy(config.optim_wrapper)
        if "Amp" in str(wrapper_config.get("type", "")):
            wrapper_config["type"] = "OptimWrapper"
            for key in ("loss_scale", "dtype", "use_fsdp"):
                wrapper_config.pop(key, None)
        optimizer = build_optim_wrapper(model, wrapper_config).optimizer
    base_lr = config.optim_wrapper.optimizer.get("lr", None)
    groups = {id(p): g for g in optimizer.param_groups for p in g["params"]}
    found = {}
    for name, parameter in model.named_parameters():
        group = groups.get(id(parameter))
        if group is not None:
            scale = group.get("lr_scale", group["lr"] / base_lr if base_lr else None)
            found[name] = [
                number(group["lr"]), number(scale), number(group.get("weight_decay")),
                group.get("layer_id"),
            ]  # fmt: skip
    return found


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    paths = sys.argv[1:]
    fake_torchvision()
    if paths[:1] == ["--skip-init"]:
        paths = paths[1:]
        skip_init()
    out, sys.stdout = sys.stdout, sys.stderr
    for path in paths:
        try:
            answer = {"settings": settings(path)}
        except BaseException as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps({"config": path, **answer}), file=out, flush=True)


if __name__ == "__main__":
    main()

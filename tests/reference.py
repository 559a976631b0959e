"""The truth to compare with: mmengine's own path from config to optimizer, without lldtool.

Run as a script, `python tests/reference.py [--skip-init] [--schedule N] CONFIG...`. Prints a JSON
line for each config: name -> [lr, lr_scale, weight_decay, layer_id], floats as hex; or the error.
With `--schedule`, name -> a hash of its lr in every step of a training with N iterations an epoch,
stepped by the hook of mmengine's Runner. With `--cautious` before that, a config that takes too
long is an error.
"""

import array
import contextlib
import copy
import hashlib
import importlib.machinery
import json
import logging
import pkgutil
import re
import resource
import signal
import sys
import types
import warnings

#: What the installed packages import at module level and building a model does not run.
FAKED = ("torchvision", "mmcv._ext", "xtcocotools", "json_tricks", "munkres")
FAKED += ("mmaction.models.localizers.drn",)  # not in the wheel of mmaction2 1.2.0


#: mmpretrain's hooks that set lrs.
SETTING_LRS = ("SimSiamHook",)
#: What a config may take of a cautious reference.
CAUTIOUS_SECONDS, CAUTIOUS_BYTES = 30, 16 << 30


class _Anything(type):
    """Stands for whatever is asked of a package that is not there; data sets use it."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


def fake_packages():
    class Module(types.ModuleType):
        def __getattr__(self, name):
            if name.startswith("__"):
                raise AttributeError(name)
            return _Anything(name, (), {})

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name.startswith(FAKED):
                return importlib.machinery.ModuleSpec(name, self, is_package=True)
            return None

        def create_module(self, spec):
            module = Module(spec.name)
            module.__path__, module.__version__ = [], "0.20.0"
            return module

        def exec_module(self, module):
            pass

    sys.meta_path.insert(0, Finder())
    find_loader = pkgutil.find_loader
    # By this mmengine tells mmcv from mmcv-lite.
    pkgutil.find_loader = lambda name: None if name == "mmcv._ext" else find_loader(name)


def skip_init():
    """Leave all values as they are; checkpoints may be missing then."""
    import torch
    from mmengine.model.weight_init import PretrainedInit

    PretrainedInit.__call__ = lambda self, module: None
    for name in dir(torch.nn.init):
        if name.endswith("_") and not name.startswith("_"):
            setattr(torch.nn.init, name, lambda tensor, *args, **kwargs: tensor)


def be_cautious():
    """Let a config that takes too long, or too much memory, be an error."""

    def too_long(*_):
        raise TimeoutError("took too long")

    signal.signal(signal.SIGALRM, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (CAUTIOUS_BYTES, CAUTIOUS_BYTES))


def number(value):
    return None if value is None else float(value).hex()


def layer_id(group):
    """As the constructors number their groups, or name them: `layer_3_no_decay`."""
    named = re.match(r"layer_(\d+)_", group.get("group_name", ""))
    return group.get("layer_id", int(named[1]) if named else None)


@contextlib.contextmanager
def built(path):
    """The config, its model and its optimizer wrapper, in its scope."""
    import torch  # noqa: F401
    from mmengine.config import Config
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import MODELS, RUNNERS, DefaultScope
    from mmengine.runner import set_random_seed

    config = Config.fromfile(path)
    seed = config.get("randomness", {}).get("seed", None)
    if seed is not None:
        set_random_seed(seed)
    scope = config.get("default_scope", "mmpretrain")
    with DefaultScope.overwrite_default_scope(scope):
        if config.get("data_preprocessor", None) is not None:
            config.model.setdefault("data_preprocessor", config.data_preprocessor)
        model = MODELS.build(config.model)
        wrapper_config = copy.deepcopy(config.optim_wrapper)
        kind = wrapper_config.get("type", None)
        if not isinstance(kind, (list, tuple)) and "Amp" in str(kind):
            wrapper_config["type"] = "OptimWrapper"
            for key in ("loss_scale", "dtype", "use_fsdp"):
                wrapper_config.pop(key, None)
        if config.get("runner_type", None) == "FlexibleRunner":
            model.init_weights()
        elif "runner_type" in config:
            runner = object.__new__(RUNNERS.get(config.runner_type))
            runner.model = model
            build_optim_wrapper = lambda _, wrapper: runner.build_optim_wrapper(wrapper)  # noqa: E731
        yield config, model, build_optim_wrapper(model, wrapper_config)


def schedule(path, epoch_length):
    from mmengine.hooks import ParamSchedulerHook
    from mmengine.registry import HOOKS
    from mmengine.runner import BaseLoop, Runner

    class Loop(BaseLoop):
        def __init__(self, epochs, iters):
            self.max_epochs, self.max_iters = epochs, iters
            self.dataloader = [None] * epoch_length

        def run(self):
            pass

    with built(path) as (config, model, wrapper):
        epochs = config.train_cfg.get("max_epochs", 1)
        iters = config.train_cfg.get("max_iters", epochs * epoch_length)
        runner = Runner.__new__(Runner)
        runner.optim_wrapper, runner.logger = wrapper, logging.getLogger("none")
        runner._train_loop = Loop(epochs, iters)
        runner._train_dataloader = runner._train_loop.dataloader
        configured = config.get("param_scheduler", None)
        runner.param_schedulers = configured and runner.build_param_scheduler(configured)
        hook, groups = ParamSchedulerHook(), wrapper.optimizer.param_groups
        custom = config.get("custom_hooks", None) or ()
        setting = [HOOKS.build(one) for one in custom if one.get("type") in SETTING_LRS]
        lrs = [array.array("d") for _ in groups]
        for step in range(iters):
            for one in setting:
                if step == 0 or ("max_iters" not in config.train_cfg and step % epoch_length == 0):
                    one.before_train_epoch(runner)
                one.before_train_iter(runner, step)
            for column, group in zip(lrs, groups, strict=True):
                column.append(group["lr"])
            hook.after_train_iter(runner, step)
            if "max_iters" not in config.train_cfg and (step + 1) % epoch_length == 0:
                hook.after_train_epoch(runner)
        hashes = [hashlib.sha256(column.tobytes()).hexdigest() for column in lrs]
        place = {id(p): i for i, group in enumerate(groups) for p in group["params"]}
        return {n: hashes[place[id(p)]] for n, p in model.named_parameters() if id(p) in place}


def settings(path):
    with built(path) as (config, model, wrapper):
        optimizer = wrapper.optimizer
    base_lr = config.optim_wrapper.optimizer.get("lr", None)
    groups = {id(p): g for g in optimizer.param_groups for p in g["params"]}
    found = {}
    for name, parameter in model.named_parameters():
        group = groups.get(id(parameter))
        if group is not None:
            scale = group.get("lr_scale", float(group["lr"]) / base_lr if base_lr else None)
            found[name] = [
                number(group["lr"]), number(scale), number(group.get("weight_decay")),
                layer_id(group),
            ]  # fmt: skip
    return found


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    paths = sys.argv[1:]
    fake_packages()
    if paths[:1] == ["--skip-init"]:
        paths = paths[1:]
        skip_init()
    cautious = paths[:1] == ["--cautious"]
    if cautious:
        paths = paths[1:]
        be_cautious()
    epoch_length = None
    if paths[:1] == ["--schedule"]:
        epoch_length, paths = int(paths[1]), paths[2:]
    out, sys.stdout = sys.stdout, sys.stderr
    for path in paths:
        signal.alarm(CAUTIOUS_SECONDS if cautious else 0)
        try:
            if epoch_length is None:
                answer = {"settings": settings(path)}
            else:
                answer = {"schedule": schedule(path, epoch_length)}
        except BaseException as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps({"config": path, **answer}), file=out, flush=True)


if __name__ == "__main__":
    main()

"""Load a config, build its model and optimizer wrapper, and print the param groups."""

import sys

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

config = Config.fromfile(sys.argv[1])
init_default_scope(config.default_scope)
model = MODELS.build(config.model)
wrapper_config = config.optim_wrapper
if wrapper_config.get("type") == "AmpOptimWrapper":  # requires a GPU
    wrapper_config.type = "OptimWrapper"
for group in build_optim_wrapper(model, wrapper_config).optimizer.param_groups:
    print(group.get("param_name"), group["lr"], group["weight_decay"])

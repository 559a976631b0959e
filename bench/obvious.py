"""What one writes without lldtool: load the config, build model and optimizer wrapper, print."""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("torchvision") is None:  # mmpretrain does not import without it
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import reference

    reference.FAKED = ("torchvision",)
    reference.fake_packages()

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

config = Config.fromfile(sys.argv[1])
init_default_scope(config.default_scope)
model = MODELS.build(config.model)
wrapper_config = config.optim_wrapper
if wrapper_config.get("type") == "AmpOptimWrapper":  # refuses to be built without a GPU
    wrapper_config.type = "OptimWrapper"
for group in build_optim_wrapper(model, wrapper_config).optimizer.param_groups:
    print(group.get("param_name"), group["lr"], group["weight_decay"])

"""Print torchinfo's summary of a config's model: layers and parameters, but no settings."""

import sys

import torchinfo
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

config = Config.fromfile(sys.argv[1])
init_default_scope(config.default_scope)
torchinfo.summary(MODELS.build(config.model), depth=10)

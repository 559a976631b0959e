"""The configs of the installed mmpretrain that are measured."""

from lldtool.config import locate
from lldtool.config.discovery import discover
from lldtool.config.locations import Sources

CONSTRUCTOR = "LearningRateDecayOptimWrapperConstructor"
VIT_S = "mmpretrain::deit/deit-small_4xb256_in1k.py"
VIT_B = "mmpretrain::mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k.py"
VIT_L = "mmpretrain::mae/benchmarks/vit-large-p16_8xb128-coslr-50e_in1k.py"
VIT_H = "mmpretrain::mae/benchmarks/vit-huge-p14_8xb128-coslr-50e_in1k.py"
EVA_G = "mmpretrain::eva/eva-g-p14_8xb16_in1k-336px.py"


def path_of(config):
    """Return the path of a config, for scripts that don't know `package::name`."""
    return str(locate(config).path)


def with_layer_decay():
    """Return the names of the configs that name the layer-decay constructor or inherit it."""
    names = discover(["mmpretrain::."], include=(), exclude=(), include_base=False, root=None)
    return [
        name
        for name in names
        if any(CONSTRUCTOR in file.read_text("utf-8") for file in Sources(locate(name).path).files)
    ]

"""LLD207 depth-too-large."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from lldtool.lint.rules._blocks import Backbone
from lldtool.lint.rules._depth import Ladder, depth_option, has_lr_asked_for, ladder
from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import ADAMW, LAYER_DECAY, Example
from lldtool.text import significant

#: The last block may be this many layers below what comes next: a final norm may have a layer.
_MOST_STEPS = 2


class DepthTooLarge(Rule):
    """The constructor counts more layers than the backbone has blocks.

    mmdet, mmseg, mmpose and mmaction2 are told the depth of the backbone as `num_layers`. With
    12 for a backbone of 8 blocks and a rate of 0.85, the last block trains at 0.44 of the lr,
    next to a head at 1.0, and all blocks before it at less than half of what was meant. The
    same holds for a `get_layer_depth` that counts layers which the model does not have.

    lldtool goes by the lr_scales that the constructor gave, whatever its options are called. The
    last block may be two layers below the head, as where a final norm has a layer of its own, and
    more where the last blocks are frozen. A backbone of stages is not reported: a constructor may
    decay by stages and count more. It is a warning where no option of the config says the depth.

    Write the number of blocks that the model has.
    """

    severity = Severity.error
    passes = (
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0}),
        Example(LAYER_DECAY, {"layer_decay_rate": 0.8, "norm_decay_mult": 0.0}, model="convnext"),
    )
    finds = (
        Example(
            ADAMW,
            {"decay_rate": 0.8, "num_layers": 24},
            config={"optim_wrapper.constructor": "ByName"},
            code="""\
@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ByName(DefaultOptimWrapperConstructor):
    def add_params(self, params, module, **kwargs):
        rate, depth = self.paramwise_cfg['decay_rate'], self.paramwise_cfg['num_layers']
        for name, parameter in module.named_parameters():
            layer = depth + 1
            if name.startswith('backbone.layers.'):
                layer = int(name.split('.')[2]) + 1
            elif 'embed' in name or 'token' in name:
                layer = 0
            scale = rate ** (depth + 1 - layer)
            params.append(dict(params=[parameter], lr=self.base_lr * scale, lr_scale=scale))
""",
        ),
        Example(
            LAYER_DECAY,
            {"norm_decay_mult": 0.0},
            config={"model.backbone.type": "CountsTwice"},
            code="""\
@MODELS.register_module()
class CountsTwice(VisionTransformer):
    def get_layer_depth(self, param_name, prefix=''):
        depth, num_layers = super().get_layer_depth(param_name, prefix)
        is_last = depth == num_layers - 1
        return depth + self.num_layers * is_last, num_layers + self.num_layers
""",
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each backbone with several empty layers above its last block."""
        for backbone in subject.backbones:
            found = ladder(backbone)
            below = [scale for scale in found.scales if scale < 1] if found else []
            if found is None or found.blocks is None or not below:
                continue
            steps = found.steps(below[-1], _next_scale(subject, below[-1]))
            if steps is None or steps <= _MOST_STEPS or not _trains_to_the_end(subject, backbone):
                continue
            yield self._too_deep(subject, found, found.blocks, steps)

    def _too_deep(self, subject: Subject, found: Ladder, blocks: int, steps: int) -> Diagnostic:
        last = max(scale for scale in found.scales if scale < 1)
        option = depth_option(subject, blocks, steps)
        says = option.says if option else f"the constructor counts {blocks + steps - 1}"
        inside = {p.name for backbone in subject.backbones for p in backbone.parameters}
        head = [p.lr_scale for p in subject.parameters if p.name not in inside and p.lr_scale]
        beside = f", next to the head's {significant(max(head), 2)}" if head else ""
        return self.diagnostic(
            f"{blocks} blocks, but {says}: the last block trains at {significant(last, 2)} of "
            f"the base lr{beside}",
            option.at if option else CONSTRUCTOR,
            found.members(last),
            option.ways if option else (),
            None if option else Severity.warning,
        )


def _next_scale(subject: Subject, last: float) -> float:
    """The lowest lr_scale above that of the last block; 1 where nothing has one in between."""
    scales = (p.lr_scale for p in subject.plan.parameters if not has_lr_asked_for(p))
    above = (s for s in scales if s is not None and s > last and not math.isclose(s, last))
    return min((1.0, *above))


def _trains_to_the_end(subject: Subject, backbone: Backbone) -> bool:
    """Whether the last block is one that trains: a frozen one is in a layer, too."""
    trained = {_depth(place) for p in backbone.in_blocks if (place := backbone.block(p.name))}
    everything = (
        backbone.block(p.name)
        for p in subject.plan.every_parameter
        if not backbone.name or p.name.startswith(f"{backbone.name}.")
    )
    return max(_depth(place) for place in everything if place is not None) in trained


def _depth(place: tuple[str, int]) -> tuple[int, ...]:
    """`backbone.layers`, 11 -> (11,); `backbone.layer4`, 2 -> (4, 2)."""
    sequence, number = place
    stage = re.findall(r"\d+", sequence.rpartition(".")[2])
    return (*map(int, stage), number)

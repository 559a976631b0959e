"""LLD204 depth-out-of-order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, Example
from lldtool.text import plural


class DepthOutOfOrder(Rule):
    """A later block of a sequence has a lower layer_id than an earlier one.

    Layer decay is meant to give the first blocks the smallest lr. Where the numbers of a
    constructor or a `get_layer_depth` run backwards or jump back, as with names sorted as text or
    a hierarchical backbone that is counted as a flat one, some deep block is held back and some
    early one is not.

    Fix the depth function, or give the constructor the `num_layers` and the backbone that it was
    written for.
    """

    severity = Severity.error
    passes = (
        Example(RECIPE),
        Example(LAYER_DECAY, {"layer_decay_rate": 0.8, "norm_decay_mult": 0.0}, model="convnext"),
    )
    finds = (
        Example(
            LAYER_DECAY,
            {"norm_decay_mult": 0.0},
            config={"model.backbone.type": "SortedAsText"},
            code="""\
@MODELS.register_module()
class SortedAsText(VisionTransformer):
    def get_layer_depth(self, param_name, prefix=''):
        depth, num_layers = super().get_layer_depth(param_name, prefix)
        blocks = sorted(str(number) for number in range(self.num_layers))
        if 0 < depth < num_layers - 1:
            depth = blocks.index(str(depth - 1)) + 1
        return depth, num_layers
""",
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each sequence of blocks in which a layer_id falls."""
        sequences = (s for b in subject.backbones for s in b.sequences().items())
        for name, blocks in sequences:
            depths = {
                number: min(ids)
                for number, members in blocks.items()
                if (ids := [p.layer_id for p in members if isinstance(p.layer_id, (int, float))])
            }
            numbers = sorted(depths)
            pairs = itertools.pairwise(numbers)
            falls = [(a, b) for a, b in pairs if depths[b] < depths[a]]
            if falls:
                a, b = falls[0]
                more = f", and {plural(len(falls) - 1, 'more such place')}" if falls[1:] else ""
                yield self.diagnostic(
                    f"{name}.{b} is in layer {depths[b]}, and {name}.{a} before it in "
                    f"{depths[a]}{more}",
                    CONSTRUCTOR,
                    [p for _, b in falls for p in blocks[b]],
                )

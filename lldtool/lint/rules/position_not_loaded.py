"""LLD607 position-not-loaded."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules._parameters import is_embedding_name
from lldtool.lint.rules._starts import inside
from lldtool.lint.rules.base import Diagnostic, Rule, Subject, count
from lldtool.lint.rules.examples import RECIPE, Example
from lldtool.text import shape


class PositionNotLoaded(Rule):
    """A table of positions has another shape in the checkpoint, and nothing resizes it.

    A model for another image or window size has other positions. mmpretrain's ViT and Swin resize
    those of a checkpoint while they load it; a class that does not do so starts them from their
    initialisation, under pretrained blocks.

    Resize them in a hook that the model registers with `_register_load_state_dict_pre_hook`, or
    keep the size of the checkpoint.
    """

    finds = (
        Example(
            RECIPE,
            weights={},
            config={"model.backbone.type": "FixedSizeViT", "model.backbone.img_size": 64},
            weights_of={"model.backbone.img_size": 32},
            code="""@MODELS.register_module()
class FixedSizeViT(VisionTransformer):
    def _prepare_pos_embed(self, *args, **kwargs):
        pass
""",
        ),
    )
    passes = (
        Example(
            RECIPE,
            weights={},
            config={"model.backbone.img_size": 64},
            weights_of={"model.backbone.img_size": 32},
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for the tables that are not loaded for their shape."""
        found = [
            p
            for p in inside(subject.plan, "")
            if p.checkpoint_shape is not None and any(map(is_embedding_name, p.name.split(".")))
        ]
        if found:
            first = found[0]
            yield self.diagnostic(
                f"{count(found, 'table of positions is', 'tables of positions are')} not loaded: "
                f"{first.name} has {shape(first.shape)}, and the checkpoint "
                f"{shape(first.checkpoint_shape or ())}",
                ("model",),
                found,
            )

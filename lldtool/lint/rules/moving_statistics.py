"""LLD407 moving-statistics."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lldtool.config.edit import Edit
from lldtool.lint.rules._blocks import backbone_names
from lldtool.lint.rules._parameters import grouped_by
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import SGD, Example, keys
from lldtool.plan import UPDATES_STATISTICS, Parameter, UntrainedParameter
from lldtool.text import plural

#: Copies of another module that follow it, statistics and all, by a part of the name.
_FOLLOWS = re.compile(r"(\w+_)?(momentum|ema|target|shadow)(_\w+)?|\w+_(k|m)")


class MovingStatistics(Rule):
    """BatchNorm layers whose weights are frozen keep updating their running statistics.

    `requires_grad=False` and lr 0 keep the weights of a BatchNorm layer as they are. Its running
    mean and variance are no parameters: they follow every batch as long as the layer is in
    training mode, and `model.train()` puts it there. The features of a frozen backbone then drift,
    and depend on the batch. `norm_eval=True` keeps the layers of most backbones in eval mode;
    `frozen_stages` does so for the stages that it freezes.

    It is information where all of the backbone is frozen: statistics of the new data set may be
    what is wanted of it. Averages of another model, as momentum encoders are, are not reported.

    Write `norm_eval=True` in the backbone, or ignore it where the statistics are to adapt.
    """

    passes = (
        Example(SGD, config={"model.backbone.frozen_stages": 4}),
        Example(SGD, keys("backbone", lr_mult=0), config={"model.backbone.norm_eval": True}),
    )
    finds = (
        Example(SGD, config={"model.backbone.norm_cfg": {"type": "BN", "requires_grad": False}}),
        Example(SGD, keys("backbone", lr_mult=0)),
        Example(SGD, keys("backbone.layer1", lr_mult=0)),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for the layers of each backbone that update without training."""
        trained = {p.name for p in subject.plan.trained}
        updating = [
            p
            for p in subject.plan.every_parameter
            if UPDATES_STATISTICS in p.traits and not _follows(p)
        ]
        layers_trained = {_module(p) for p in updating if p.name in trained}
        still = [p for p in updating if _module(p) not in layers_trained]
        names = backbone_names(subject.plan)
        for (owner,), members in grouped_by(still, lambda p: (_owner(p, names),)).items():
            inside = f"{owner}." if owner else ""
            in_backbone = owner in names and owner != ""
            at = ("model", *owner.split(".")) if in_backbone else ("model",)
            # In eval mode those layers would be, too, that are trained.
            is_way = in_backbone and not any(name.startswith(inside) for name in layers_trained)
            yield self.diagnostic(
                _message(len({_module(p) for p in members})),
                at,
                members,
                [[Edit((*at, "norm_eval"), True)]] if is_way else [],
                None if any(name.startswith(inside) for name in trained) else Severity.info,
            )


def _message(layers: int) -> str:
    verb, its, them = ("updates", "its", "it") if layers == 1 else ("update", "their", "them")
    return (
        f"{plural(layers, 'BatchNorm layer')} {verb} {its} running statistics, though {its} "
        f"weights do not train: model.train() leaves {them} in training mode"
    )


def _follows(p: Parameter | UntrainedParameter) -> bool:
    return any(map(_FOLLOWS.fullmatch, p.name.split(".")[:-1]))


def _module(p: Parameter | UntrainedParameter) -> str:
    return p.name.rpartition(".")[0]


def _owner(p: Parameter | UntrainedParameter, backbones: tuple[str, ...]) -> str:
    """The backbone that a parameter is in, or the model's module."""
    inside = (name for name in backbones if not name or p.name.startswith(f"{name}."))
    return next(inside, p.top_level_module)

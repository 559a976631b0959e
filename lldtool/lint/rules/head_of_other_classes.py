"""LLD606 head-of-other-classes."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules._blocks import backbone_names
from lldtool.lint.rules._starts import entry_of, inside, is_inside
from lldtool.lint.rules.base import Diagnostic, Rule, Subject, count
from lldtool.lint.rules.examples import RECIPE, Example
from lldtool.text import quoted

_CIFAR10 = {"train_dataloader.dataset": {"type": "CIFAR10"}}
_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
)  # fmt: skip


class HeadOfOtherClasses(Rule):
    """A head starts from a checkpoint that was trained for other classes.

    The weights of a classifier are loaded whenever their shape fits. Of another data set with as
    many classes, or where `num_classes` was left as it was, they belong to other classes, and
    training begins with confident, wrong answers. An `init_cfg` of the backbone loads the backbone
    only.

    The classes are compared by name: those that mmengine notes in a checkpoint, with those that the
    config or the class of its data set names.
    """

    passes = (Example(RECIPE, weights={}, config=_CIFAR10, classes=_CLASSES),)
    finds = (Example(RECIPE, weights={}, config=_CIFAR10, classes=tuple("0123456789")),)

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each checkpoint that gives a head its values."""
        plan = subject.plan
        backbones = [name for name in backbone_names(plan) if name]
        for loaded in plan.loaded or ():
            number = loaded.classes
            if loaded.other_classes is None or number is None:
                continue
            own = [
                p
                for p in inside(plan, loaded.module)
                if p.start == "pretrained"
                # Some heads have an output more, for the background.
                if p.shape and p.shape[0] in (number, number + 1)
                if not any(is_inside(p.name, backbone) for backbone in backbones)
            ]
            if own:
                yield self.diagnostic(
                    f"{count(own, 'tensor of a head starts', 'tensors of a head start')} from "
                    f"{quoted(loaded.checkpoint)}, but {loaded.other_classes}",
                    entry_of(loaded),
                    own,
                )

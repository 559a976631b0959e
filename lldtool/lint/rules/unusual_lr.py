"""LLD509 unusual-lr."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules._lr_curves import main_lr_curves
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import ADAMW, SGD, Example
from lldtool.text import lr, setting

_ADAM = (1e-8, 0.2)
_ADAFACTOR = (1e-7, 1.0)
#: Optimizer -> the lrs from which to which it is used, with room on both sides.
_RANGES = {
    "SGD": (1e-6, 50.0),
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "NAdam": _ADAM,
    "RAdam": _ADAM,
    "Adamax": _ADAM,
    "Adan": (1e-7, 0.5),
    "RMSprop": (1e-8, 2.0),
    "RMSpropTF": (1e-8, 2.0),
    "Lion": (1e-9, 0.03),
    "Lamb": (1e-6, 1.0),
    "LAMB": (1e-6, 1.0),
    "LARS": (1e-3, 100.0),
    "Adafactor": _ADAFACTOR,
    "TransformersAdafactor": _ADAFACTOR,
}


class UnusualLr(Rule):
    """The highest lr of the training is far outside the range that its optimizer is used with.

    An optimizer that divides by the size of the gradient, such as Adam, takes steps of about the lr
    whatever the gradient is, and SGD takes steps in proportion to it, so what is usual for one is
    not for the other. An lr that is kept when the optimizer is changed, or a wrong exponent, shows
    here. The ranges are wide:

    - SGD, 1e-6 to 50: 0.1 to 3.2 on ImageNet (Goyal et al. 2017), 30 for the linear probes of MoCo
      (He et al. 2020).
    - Adam, AdamW, NAdam, RAdam and Adamax, 1e-8 to 0.2: 1e-3 (Kingma and Ba 2015).
    - Adan, 1e-7 to 0.5: 1.5e-2 for ViT (Xie et al. 2022).
    - RMSprop, 1e-8 to 2: 0.256 for EfficientNet (Tan and Le 2019).
    - Lion, 1e-9 to 0.03: a third to a tenth of AdamW's (Chen et al. 2023).
    - LAMB, 1e-6 to 1: 5e-3 to 8e-3 for ResNet-50 (Wightman et al. 2021).
    - LARS, 1e-3 to 100: 4.8 for SimCLR (Chen et al. 2020).
    - Adafactor, 1e-7 to 1: 1e-3 for T5 (Raffel et al. 2020).

    Other optimizers are not judged. Ignore it where the lr is meant.
    """

    severity = Severity.info
    passes = (
        Example(SGD, config={"optim_wrapper.optimizer.lr": 30.0, "train_cfg.max_epochs": 40}),
        Example(ADAMW, config={"train_cfg.max_epochs": 40}),
        Example(
            ADAMW,
            config={
                "optim_wrapper.optimizer.lr": 1.0,
                "train_cfg": {"by_epoch": True, "max_epochs": 40},
                "param_scheduler": {"type": "OneCycleLR", "eta_max": 1e-3, "total_steps": 40},
            },
        ),
    )
    finds = (
        Example(
            ADAMW,
            config={
                "optim_wrapper.optimizer.lr": 1.0,
                "train_cfg": {"by_epoch": True, "max_epochs": 40},
            },
        ),
        Example(
            SGD,
            config={
                "optim_wrapper.optimizer.lr": 1e-7,
                "train_cfg": {"by_epoch": True, "max_epochs": 40},
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each optimizer whose highest lr is outside its range."""
        plan = subject.plan
        for key, (_, curve) in main_lr_curves(plan).items():
            optimizer = plan.optimizer if key is None else plan.optimizers[key]
            bounds, highest = _RANGES.get(optimizer.type), max(curve.value)
            if bounds is None or bounds[0] <= highest <= bounds[1]:
                continue
            bound, than = (bounds[0], "below") if highest < bounds[0] else (bounds[1], "above")
            yield self.diagnostic(
                f"the highest lr is {lr(highest)}, {than} the {setting(bound)} that "
                f"{optimizer.type} is used with",
                ("optim_wrapper", *([] if key is None else [key]), "optimizer", "lr"),
            )

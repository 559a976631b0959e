"""LLD208 unapplied-lr-scale."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import ADAMW, LAYER_DECAY, Example
from lldtool.text import plural, setting, significant

#: Attaches scales to groups that all have the base lr.
_AS_IN_BEIT = """\
@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class AsInBEiT(DefaultOptimWrapperConstructor):
    def add_params(self, params, module, **kwargs):
        for name, parameter in module.named_parameters():
            depth = 12 if name.startswith('head') else 0
            scale = self.paramwise_cfg['decay_rate']**(12 - depth)
            params.append(dict(params=[parameter], lr_scale=scale))
"""


class UnappliedLrScale(Rule):
    """The constructor attaches an lr_scale to its param groups, and nothing applies it.

    The training code of BEiT, MAE and timm gives every param group the base lr and an `lr_scale`,
    and leaves it to a scheduler of its own to multiply them. No scheduler of mmengine reads
    `lr_scale`: with a constructor that was ported from there, all layers train at the base lr.

    There is no finding where the optimizer, or a scheduler, hook or loop of the config that is not
    mmengine's, has code that mentions `lr_scale`.

    Multiply the lr in the constructor: `lr=base_lr * lr_scale`.
    """

    severity = Severity.error
    passes = (
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0}),
        Example(
            ADAMW,
            {"decay_rate": 0.65},
            config={"custom_hooks": [{"type": "ScaleLr"}], "optim_wrapper.constructor": "AsInBEiT"},
            code=f"""\
@HOOKS.register_module()
class ScaleLr(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for group in runner.optim_wrapper.param_groups:
            group['lr'] = group['initial_lr'] * group['lr_scale']


{_AS_IN_BEIT}""",
        ),
    )
    finds = (
        Example(
            ADAMW,
            {"decay_rate": 0.65},
            config={"optim_wrapper.constructor": "AsInBEiT"},
            code=_AS_IN_BEIT,
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding if no lr shows its scale, and no code of the training reads scales."""
        plan = subject.plan
        if not plan.optimizer.lr or "lr_scale" in plan.optimizer.group_entries:
            return
        lr = plan.optimizer.lr * plan.auto_scale_lr
        scaled = [p for p in subject.parameters if p.lr_scale not in (None, 1)]
        if not scaled or not all(p.lr is not None and math.isclose(p.lr, lr) for p in scaled):
            return
        scales = [p.lr_scale for p in subject.parameters if p.lr_scale is not None]
        spread = f"{significant(min(scales))} to {significant(max(scales))}"
        if len(set(scales)) == 1:
            spread = significant(scales[0])
        yield self.diagnostic(
            f"{plan.constructor.type} attaches an lr_scale of {spread} to param groups, and "
            f"nothing applies it: {plural(len(scaled), 'tensor')} train at {setting(lr)}",
            CONSTRUCTOR,
            scaled,
        )

"""LLD305 ignored-option."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.analysis.option_names import KNOWN_OPTIONS, RATES
from lldtool.config.edit import DELETE, PARAMWISE_CFG, Edit
from lldtool.lint.rules._options import answer, idle, ignored, same_meaning
from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Fix, Rule, Severity, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, NO_RATE, RECIPE, SGD, Example

#: Constructors of layer decay, and what they call the rate: mmpretrain's, mmpose's, and that of
#: mmdet, mmseg and mmaction2.
_LAYER_DECAY = {
    "LearningRateDecayOptimWrapperConstructor": "layer_decay_rate",
    "LayerDecayOptimWrapperConstructor": "layer_decay_rate",
    "LearningRateDecayOptimizerConstructor": "decay_rate",
}


class IgnoredOption(Rule):
    """An option belongs to another constructor, and this one ignores it.

    OpenMMLab's constructors share few options: the rate is `layer_decay_rate` in mmpretrain and
    mmpose and `decay_rate` in mmdet, mmseg and mmaction2; `dwconv_decay_mult`, `bias_lr_mult`
    and `bypass_duplicate` are mmengine's own, and its layer-decay relatives do not know them;
    those of mmdet and mmseg do not know `custom_keys`. lldtool runs the constructor with another
    value for an option that it was not seen to read, and without it: an option that changes
    nothing in the optimizer has no effect.

    Write this constructor's name for the option, choose a constructor that knows it, or delete
    it. Where both names of the rate are set, in this config or in one that it inherits from, the
    one that this constructor knows counts.
    """

    severity = Severity.error
    passes = (Example(RECIPE), Example(SGD, {"bias_lr_mult": 2.0}))
    finds = (
        Example(LAYER_DECAY, {"dwconv_decay_mult": 0.0}),
        Example(NO_RATE, {"decay_rate": 0.75}),
        Example(SGD, {"layer_decay_rate": 0.75}),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each option without effect that another constructor knows."""
        constructor = subject.plan.constructor
        for option in ignored(subject):
            if option not in KNOWN_OPTIONS:
                continue
            meant = same_meaning(option, constructor.reads or ())
            renamed = f"here it is called {meant!r}"
            hint, fixes, see = answer(subject, option, meant, renamed=renamed, already="here ")
            if meant is None and option in RATES and not subject.decays_by_layer:
                fixes = [*_layer_decay(option, subject.paramwise_cfg[option]), *fixes]
            yield self.diagnostic(
                f"{option!r} has no effect with {constructor.type}: it is an option of "
                f"{KNOWN_OPTIONS[option]}{hint}",
                (*PARAMWISE_CFG, option),
                fixes=fixes,
                may_uncover=True,
                see=see,
            )
        for option in idle(subject):
            at = (*PARAMWISE_CFG, option)
            message = (
                f"{option!r} has no effect here: {constructor.type} reads it, but nothing in the "
                "optimizer changes with another value or without it"
            )
            yield self.diagnostic(message, at, (), [[Edit(at, DELETE)]], Severity.info)


def _layer_decay(option: str, rate: object) -> Iterator[Fix]:
    """Yield for each constructor of layer decay how to use it; some belong to other packages."""
    for constructor, name in _LAYER_DECAY.items():
        edits = [Edit(CONSTRUCTOR, constructor)]
        text = f"; constructor={constructor!r} decays the lr by layers"
        if name != option:
            edits += [Edit((*PARAMWISE_CFG, option), DELETE), Edit((*PARAMWISE_CFG, name), rate)]
            text += f", and calls the rate {name!r}"
        yield Fix(edits, text, must_change=True)

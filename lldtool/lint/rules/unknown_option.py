"""LLD304 unknown-option."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lldtool.analysis.option_names import KNOWN_OPTIONS, near
from lldtool.config.edit import DELETE, PARAMWISE_CFG, Edit
from lldtool.lint.rules._options import already_set, ignored, removal_text
from lldtool.lint.rules.base import Diagnostic, Fix, Rule, Severity, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, SGD, Example

#: Not an option, but what mmengine takes out of a dict that replaces an inherited one.
_OF_MMENGINES = "_delete_"


class UnknownOption(Rule):
    """No constructor knows an option of `paramwise_cfg`.

    A constructor looks for the options that it knows and does not complain about others, so a
    misspelt `norm_decay_mul` is ignored. lldtool watches which options the constructor reads
    while it runs. It also runs the constructor with another value for the option, and without
    it: an option that changes nothing in the optimizer then has no effect.

    Correct the name, or delete the option. Where the option of the right name is set as well, in
    this config or in one that it inherits from, that one counts.
    """

    code = "LLD304"
    name = "unknown-option"
    severity = Severity.error
    finds = (Example(LAYER_DECAY, {"norm_decay_mul": 0.0}), Example(SGD, {"norm_decy_mult": 0.0}))

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Options that the constructor never looked for and that no other one knows."""
        reads = subject.plan.constructor.reads or ()
        for option in ignored(subject):
            if option in KNOWN_OPTIONS:
                continue
            at = (*PARAMWISE_CFG, option)
            delete, hint = Edit(at, DELETE), removal_text(subject, option)
            fixes: list[Sequence[Edit] | Fix] = [] if hint else [[delete]]
            see: tuple[str, ...] = ()
            meant = near(option, [*reads, _OF_MMENGINES])
            if meant == _OF_MMENGINES:
                hint = f"; did you mean {meant!r}, which replaces what is inherited?"
            elif meant is not None and meant in subject.paramwise_cfg:
                text, right, see = already_set(subject, option, meant)
                fixes, hint = [] if hint else [*right], f"; it is misspelt, and {text}{hint}"
            elif meant is not None:
                hint = f"; did you mean {meant!r}?{hint}"
                rename = [delete, Edit((*PARAMWISE_CFG, meant), subject.paramwise_cfg[option])]
                fixes = [Fix(rename, may_retrain=True)]
            kind = subject.plan.constructor.type
            yield self.diagnostic(
                f"{option!r} has no effect: {kind} has no such option{hint}",
                at,
                (),
                fixes,
                may_uncover=True,
                see=see,
            )

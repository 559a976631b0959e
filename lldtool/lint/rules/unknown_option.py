"""LLD304 unknown-option."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.analysis.option_names import KNOWN_OPTIONS, near
from lldtool.config.edit import PARAMWISE_CFG
from lldtool.lint.rules._options import answer, ignored
from lldtool.lint.rules.base import Diagnostic, Rule, Severity, Subject
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

    severity = Severity.error
    finds = (Example(LAYER_DECAY, {"norm_decay_mul": 0.0}), Example(SGD, {"norm_decy_mult": 0.0}))

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each option without effect that no constructor knows."""
        constructor = subject.plan.constructor
        for option in ignored(subject):
            if option in KNOWN_OPTIONS:
                continue
            meant = near(option, [*(constructor.reads or ()), _OF_MMENGINES])
            is_mmengines = meant == _OF_MMENGINES
            hint, fixes, see = answer(
                subject,
                option,
                None if is_mmengines else meant,
                renamed=f"did you mean {meant!r}?",
                already="it is misspelt, and ",
            )
            if is_mmengines:
                hint = f"; did you mean {meant!r}, which replaces what is inherited?"
            yield self.diagnostic(
                f"{option!r} has no effect: {constructor.type} has no such option{hint}",
                (*PARAMWISE_CFG, option),
                fixes=fixes,
                may_uncover=True,
                see=see,
            )

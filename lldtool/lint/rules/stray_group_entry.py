"""LLD308 stray-group-entry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lldtool.analysis.option_names import near
from lldtool.config.edit import DELETE, Edit
from lldtool.lint.rules._options import ignored
from lldtool.lint.rules.base import CUSTOM_KEYS, Diagnostic, Fix, Rule, Severity, Subject
from lldtool.lint.rules.examples import LAYER_DECAY, RECIPE, SGD, Example, keys
from lldtool.text import plural


class StrayGroupEntry(Rule):
    """An entry of a custom key is copied into the param group, and nothing reads it there.

    mmengine's and mmpretrain's constructors copy the entries of a custom key into the param
    group. A setting of the optimizer (`betas`, `momentum`, `eps`) takes effect there, and so
    does an entry that its code reads, as LARS reads `lars_exclude`; a misspelt `decay_mul` does
    not. Where the name resembles none that has an effect, a hook of the config may read it:
    that is information. An `lr_mult` without effect is LLD306, and a constructor that ignores
    `custom_keys` altogether LLD305.

    Correct the name, or delete the entry.
    """

    passes = (
        Example(RECIPE),
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, **keys("head.fc.weight", eps=1e-6)}),
    )
    finds = (
        Example(LAYER_DECAY, {"norm_decay_mult": 0.0, **keys(".cls_token", decay_mul=0.0)}),
        Example(SGD, keys("backbone.bn1", decay_mul=0.0)),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each entry of a key that is no option and no setting."""
        plan = subject.plan
        if "custom_keys" in ignored(subject) or plan.group_options is None:
            return
        settings = {"lr", "weight_decay", "lr_mult", "decay_mult", *plan.group_options}
        settings.update(plan.optimizer.group_entries)
        for key, entry in subject.custom_keys:
            strays = [option for option in entry if option not in settings]
            found = [p for p in subject.parameters if key in p.name] if strays else []
            for option in strays:
                if not found or not _is_known_to_do_nothing(subject, option):
                    continue
                at = (*CUSTOM_KEYS, key, option)
                delete = Edit(at, DELETE)
                fixes: list[Sequence[Edit] | Fix] = [[delete]]
                meant = near(option, sorted(settings - {*entry}))
                if meant is not None:
                    rename = [delete, Edit((*at[:-1], meant), entry[option])]
                    hint = f"; did you mean {meant!r}?"
                    fixes = [Fix(rename, hint, must_change=True, may_retrain=True), *fixes]
                yield self.diagnostic(
                    f"{option!r} of custom key {key!r} has no effect on the "
                    f"{plural(len(found), 'tensor')} that the key matches",
                    at,
                    found,
                    fixes,
                    None if meant else Severity.info,
                    may_uncover=meant is not None,
                )


def _is_known_to_do_nothing(subject: Subject, option: str) -> bool:
    """A constructor of the user's own may read what it likes; what it explains, it does not."""
    constructor = subject.plan.constructor
    known = {"DefaultOptimWrapperConstructor", "LearningRateDecayOptimWrapperConstructor"}
    explained = all(p.reason.weight_decay.rule != "constructor" for p in subject.parameters)
    return constructor.type in known or explained

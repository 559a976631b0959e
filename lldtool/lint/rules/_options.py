"""The options of `paramwise_cfg`: which there are, which a constructor ignores, what was meant."""

from __future__ import annotations

from collections.abc import Collection

from lldtool.analysis.keys import Effect, Key
from lldtool.analysis.option_names import RATES
from lldtool.config.edit import DELETE, PARAMWISE_CFG, Edit
from lldtool.lint.rules.base import Fix, Subject
from lldtool.plan import Constructor
from lldtool.text import plural, quoted


def ignored(subject: Subject) -> list[str]:
    """The options that have no effect on what the constructor does, whatever their value.

    Where that was not measured, as for a saved plan, those that the constructor did not read.
    """
    reads = subject.plan.constructor.reads
    found = []
    for option in subject.paramwise_cfg:
        measured = subject.effects.changed.get((option,))
        if measured is None or option in (reads or ()):
            has_effect = reads is None or option in reads
        else:
            removal = subject.effects.removed[option,]
            has_effect = measured != Effect() or (reads is None and removal != Effect())
        if not has_effect:
            found.append(option)
    return found


def idle(subject: Subject) -> list[str]:
    """The options that the constructor reads, and that changed nothing when they were altered."""
    reads, effects = subject.plan.constructor.reads or (), subject.effects
    return [
        option
        for (option, *rest), changed in effects.changed.items()
        if not rest and option in reads and changed == effects.removed[option,] == Effect()
    ]


def removal_text(subject: Subject, option: str) -> str:
    """What leaving an option out changes, though its value has no effect; or nothing."""
    removal = subject.effects.removed.get((option,), Effect())
    number = removal.settings + removal.moved
    if not number:
        return ""
    return f"; leaving it out changes {plural(number, 'tensor')}, as paramwise_cfg is empty then"


def custom_keys_read(subject: Subject) -> list[Key]:
    """Return the custom keys; none where the constructor ignores them all."""
    are_ignored = "custom_keys" in ignored(subject)
    return [] if are_ignored else [key for key in subject.keys if key.is_custom]


def rate_option(constructor: Constructor) -> str:
    """What a layer-decay constructor calls its rate."""
    known = [option for option in RATES if option in (constructor.reads or ())]
    by_name = "LearningRateDecayOptimizerConstructor" in (constructor.type, *constructor.bases)
    return known[0] if known else RATES[by_name]


def same_meaning(option: str, reads: Collection[str]) -> str | None:
    """What the constructor calls an option of another one, or None."""
    return next((o for o in RATES if o in reads), None) if option in RATES else None


def answer(
    subject: Subject, option: str, meant: str | None, *, renamed: str, already: str
) -> tuple[str, list[Fix], tuple[str, ...]]:
    """Return what to say, and to do, about an option without effect.

    Args:
        subject: of the config.
        option: without effect.
        meant: the option that it was probably meant to be, if that is known.
        renamed: says so where that option is not set.
        already: comes before what is said of it where it is set as well.

    Returns:
        The end of the message, possible fixes, and the keys that lead to the option that was meant,
        where it is set.
    """
    options, removal = subject.paramwise_cfg, removal_text(subject, option)
    delete = Edit((*PARAMWISE_CFG, option), DELETE)
    if meant is None:
        return removal, [] if removal else [Fix([delete])], ()
    right = (*PARAMWISE_CFG, meant)
    if meant not in options:
        rename = Fix([delete, Edit(right, options[option])], may_retrain=True)
        return f"; {renamed}{removal}", [rename], ()
    value, counts = quoted(options[option]), quoted(options[meant])
    if options[option] == options[meant]:
        fixes = [] if removal else [Fix([delete])]
        return f"; {already}{meant} is {counts} already{removal}", fixes, right
    text = f"{meant}={counts} counts; if you meant {value}, write that there"
    return f"; {already}{text}{removal}", [], right

"""LLD401 constructor-raises."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.config.edit import DELETE, Edit
from lldtool.errors import ConstructorError
from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Severity
from lldtool.lint.rules.examples import ADAMW, LAYER_DECAY, NO_RATE, Example


class ConstructorRaises(Rule):
    """The constructor raises, and training fails at startup.

    lldtool runs the constructor that the config names, so what it raises here it raises in
    training, after the time in the queue: a missing `weight_decay` or `lr`, a number in quotes, an
    unknown argument, a backbone without `get_layer_depth`. A config with this finding has no
    plan, and counts as an error.

    To find the entry to blame, lldtool runs the constructor again with an entry corrected, moved,
    renamed or left out. The finding is at that entry; where no single entry is to blame, it is at
    the constructor.

    Fix what the message says.
    """

    severity = Severity.error
    finds = (
        Example(
            LAYER_DECAY,
            config={"optim_wrapper.optimizer": {"_delete_": True, "type": "AdamW", "lr": 1e-3}},
        ),
        Example(ADAMW, {"norm_decay_mult": 0.0}, config={"optim_wrapper.optimizer.lr": "1e-3"}),
        Example(NO_RATE, config={"optim_wrapper.optimizer.layer_decay_rate": 0.75}),
    )

    def check_error(self, error: ConstructorError) -> Iterator[Diagnostic]:
        """Yield a finding at the entry that makes the constructor raise."""
        if error.kind != "constructor-raises":
            return
        message = error.without_config()
        optimizer = ("optim_wrapper", "optimizer")
        culprit = error.culprit
        if culprit is not None:
            removed = [Edit(path, DELETE) for path in culprit.removed]
            written = [Edit(path, value) for path, value in culprit.written]
            fix = [*removed, *written]
            yield self.diagnostic(message, culprit.entry, (), [fix] if fix else ())
        elif "has no weight_decay" in error.message:
            yield self.diagnostic(
                message, optimizer, (), [[Edit((*optimizer, "weight_decay"), 0.0)]]
            )
        else:
            is_lr = "has no lr" in error.message
            yield self.diagnostic(message, optimizer if is_lr else CONSTRUCTOR)

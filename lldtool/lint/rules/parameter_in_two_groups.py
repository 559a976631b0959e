"""LLD402 parameter-in-two-groups."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.config.edit import PARAMWISE_CFG, Edit
from lldtool.errors import ConstructorError
from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Severity
from lldtool.lint.rules.examples import LAYER_DECAY, Example


class ParameterInTwoGroups(Rule):
    """A parameter is in two param groups, which torch refuses.

    The constructor visits a tensor that two modules share twice. Training fails at startup.

    With mmengine's default constructor, set `bypass_duplicate=True` in `paramwise_cfg`;
    layer-decay constructors do not have that option.
    """

    severity = Severity.error
    finds = (
        Example(
            LAYER_DECAY,
            {"norm_decay_mult": 0.0},
            config={"model.head.type": "TiedHead"},
            code="""\
@MODELS.register_module()
class TiedHead(LinearClsHead):
    def __init__(self, num_classes, in_channels, **kwargs):
        super().__init__(num_classes, in_channels, **kwargs)
        self.auxiliary = Linear(in_channels, num_classes)
        self.auxiliary.weight = self.fc.weight
""",
        ),
    )

    def check_error(self, error: ConstructorError) -> Iterator[Diagnostic]:
        """Yield a finding if torch refused a parameter in two groups."""
        if error.kind == "parameter-in-two-groups":
            way = [Edit((*PARAMWISE_CFG, "bypass_duplicate"), True)]
            yield self.diagnostic(error.message, CONSTRUCTOR, (), [way])

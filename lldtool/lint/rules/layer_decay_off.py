"""LLD201 layer-decay-off."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.analysis.option_names import near
from lldtool.config.edit import DELETE, PARAMWISE_CFG, Edit
from lldtool.lint.rules._blocks import backbones
from lldtool.lint.rules._depth import has_lr_asked_for
from lldtool.lint.rules._options import rate_option
from lldtool.lint.rules._parameters import is_valid_setting
from lldtool.lint.rules.base import CONSTRUCTOR, Diagnostic, Rule, Severity, Subject
from lldtool.lint.rules.examples import ADAMW, LAYER_DECAY, NO_RATE, RECIPE, Example
from lldtool.plan import Parameter
from lldtool.text import setting


class LayerDecayOff(Rule):
    """The config names a layer-decay constructor, but every backbone layer gets the same lr.

    Without `layer_decay_rate` the rate is 1, and a misspelt name, or another constructor's name
    for it, is ignored without a message. With an empty `paramwise_cfg` the constructor does
    nothing at all. A `get_layer_depth` that does not recognise the blocks puts them all in the
    last layer. In each case the first layers of a pretrained backbone train with the full lr.
    The message says which case it is.

    Ignore it where the rate is 1 on purpose; mmengine's default constructor would make that
    clearer.
    """

    severity = Severity.error
    passes = (Example(RECIPE), Example(ADAMW, {"norm_decay_mult": 0.0}, model="swin"))
    finds = (
        Example(NO_RATE),
        Example(NO_RATE, {"norm_decay_mult": 0.0}),
        Example(NO_RATE, {"decay_rate": 0.75}),
        Example(NO_RATE, {"layer_decay_rte": 0.75}),
        Example(LAYER_DECAY, {"layer_decay_rate": 1.0}),
        Example(
            LAYER_DECAY,
            {"norm_decay_mult": 0.0},
            config={"model.backbone.type": "OtherNames"},
            code="""\
@MODELS.register_module()
class OtherNames(VisionTransformer):
    def get_layer_depth(self, param_name, prefix=''):
        depth, num_layers = super().get_layer_depth(param_name, prefix)
        return (0 if depth == 0 else num_layers - 1), num_layers
""",
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding if all blocks have the same lr, in every backbone."""
        blocks = _blocks(subject) if subject.decays_by_layer else []
        if not blocks or any(map(_differ, blocks)):
            return
        lr = " or ".join(dict.fromkeys(setting(members[0].lr) for members in blocks))
        at, why, fixes = _cause(subject)
        message = f"no layer decay: all blocks have lr {lr}, {why}"
        yield self.diagnostic(message, at, (), fixes, may_uncover=True)


def _blocks(subject: Subject) -> list[list[Parameter]]:
    """The parameters in the blocks of each backbone that has several, with those of a rate 0."""
    given = [
        p
        for p in subject.plan.parameters
        if (p.is_trained and is_valid_setting(p.lr))
        or (p.state == "zero_lr" and not has_lr_asked_for(p))
    ]
    return [
        backbone.in_blocks
        for backbone in backbones(subject.plan, given)
        if len({backbone.block(p.name) for p in backbone.in_blocks}) > 1
    ]


def _differ(members: list[Parameter]) -> bool:
    """Whether the parameters have several lrs, or scales that are to be applied to the lr."""
    return len({(p.lr, p.lr_scale) for p in members}) > 1


def _cause(subject: Subject) -> tuple[tuple[str, ...], str, list[list[Edit]]]:
    """Return the entry to blame, the reason, and possible fixes."""
    options = subject.paramwise_cfg
    name = rate_option(subject.plan.constructor)
    if not options:
        rate = Edit((*PARAMWISE_CFG, name), 0.75)
        why = "as paramwise_cfg is empty: the constructor does nothing then"
        return CONSTRUCTOR, why, [[rate]]
    if name in options:
        at = (*PARAMWISE_CFG, name)
        if options[name] in (0, 1):
            return at, f"as {name} is {options[name]:g}", []
        why = "as the model's depth function puts all of them in one layer"
        return CONSTRUCTOR, why, []
    meant = near(name, [option for option in options if option != "custom_keys"])
    if meant is None:
        rate = Edit((*PARAMWISE_CFG, name), 0.75)
        return PARAMWISE_CFG, f"as there is no {name}, which is 1 then", [[rate]]
    at = (*PARAMWISE_CFG, meant)
    rename = [Edit(at, DELETE), Edit((*PARAMWISE_CFG, name), options[meant])]
    return at, f"as the rate is called {name} here, not {meant}", [rename]

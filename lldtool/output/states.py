"""The state of a parameter in words, and what set it."""

from __future__ import annotations

from collections import defaultdict

from lldtool.plan import FROZEN_BY_INIT_WEIGHTS, Layer, Parameter, Plan, Reason, UntrainedParameter
from lldtool.text import setting

#: State, as a plan and a diff have it -> what a reader is shown.
_WORDS = {
    "frozen_by_train": "frozen by train()",
    "zero_lr": "lr 0",
    "left out": "not in the optimizer",
}


_LATE = "which sets requires_grad to False after the optimizer is built"


def state_word(state: str) -> str:
    """Return a state as a reader is shown it: `frozen by train()`."""
    return _WORDS.get(state) or state


def counted_word(p: Parameter) -> str:
    """Return the state of a parameter as it follows a number of tensors: `with lr 0`."""
    if FROZEN_BY_INIT_WEIGHTS in p.traits and p.state == "frozen_by_train":
        return "frozen by init_weights()"
    return "with lr 0" if p.state == "zero_lr" else state_word(p.state)


def untrained_word(layer: Layer) -> str:
    """Return what stands in the place of the lr of a layer of which nothing is trained."""
    states = {p.state for p in layer.parameters}
    is_zero = states == {"zero_lr"} and not layer.frozen
    return state_word("zero_lr" if is_zero else "frozen")


def state_text(plan: Plan, p: Parameter | UntrainedParameter) -> str:
    """`trained`, or why a parameter is not: `frozen: requires_grad is False`."""
    if isinstance(p, UntrainedParameter):
        if p.name in plan.left_out_names:
            return "not in the optimizer, though it requires a gradient"
        return "frozen: requires_grad is False; not in the optimizer"
    if FROZEN_BY_INIT_WEIGHTS in p.traits and p.state == "frozen_by_train":
        return f"frozen by init_weights(), {_LATE}"
    return {
        "trained": "trained",
        "frozen": "frozen: requires_grad is False; in the optimizer, without effect",
        "frozen_by_train": f"frozen by train(), {_LATE}",
        "zero_lr": f"not trained: its lr is 0{_zero_by(p.reason.lr, plan)}",
    }[p.state]


def _zero_by(reason: Reason, plan: Plan) -> str:
    """Return what made the lr 0, where that is known."""
    if reason.rule == "custom_key":
        option = "lr" if reason.mult is None else "lr_mult"
        return f", by {option} 0 of custom key '{reason.key or ''}'"
    if reason.rule.endswith("_mult"):
        return f", by {reason.rule} 0"
    if reason.rule == "layer_decay" and reason.mult == 0:
        return f", by {reason.key or 'the layer decay'}"
    if plan.optimizer.lr == 0:
        return ", as is the base lr"
    return ""


def group_text(p: Parameter) -> str:
    """Return what the param group of a parameter that is not trained has."""
    return f"lr {setting(p.lr)}, weight decay {setting(p.weight_decay)}: without effect"


def untrained(plan: Plan) -> dict[str, list[str]]:
    """Return why parameters are not trained -> their names, for all that are not."""
    found: dict[str, list[str]] = defaultdict(list)
    for p in plan.every_parameter:
        if not (isinstance(p, Parameter) and p.is_trained):
            found[state_text(plan, p)].append(p.name)
    return dict(found)

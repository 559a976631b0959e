"""How the work of each command on saved plans grows with their parameters: not faster than they."""

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lldtool.analysis.diff import diff_plans
from lldtool.analysis.keys import keys_of
from lldtool.lint.fixes import judge
from lldtool.lint.policy import Policy
from lldtool.lint.rules import all_rules
from lldtool.output.comparison import Comparison, comparison_document
from lldtool.output.diff_document import diff_document
from lldtool.output.explanation import explanation, keys_document
from lldtool.output.formats import written
from lldtool.output.plan_document import plan_document
from lldtool.plan import Constructor, Reason, Reasons, load_plan

SAVED = load_plan(Path(__file__).parent / "output/plans/vit-base_layer-decay.json")
BLOCK = [p for p in SAVED.parameters if p.name.startswith("backbone.layers.1.")]
OTHERS = [p for p in SAVED.parameters if ".layers." not in p.name]
#: Numbers of blocks, of 12 parameters each.
FEW, MANY = 25, 100


def deep(blocks, rate):
    """A ViT with so many blocks, a layer each."""
    parameters = [
        replace(
            p,
            name=p.name.replace("layers.1.", f"layers.{i}."),
            layer_id=i + 1,
            lr=1e-3 * rate ** ((blocks - i) / blocks),
            lr_scale=rate ** ((blocks - i) / blocks),
        )
        for i in range(blocks)
        for p in BLOCK
    ]
    ends = [replace(p, layer_id=blocks + 1 if p.layer_id else 0) for p in OTHERS]
    return replace(SAVED, parameters=(*parameters, *ends))


def keyed(blocks, rate):
    """The same without layers, and with a custom key for each block."""
    plan = deep(blocks, rate)
    keys = {f"layers.{i}.": {"decay_mult": rate} for i in range(blocks)}

    def by_key(p):
        key = f"{'.'.join(p.name.split('.')[1:3])}."  # `layers.3.`
        reason = Reason("custom_key", key, rate) if key in keys else Reason("base")
        return replace(p, layer_id=None, reason=Reasons(Reason("base"), reason))

    constructor = Constructor("DefaultOptimWrapperConstructor", {"custom_keys": keys})
    return replace(plan, constructor=constructor, parameters=tuple(map(by_key, plan.parameters)))


def flat(blocks, rate):
    """Parameters that are in no module, each a layer of its own."""
    plan = deep(blocks, rate)
    parameters = (
        replace(p, name=p.name.replace(".", "_"), layer_id=None, lr_scale=None)
        for p in plan.parameters
    )
    return replace(plan, parameters=tuple(parameters))


def other(plan):
    """The same parameters in one module, at one lr."""
    parameters = (
        replace(p, name=f"model.{p.name}", lr=0.5, layer_id=None) for p in plan.parameters
    )
    return replace(plan, parameters=tuple(parameters))


def shown(document):
    return written(document, "table", width=100)


COMMANDS = {
    "inspect": lambda a, b: shown(plan_document(a)),
    "inspect --params": lambda a, b: shown(plan_document(a, parameters="folded")),
    "check": lambda a, b: judge(all_rules(), Policy(), a),
    "explain": lambda a, b: shown(explanation(a, a.parameters)),
    "explain --keys": lambda a, b: shown(keys_document(a, keys_of(a))),
    "diff": lambda a, b: shown(diff_document(diff_plans(a, b))),
    "diff --params": lambda a, b: shown(diff_document(diff_plans(a, b), every_parameter=True)),
    "compare": lambda a, b: shown(comparison_document(Comparison((a, b), ("A", "B"), ()))),
    "compare of two models": lambda a, b: shown(
        comparison_document(Comparison((a, other(b)), ("A", "B"), ()))
    ),
}


def lines_run(function, *arguments):
    """How many lines of lldtool's run, a comprehension's once for each item."""
    count = Counter()

    def trace(frame, event, _):
        if "lldtool" not in frame.f_code.co_filename:
            return None
        count["line"] += event == "line"
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(previous)
    return count["line"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("shape", [deep, keyed, flat], ids=lambda shape: shape.__name__)
def test_work_grows_with_the_parameters_at_most(shape, command):
    few, many = (lines_run(COMMANDS[command], shape(n, 0.75), shape(n, 0.65)) for n in (FEW, MANY))
    assert many < 1.25 * few * MANY / FEW

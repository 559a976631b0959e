"""What `diff_plans` says, for any two plans."""

import math
from dataclasses import replace

import pytest
from conftest import make_parameter, make_plan
from hypothesis import given
from hypothesis import strategies as st
from strategies import named_plans

from lldtool.analysis.diff import SETTINGS, diff_plans
from lldtool.output.diff_words import summary
from lldtool.plan import Constructor, Model, Optimizer, OptimWrapper, Parameter, UntrainedParameter

PLAIN = SETTINGS[:-1]  # without extras, of which only some count


def settings(p):
    return tuple(getattr(p, name) for name in PLAIN)


def trained(plan):
    return {p.name: settings(p) for p in plan.trained}


@given(named_plans())
def test_a_plan_is_identical_to_itself(plan):
    diff = diff_plans(plan, plan)
    assert diff.identical
    assert (diff.config, diff.changed, diff.compared) == ((), (), len(plan.trained))
    assert not any(pair.differs for pair in diff.layers)


@given(named_plans(), st.randoms())
def test_the_order_of_parameters_is_no_difference(plan, random):
    shuffled = list(plan.parameters)
    random.shuffle(shuffled)
    assert diff_plans(plan, replace(plan, parameters=tuple(shuffled))).identical


@given(named_plans(), named_plans())
def test_swapping_the_sides_swaps_every_pair(a, b):
    there, back = diff_plans(a, b), diff_plans(b, a)
    assert {(c.key, repr(c.a), repr(c.b), c.acts) for c in there.config} == {
        (c.key, repr(c.b), repr(c.a), c.acts) for c in back.config
    }
    assert {(c.a.name, c.settings) for c in there.changed} == {
        (c.b.name, c.settings) for c in back.changed
    }
    assert [c.b for c in there.changed] == [
        next(d.a for d in back.changed if d.a.name == c.a.name) for c in there.changed
    ]
    assert {p.name for p in there.added} == {p.name for p in back.removed}
    assert {p.name for p in there.removed} == {p.name for p in back.added}
    assert {(c.name, c.a, c.b) for c in there.status} == {(c.name, c.b, c.a) for c in back.status}
    assert {(c.name, c.a, c.b) for c in there.reshaped} == {
        (c.name, c.b, c.a) for c in back.reshaped
    }
    assert there.identical == back.identical


@given(named_plans(), named_plans())
def test_applying_the_diff_to_a_gives_b(a, b):
    diff = diff_plans(a, b)
    result = trained(a)
    for change in diff.changed:
        values = dict(zip(PLAIN, result[change.a.name], strict=True))
        values |= {name: getattr(change.b, name) for name in change.settings if name in PLAIN}
        result[change.a.name] = tuple(values.values())
    for p in diff.removed:
        result.pop(p.name, None)
    of_b = {p.name: p for p in b.parameters}
    for p in diff.added:
        if isinstance(p, Parameter) and p.is_trained:
            result[p.name] = settings(p)
    for change in diff.status:
        result.pop(change.name, None)
        if change.b == "trained":
            result[change.name] = settings(of_b[change.name])
    assert result == trained(b)


@given(named_plans(), named_plans())
def test_nothing_differs_that_is_not_listed(a, b):
    diff = diff_plans(a, b)
    listed = {c.a.name for c in diff.changed} | {c.name for c in diff.status}
    listed |= {p.name for p in (*diff.added, *diff.removed)}
    ours, theirs = trained(a), trained(b)
    assert {n for n in ours.keys() | theirs.keys() if ours.get(n) != theirs.get(n)} <= listed


@given(named_plans(), named_plans())
def test_the_summary_counts_what_is_listed(a, b):
    diff = diff_plans(a, b)
    text = " · ".join(summary(diff))
    for setting, words in (("weight_decay", "weight decay differs"),
                           ("extras", "other optimizer settings differ")):  # fmt: skip
        number = len(diff.with_changed(setting))
        assert (words in text) == (number > 0)
        if number:
            plural = "" if diff.compared == 1 else "s"
            assert f"{words} for {number} of {diff.compared} parameter{plural}" in text
    for listed, words in ((diff.added, "only in B"), (diff.removed, "only in A")):
        assert (f"{len(listed)} parameter{'' if len(listed) == 1 else 's'} {words}" in text) == (
            len(listed) > 0
        )


def test_a_moved_parameter_is_in_a_row_of_its_own():
    moved = make_plan(make_parameter("a", layer_id=1), make_parameter("b", layer_id=1))
    there = make_plan(make_parameter("a", layer_id=1), make_parameter("b", layer_id=2))
    diff = diff_plans(moved, there)
    assert [(pair.a.layer_id, pair.b.layer_id, pair.differs) for pair in diff.layers] == [
        (1, 1, False), (1, 2, True)
    ]  # fmt: skip


def test_what_one_side_does_not_train_is_in_a_row_of_its_own():
    a = make_plan(*(make_parameter(name) for name in "wxyz"))
    b = make_plan(make_parameter("x"), frozen=(UntrainedParameter("y", (768,), 768),),
                  left_out=(UntrainedParameter("z", (768,), 768),))  # fmt: skip
    pairs = diff_plans(a, b).layers
    assert {p.elsewhere: [q.name for q in p.a.parameters] for p in pairs} == {
        None: ["x"], "absent": ["w"], "frozen": ["y"], "left out": ["z"]
    }  # fmt: skip


def test_nan_equals_nan_also_when_read_from_two_files():
    a = make_plan(make_parameter(lr=float("nan"), extras={"x": [float("nan")]}))
    b = make_plan(make_parameter(lr=float("nan"), extras={"x": [float("nan")]}))
    assert diff_plans(a, b).identical


@pytest.mark.parametrize(
    ("rtol", "identical"), [(0.0, False), (1e-9, False), (2e-6, True), (0.1, True)]
)
def test_rtol_is_relative(rtol, identical):
    a, b = make_plan(make_parameter(lr=1e-8)), make_plan(make_parameter(lr=1.000001e-8))
    assert diff_plans(a, b, rtol=rtol).identical is identical


@pytest.mark.parametrize("nest", [lambda x: x, lambda x: [x], lambda x: {"x": [x]}])
def test_rtol_is_for_numbers_in_lists_and_dicts_as_well(nest):
    a, b = (make_plan(make_parameter(extras={"x": nest(x)})) for x in (1.0, 1.001))
    assert [diff_plans(a, b, rtol=rtol).identical for rtol in (0.0, 0.01)] == [False, True]


def test_one_bit_is_a_difference():
    p = make_parameter(lr=1e-3)
    assert not diff_plans(make_plan(p), make_plan(replace(p, lr=math.nextafter(1e-3, 1)))).identical


@pytest.mark.parametrize("rtol", [0.0, 0.1])
@pytest.mark.parametrize("other", [1e-3, float("nan")])
def test_a_number_differs_from_nan_and_from_none(other, rtol):
    a = make_plan(make_parameter(lr=other))
    for lr in (None, 2e-3, float("nan")):
        same = repr(lr) == repr(other)
        assert diff_plans(a, make_plan(make_parameter(lr=lr)), rtol=rtol).identical is same


def test_whole_numbers_differ_that_no_float_tells_apart():
    a, b = (with_config({"seed": seed}) for seed in (2**53, 2**53 + 1))
    assert list(keys(a, b)) == ["optim_wrapper.optimizer.seed"]


@pytest.mark.parametrize("setting", ["lr", "lr_scale", "weight_decay", "layer_id"])
def test_what_is_ignored_is_no_difference(setting):
    a, b = make_plan(make_parameter()), make_plan(make_parameter(**{setting: 7}))
    assert not diff_plans(a, b).identical
    assert diff_plans(a, b, ignore=[setting]).identical


def test_only_some_names_can_be_compared():
    a = make_plan(make_parameter("x"), make_parameter("y"))
    b = make_plan(make_parameter("x"), make_parameter("y", lr=7.0), make_parameter("z"))
    assert diff_plans(a, b, only=lambda name: name == "x").identical
    assert len(diff_plans(a, b, only=lambda name: name == "y").changed) == 1


def test_a_frozen_parameter_is_neither_added_nor_removed():
    a = make_plan(make_parameter("x"), make_parameter("y"))
    b = make_plan(make_parameter("x"), frozen=(UntrainedParameter("y", (768,), 768),))
    diff = diff_plans(a, b)
    assert [tuple(change) for change in diff.status] == [("y", "trained", "frozen")]
    assert (diff.added, diff.removed, diff.identical) == ((), (), False)


def test_another_shape_is_a_difference_also_of_a_frozen_parameter():
    a, b = (make_plan(frozen=(UntrainedParameter("y", (n,), n),)) for n in (1, 2))
    assert [tuple(one) for one in diff_plans(a, b).reshaped] == [("y", (1,), (2,))]


def with_config(optimizer=None, wrapper=None, **options):
    return make_plan(
        optimizer=Optimizer("AdamW", 2e-3, 0.05, optimizer),
        optim_wrapper=OptimWrapper("OptimWrapper", wrapper),
        constructor=Constructor("C", options),
    )


def keys(a, b):
    return {change.key: (change.a, change.b, change.acts) for change in diff_plans(a, b).config}


def test_entries_of_paramwise_cfg_are_dotted_and_do_not_act_by_themselves():
    a = with_config(layer_decay_rate=0.75, custom_keys={".ln": {"decay_mult": 0.0}})
    b = with_config(layer_decay_rate=0.65, custom_keys={".ln": {}})
    start = "optim_wrapper.paramwise_cfg"
    assert keys(a, b) == {
        f"{start}.layer_decay_rate": (0.75, 0.65, False),
        f"{start}.custom_keys..ln.decay_mult": (0.0, None, False),
        f"{start}.custom_keys..ln": (None, {}, False),
    }
    assert diff_plans(a, b).identical


def test_options_of_the_optimizer_and_of_the_wrapper_act():
    a = with_config({"betas": [0.9, 0.999]}, {"clip_grad": None})
    b = with_config({"betas": [0.9, 0.95]}, {"clip_grad": {"max_norm": 1.0}})
    assert keys(a, b) == {
        "optim_wrapper.optimizer.betas": ([0.9, 0.999], [0.9, 0.95], True),
        "optim_wrapper.clip_grad.max_norm": (None, 1.0, True),
    }
    assert not diff_plans(a, b).identical


def test_of_the_other_entries_of_a_group_those_count_that_the_optimizer_reads():
    def plan(**extras):
        options = {"momentum": 0.9, "betas": [0.9, 0.999]}
        return make_plan(
            make_parameter(extras=extras), optimizer=Optimizer("SGD", 0.1, 0.0, options)
        )

    assert diff_plans(plan(), plan(lr_mult=10.0)).identical
    adam = replace(plan(), optimizer=Optimizer("AdamW", 0.1, 0.0, {"betas": [0.9, 0.999]}))
    for other in (plan(), adam):  # of which only one reads momentum
        diff = diff_plans(other, plan(lr_mult=10.0, momentum=0.8))
        assert [change.settings for change in diff.changed] == [("extras",)]


def test_what_an_older_lldtool_did_not_record_is_not_compared():
    assert keys(with_config(), with_config({"betas": [0.9, 0.999]}, {"clip_grad": None})) == {}


def test_an_option_that_one_version_lacks_is_not_compared():
    a = replace(with_config({"eps": 1e-8}, {}), versions={"torch": "2.1"})
    b = replace(with_config({"eps": 1e-8, "fused": True}, {"new": 1}), versions={"torch": "2.13"})
    assert keys(a, b) == {}
    assert keys(a, replace(b, versions=a.versions)) == {
        "optim_wrapper.optimizer.fused": (None, True, True),
        "optim_wrapper.new": (None, 1, True),
    }


def test_model_and_constructor_are_named_as_in_a_config():
    a = make_plan()
    b = make_plan(model=Model("Other", "Swin", 768, 768), constructor=Constructor("C"))
    assert list(keys(a, b)) == ["model.type", "model.backbone.type", "optim_wrapper.constructor"]


def test_what_of_a_config_only_gives_settings_does_not_act():
    a = replace(with_config(), auto_scale_lr=4.0)
    b = make_plan(
        optimizer=Optimizer("SGD", 1e-3, 0.1),
        optim_wrapper=OptimWrapper("Amp"),
        constructor=Constructor("D"),
    )
    assert {key: acts for key, (_, _, acts) in keys(a, b).items()} == {
        "optim_wrapper.type": True,
        "optim_wrapper.optimizer.type": True,
        "optim_wrapper.optimizer.lr": False,
        "optim_wrapper.optimizer.weight_decay": False,
        "optim_wrapper.constructor": False,
        "auto_scale_lr": False,
    }

"""Which layers stand in one row: the same parameters, or the same role."""

from dataclasses import replace

import pytest
from conftest import PLANS, make_parameter, make_plan, with_frozen
from hypothesis import given
from hypothesis import strategies as st
from strategies import named_plans

import lldtool
from lldtool.analysis.alignment import align, align_roles
from lldtool.plan import load_plan

MAE = "mmpretrain::mae/benchmarks/vit-{}_8xb128-coslr-{}e_in1k.py"
ZOO = {
    "vit-base": MAE.format("base-p16", 100),
    "vit-large": MAE.format("large-p16", 50),
    "vit-huge": MAE.format("huge-p14", 50),
    "swin-base": "mmpretrain::simmim/benchmarks/swin-base-w7_8xb256-coslr-100e_in1k.py",
    "mixmim": "mmpretrain::mixmim/benchmarks/mixmim-base_8xb128-coslr-100e_in1k.py",
    "convnext": "mmpretrain::spark/benchmarks/convnextv2-tiny_8xb256-coslr-300e_in1k.py",
    "resnet50-decay": "mmpretrain::spark/benchmarks/resnet50_8xb256-coslr-300e_in1k.py",
    "resnet18": "mmpretrain::resnet/resnet18_8xb32_in1k.py",
    "resnet50": "mmpretrain::resnet/resnet50_8xb32_in1k.py",
}


@pytest.fixture(scope="module")
def zoo():
    """Plans of configs of mmpretrain, each made once."""
    made = {}

    def plan_of(name):
        if name not in made:
            made[name] = lldtool.dry_run(ZOO[name])
        return made[name]

    return plan_of


def saved(name):
    return load_plan(PLANS / f"{name}.json")


def ids(rows):
    return [tuple(layer and layer.layer_id for layer in row) for row in rows]


def names(row):
    return [{p.name for p in layer.parameters} if layer else set() for layer in row]


def trained(plan, layer_ids):
    """The plan with these layers trained and the others frozen."""
    return with_frozen(plan, lambda p: p.layer_id not in layer_ids)


def changed(plan, **changes):
    """The plan with some fields of each parameter made from the parameter."""
    return replace(plan, parameters=tuple(
        replace(p, **{name: change(p) for name, change in changes.items()}) for p in plan.parameters
    ))  # fmt: skip


# By parameters


@given(st.lists(named_plans(), min_size=1, max_size=4))
def test_every_parameter_is_in_one_row_in_its_own_layer(several):
    for rows in (align(several), align_roles(several).rows):
        for number, plan in enumerate(several):
            cells = [row[number] for row in rows if row[number] is not None]
            assert sorted(p.name for layer in cells for p in layer.parameters) == sorted(
                p.name for p in plan.parameters
            )
            for layer in cells:
                for p in layer.parameters:
                    settings = (p.layer_id, p.lr, p.lr_scale)
                    assert settings == (layer.layer_id, layer.lr, layer.lr_scale)
        assert all(any(row) for row in rows)


@given(named_plans(), named_plans())
def test_both_sides_of_a_row_have_the_same_parameters(a, b):
    for x, y in map(names, align([a, b])):
        assert not x or not y or x == y


@given(named_plans(), named_plans())
def test_what_both_train_is_in_one_row(a, b):
    both = {p.name for p in a.parameters} & {p.name for p in b.parameters}
    for x, y in map(names, align_roles([a, b]).rows):
        assert x & both == y & both


def test_layers_without_a_common_parameter_are_never_side_by_side(zoo):
    vit = zoo("vit-base")
    assert ids(align([vit, changed(vit, name=lambda p: f"other.{p.name}")])) == [
        *((i, None) for i in range(14)), *((None, i) for i in range(14))
    ]  # fmt: skip


def test_where_two_trainings_of_a_model_meet_their_layers_are_in_its_order():
    vit = saved("vit-base_layer-decay")
    for low, high in (({0, 1, 2, 13}, {3, 4, 13}), ({1, 3}, {0, 2, 4})):
        for a, b in ((low, high), (high, low)):
            rows = ids(align([trained(vit, a), trained(vit, b)]))
            assert [next(i for i in row if i is not None) for row in rows] == sorted(a | b)


def test_what_only_one_model_has_stays_together(zoo):
    vit, swin = zoo("vit-base"), zoo("swin-base")
    sides = [tuple(i is not None for i in row) for row in ids(align([vit, swin]))]
    runs = [side for i, side in enumerate(sides) if side != (sides[i - 1] if i else None)]
    assert runs == [(True, True), (True, False), (False, True), (True, True), (False, True)]


# By role


def test_vits_of_three_depths_are_aligned_by_the_number_of_their_blocks(zoo):
    alignment = align_roles([zoo("vit-base"), zoo("vit-large"), zoo("vit-huge")])
    assert alignment.by == "role"
    assert list(alignment.labels) == ["stem", *(f"block {i}" for i in range(1, 33)), "head"]
    rows = ids(alignment.rows)
    assert rows[0] == (0, 0, 0)
    assert rows[12:14] == [(12, 12, 12), (None, 13, 13)]
    assert rows[24:26] == [(None, 24, 24), (None, None, 25)]
    assert rows[-1] == (13, 25, 33)


@pytest.mark.parametrize("order", [1, -1])
def test_models_with_other_blocks_share_stem_and_head_only(zoo, order):
    for several in (("vit-base", "swin-base"), ("convnext", "resnet50-decay")):
        alignment = align_roles([zoo(name) for name in several[::order]])
        assert alignment.by == "depth"
        first, *inner, last = zip(alignment.labels, ids(alignment.rows), strict=True)
        assert first[0] == "stem"
        assert last[0] == "head"
        assert None not in first[1] + last[1]
        assert all(row.count(None) == 1 for _, row in inner)
        places = [
            depths[i]
            for _, row in inner
            for depths, i in zip(alignment.depths, row, strict=True)
            if i is not None
        ]
        assert places == sorted(places)


def test_the_same_blocks_under_other_names_are_the_same(zoo):
    alignment = align_roles([zoo("swin-base"), zoo("mixmim")])
    assert alignment.by == "layer_id"
    assert ids(alignment.rows) == [(i, i) for i in range(26)]


def test_stages_of_other_lengths_are_aligned_by_stage_and_block(zoo):
    alignment = align_roles([saved("swin-tiny"), zoo("swin-base")])
    rows = dict(zip(alignment.labels, alignment.rows, strict=True))
    assert alignment.by == "role"
    assert ids([rows["block 3.6"], rows["block 3.7"], rows["block 4.1"]]) == [
        (10, 10), (None, 11), (11, 23)
    ]  # fmt: skip
    # The end of the third stage, which is in a layer with the sixth block, or the eighteenth.
    assert names(rows[""]) == [{p for p in names(rows[""])[0] if ".stages.2.downsample." in p}] * 2
    assert names(rows["block 3.18"])[0] == set()


def test_with_and_without_layer_decay_every_block_stands_beside_itself():
    vit = saved("vit-base_layer-decay")
    plain = changed(vit, layer_id=lambda p: None, lr=lambda p: 1e-3, lr_scale=lambda p: 1.0)
    alignment = align_roles([vit, plain])
    assert alignment.by == "layer_id"
    assert list(dict.fromkeys(alignment.labels)) == [str(i) for i in range(14)]
    assert all(x == y for x, y in map(names, alignment.rows))


def test_models_without_layers_are_aligned_by_module(zoo):
    alignment = align_roles([zoo("resnet18"), zoo("resnet50")])
    assert (alignment.by, alignment.labels) == ("name", ("", ""))
    modules = [{name.partition(".")[0] for side in names(row) for name in side}
               for row in alignment.rows]  # fmt: skip
    assert modules == [{"backbone"}, {"head"}]


def test_a_plan_repeated_is_aligned_with_itself():
    alignment = align_roles([saved("swin-tiny")] * 3)
    assert alignment.by == "layer_id"
    assert ids(alignment.rows) == [(i, i, i) for i in range(14)]


@pytest.mark.parametrize("other", [lambda i: i + 1, lambda i: 2 * i])
def test_where_ids_start_elsewhere_or_have_gaps_roles_are_aligned(other):
    vit = saved("vit-base_layer-decay")
    moved = changed(vit, layer_id=lambda p: other(p.layer_id))
    alignment = align_roles([vit, moved])
    assert alignment.by == "role"
    assert ids(alignment.rows) == [(i, other(i)) for i in range(14)]


def test_an_id_that_is_the_head_of_one_and_a_block_of_the_other_is_no_label(zoo):
    """In no row two ids meet, but 13 would stand for both."""
    blocks = trained(zoo("vit-large"), range(25))
    alignment = align_roles([zoo("vit-base"), blocks])
    assert alignment.by == "role"
    rows = zip(alignment.labels, ids(alignment.rows), strict=True)
    assert [label for label, row in rows if 13 in row] == ["block 13", "head"]


def test_two_lrs_in_a_layer_are_two_rows_of_it():
    vit = saved("vit-base_layer-decay")
    two = changed(vit, lr=lambda p: p.lr * (2 if p.name.endswith("bias") else 1))
    alignment = align_roles([vit, two])
    assert alignment.labels == tuple(str(i) for i in range(14) for _ in range(2))
    assert all(x == y for x, y in map(names, alignment.rows))


def test_what_could_join_several_rows_joins_none():
    a = make_plan(*(make_parameter(f"backbone.layers.{i}.w", layer_id=i + 1) for i in range(3)))
    b = make_plan(*(make_parameter(f"backbone.layers.{i}.w", layer_id=None) for i in range(4)))
    rows = [names(row) for row in align_roles([a, b]).rows]
    assert rows[-1] == [set(), {"backbone.layers.3.w"}]


def test_a_parameter_of_some_plans_joins_the_row_of_its_layer():
    a, b = make_plan(make_parameter("x"), make_parameter("y")), make_plan(make_parameter("x"))
    assert len(align([a, b])) == 2
    assert len(align_roles([a, b]).rows) == 1

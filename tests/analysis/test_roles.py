"""The roles of layers, of real plans and of hand-written ones."""

from dataclasses import replace

import pytest
from conftest import PLANS, make_parameter, make_plan, with_frozen
from hypothesis import given
from strategies import named_plans

from lldtool.analysis.roles import roles_of
from lldtool.plan import load_plan


def plan_of(name):
    return load_plan(PLANS / f"{name}.json")


def test_a_vit_has_a_stem_numbered_blocks_and_a_head():
    blocks = {i: f"block {i}" for i in range(1, 13)}
    expected = {0: "stem", **blocks, 13: "head"}
    assert roles_of(plan_of("vit-base_layer-decay")).labels == expected


def test_blocks_in_stages_have_the_number_of_their_stage_first():
    labels = list(roles_of(plan_of("swin-tiny")).labels.values())
    assert labels[:2] == ["stem", "head"]
    assert labels[2:] == [
        f"block {stage}.{block}"
        for stage, number in enumerate((2, 2, 6, 2), 1)
        for block in range(1, number + 1)
    ]


def test_layers_of_several_blocks_are_none_but_the_ends_are_known():
    assert roles_of(plan_of("resnet50")).labels == {7: "head"}  # stem and layer1 are frozen


def test_without_layer_ids_there_are_no_roles():
    assert roles_of(plan_of("resnet50_lr-mult")).labels == {}


@pytest.mark.parametrize("ids", [lambda i: i + 1, lambda i: 2 * i, lambda i: i - 1])
def test_a_role_does_not_depend_on_where_ids_start_and_on_gaps(ids):
    plan = plan_of("vit-base_layer-decay")
    moved = [replace(p, layer_id=ids(p.layer_id)) for p in plan.parameters]
    expected = {ids(i): label for i, label in roles_of(plan).labels.items()}
    assert roles_of(replace(plan, parameters=tuple(moved))).labels == expected


def test_a_block_has_the_same_number_where_those_before_it_are_frozen():
    plan = with_frozen(plan_of("vit-base_layer-decay"), lambda p: p.layer_id < 6)
    assert roles_of(plan).labels == {**{i: f"block {i}" for i in range(6, 13)}, 13: "head"}


def test_numbered_modules_of_a_head_are_no_blocks():
    blocks = [make_parameter(f"backbone.layers.{i}.w", layer_id=i + 1) for i in range(2)]
    head = [make_parameter(f"head.convs.{i}.w", layer_id=3, numel=10**9) for i in range(4)]
    assert roles_of(make_plan(*blocks, *head)).labels == {1: "block 1", 2: "block 2", 3: "head"}


@given(named_plans())
def test_any_plan_has_roles(plan):
    assert roles_of(plan).labels.keys() <= set(plan.layer_ids)

"""What `lldtool compare` shows."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_parameter, make_plan

from lldtool.output.comparison import Comparison, comparison_document
from lldtool.output.csv_formats import comparison_csv
from lldtool.output.formats import written
from lldtool.output.json_formats import comparison_json
from lldtool.plan import load_plan


def comparison_text(comparison, **shown):
    return written(comparison_document(comparison), "table", **shown)


def comparison_markdown(comparison):
    return written(comparison_document(comparison), "markdown")


PLANS = Path(__file__).parent / "plans"


def comparison(*names, legend=()):
    plans = tuple(load_plan(PLANS / f"{name}.json") for name in names)
    titles = tuple("ABCDEFGH"[: len(plans)])
    return Comparison(plans, titles, tuple(legend or zip(titles, names, strict=True)))


DIFFERENT = ("vit-base_layer-decay", "traps", "swin-tiny", "resnet50_lr-mult")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_table(width, snapshot):
    assert comparison_text(comparison(*DIFFERENT), width=width, color=False) == snapshot


def test_markdown(snapshot):
    assert comparison_markdown(comparison(*DIFFERENT[:2])) == snapshot


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("number", [2, 9, 40])
def test_more_columns_than_fit_are_several_tables(width, number):
    plan = load_plan(PLANS / "traps.json")
    titles = tuple(f"0.{n}" for n in range(100, 100 + number))
    text = comparison_text(Comparison((plan,) * number, titles, ()), width=width, color=False)
    assert max(map(len, text.splitlines())) <= width
    assert [word for word in text.split() if word in titles[:-1]][: number - 1] == list(titles[:-1])
    assert text.count("weight decay differs") == text.count("layer contents")


def test_csv_has_every_bit_of_an_lr():
    rows = list(csv.reader(io.StringIO(comparison_csv(comparison(*DIFFERENT[:2])))))
    assert rows[0] == ["layer_id", "contents", "A", "B"]
    vit = load_plan(PLANS / "vit-base_layer-decay.json")
    assert [float(row[2]) for row in rows[1:-1]] == [layer.lr for layer in vit.layers]
    assert rows[-1] == ["", "weight decay differs", "0", "100"]


def test_json_has_a_list_in_the_order_of_the_variants():
    content = json.loads(comparison_json(comparison(*DIFFERENT)))
    assert [v["title"] for v in content["variants"]] == ["A", "B", "C", "D"]
    assert content["variants"][0]["optimizer"]["lr"] == 0.004
    assert {len(layer["lr"]) for layer in content["layers"]} == {4}
    assert content["schema_version"] == 1


def test_rows_are_labelled_by_id_or_else_by_role():
    vit = load_plan(PLANS / "vit-base_layer-decay.json")
    moved = replace(vit, parameters=tuple(
        replace(p, layer_id=p.layer_id + 1) for p in vit.parameters
    ))  # fmt: skip
    for other, labels, told in (
        (vit, [str(i) for i in range(14)], "lr of each layer;"),
        (moved, ["stem", *(f"block {i}" for i in range(1, 13)), "head"], "aligned by role"),
    ):
        both = Comparison((vit, other), ("A", "B"), ())
        lines = comparison_text(both, width=80, color=False).splitlines()
        start = next(i for i, line in enumerate(lines) if line.split()[:1] == ["layer"]) + 1
        shown = [line.strip() for line in lines[start : start + 14]]
        assert all(line.startswith(f"{x} ") for line, x in zip(shown, labels, strict=True))
        assert told in " ".join(lines)
        rows = list(csv.reader(io.StringIO(comparison_csv(both))))
        assert [row[0] for row in rows[1:-1]] == labels
        content = json.loads(comparison_json(both))
        assert [layer["label"] for layer in content["layers"]] == labels
        assert content["aligned_by"] == both.alignment.by


def test_a_caption_says_how_unlike_models_are_aligned():
    several = comparison(*DIFFERENT)
    assert several.alignment.by == "depth"
    text = " ".join(comparison_text(several, width=80, color=False).split())
    assert "in order of relative depth" in text
    plain = [load_plan(PLANS / "resnet50_lr-mult.json")] * 2
    text = comparison_text(Comparison(tuple(plain), ("A", "B"), ()), width=80, color=False)
    assert "aligned by the names of modules" in text


def test_parameters_of_a_block_that_are_many_are_written_as_a_pattern():
    vit = load_plan(PLANS / "vit-base_layer-decay.json")
    two = replace(vit, parameters=tuple(
        replace(p, lr=2 * p.lr) if p.name.endswith("bias") else p for p in vit.parameters
    ))  # fmt: skip
    contents = Comparison((vit, two), ("A", "B"), ()).contents
    assert contents[2:4] == ["layers.0.*.weight ×6", "layers.0.*.bias ×6"]


def test_weight_decays_are_counted_against_the_first_plan():
    a = make_plan(make_parameter("x"), make_parameter("y"))
    b = replace(a, parameters=(replace(a.parameters[0], weight_decay=0.0), a.parameters[1]))
    assert Comparison((a, b, a), ("A", "B", "C"), ()).decayed_otherwise == [0, 1, 0]


def test_plans_that_share_nothing_are_not_said_to_be_the_same():
    plans = (make_plan(make_parameter("x")), make_plan(make_parameter("y")))
    lines = comparison_text(Comparison(plans, ("A", "B"), ()), width=80, color=False).splitlines()
    last = next(line for line in lines if "weight decay differs" in line)
    assert last.split()[-2:] == ["0", "–"]
    assert "of those in common" in lines[-2]


@pytest.mark.parametrize("form", [comparison_csv, comparison_json, comparison_markdown])
def test_plans_without_parameters(form):
    empty = replace(make_plan(), parameters=())
    assert form(Comparison((empty, empty), ("A", "B"), ()))
    assert comparison_text(Comparison((empty, empty), ("A", "B"), ()), width=80, color=False)

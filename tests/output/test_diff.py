"""What `lldtool diff` shows, kept as golden files."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_parameter, make_plan

from lldtool.analysis.diff import diff_plans
from lldtool.output.diff_document import diff_document
from lldtool.output.diff_words import in_words, summary
from lldtool.output.formats import written
from lldtool.output.json_formats import diff_json
from lldtool.plan import Optimizer, load_plan


def diff_text(diff, *, width, color, **options):
    return written(diff_document(diff, **options), "table", width=width, color=color)


def diff_markdown(diff, **options):
    return written(diff_document(diff, sentences=True, **options), "markdown")


PLANS = Path(__file__).parent / "plans"
PAIRS = [
    ("vit-base_layer-decay", "traps"),
    ("resnet50", "resnet50_lr-mult"),
    ("swin-tiny", "vit-base_layer-decay"),
]
pairs = pytest.mark.parametrize("names", PAIRS, ids=" ".join)


def diff_of(names, **options):
    return diff_plans(*(load_plan(PLANS / f"{name}.json") for name in names), **options)


@pairs
@pytest.mark.parametrize("width", [60, 80, 140])
def test_table(names, width, snapshot):
    assert diff_text(diff_of(names), width=width, color=False) == snapshot


def test_every_layer(snapshot):
    vit = load_plan(PLANS / "vit-base_layer-decay.json")
    changed = replace(vit.parameters[0], weight_decay=0.05)
    diff = diff_plans(vit, replace(vit, parameters=(changed, *vit.parameters[1:])))
    assert diff_text(diff, width=80, color=False, every_layer=True) == snapshot


@pytest.mark.parametrize("width", [80, 140])
def test_every_parameter(width, snapshot):
    diff = diff_of(PAIRS[0], only=lambda name: "layers.3." in name or "token" in name)
    assert diff_text(diff, width=width, color=False, every_parameter=True) == snapshot


def test_identical(snapshot):
    assert diff_text(diff_of(["traps", "traps"]), width=80, color=False) == snapshot


@pairs
def test_markdown(names, snapshot):
    assert diff_markdown(diff_of(names), notes=["a <note>"]) == snapshot


@pairs
@pytest.mark.parametrize("width", [60, 80, 100, 140])
@pytest.mark.parametrize("everything", [False, True])
def test_no_line_is_wider_than_the_terminal(names, width, everything):
    text = diff_text(
        diff_of(names), width=width, color=False, every_layer=everything, every_parameter=everything
    )
    assert max(map(len, text.splitlines())) <= width


@pairs
def test_colour_is_escape_sequences_around_the_same_text(names):
    diff = diff_of(names)
    plain = diff_text(diff, width=80, color=False)
    colored = re.sub(r"\x1b\[[0-9;]*m", "", diff_text(diff, width=80, color=True))
    assert [line.rstrip() for line in colored.splitlines()] == plain.splitlines()


def test_the_first_line_is_the_summary():
    diff = diff_of(PAIRS[0])
    assert diff_text(diff, width=200, color=False).splitlines()[0] == " · ".join(summary(diff))


def test_numbers_that_differ_are_written_so_that_one_sees_it():
    a, b = make_plan(make_parameter(lr=1e-3)), make_plan(make_parameter(lr=1.0000001e-3))
    text = diff_text(diff_plans(a, b), width=80, color=False)
    assert "1.0000000e-3 → 1.0000001e-3" in text
    assert "×1.0000001" in text


def test_runs_of_layers_with_one_pattern_are_one_row():
    def plan(scale):
        return make_plan(*(
            make_parameter(f"backbone.layers.{i}.ln.weight", layer_id=i, lr=scale * 0.5**i)
            for i in range(12)
        ))  # fmt: skip

    rows = [line for line in diff_text(diff_plans(plan(1.0), plan(2.0)), width=100, color=False)
            .splitlines() if line.startswith("~")]  # fmt: skip
    assert len(rows) == 1
    assert "0–11 layers.0–11" in rows[0]
    assert "×2.00" in rows[0]
    rates = diff_plans(plan(1.0), make_plan(*(
        replace(p, lr=0.25**p.layer_id) for p in plan(1.0).parameters
    )))  # fmt: skip
    assert diff_text(rates, width=100, color=False).count("~") == 11


HOSTILE = "backbone.[red]\x1b[31m‮|<img src=x>`*_~@me\n" + "long" * 3000


def hostile_diff():
    a = make_plan(make_parameter(HOSTILE), make_parameter("x." + HOSTILE), config=HOSTILE)
    b = make_plan(make_parameter(HOSTILE, lr=7.0, weight_decay=0.0, extras={HOSTILE: HOSTILE}),
                  config=HOSTILE)  # fmt: skip
    return diff_plans(a, b)


@pytest.mark.parametrize("everything", [False, True])
def test_hostile_names_stay_text(everything):
    shown = {"every_layer": everything, "every_parameter": everything}
    text = diff_text(hostile_diff(), width=80, color=False, **shown)
    assert not set(text) & {"\x1b", "‮"}
    assert "[red]" in text
    assert max(map(len, text.splitlines())) <= 80
    text = diff_markdown(hostile_diff(), **shown)
    assert "<img" not in text
    assert not re.search(r"(?<!\\)[`@]", text)
    assert json.loads(diff_json(hostile_diff()))["changed"][0]["name"] == HOSTILE


def big_diff(number=5000):
    a = [make_parameter(f"backbone.part{i}.weight", layer_id=i) for i in range(number)]
    return diff_plans(make_plan(*a), make_plan(*(replace(p, lr=float(i)) for i, p in enumerate(a))))


def test_markdown_fits_into_a_comment_on_github_and_counts_what_is_cut():
    text = diff_markdown(big_diff(), every_parameter=True)
    assert len(text) <= 65_536
    assert text.count("<details>") == text.count("</details>") == 2
    shown = text.count("backbone.part")
    assert f"and {5000 - shown:,} more rows" in text


def test_json_has_the_field_names_that_scripts_rely_on():
    content = json.loads(diff_json(diff_of(PAIRS[1])))
    assert content["schema_version"] == 1
    assert {"a", "b", "identical", "settings", "layers", "changed", "added", "removed"} <= set(
        content
    )
    assert set(content["settings"][0]) >= {"key", "a", "b"}
    change = content["changed"][0]
    assert set(change) >= {"name", "lr", "lr_scale", "weight_decay", "layer_id"}
    assert set(change["lr"]) == {"a", "b"}
    assert content["a"]["optimizer"]["type"] == "Lamb"


def test_json_has_every_bit_of_a_number():
    a, b = make_plan(make_parameter(lr=0.1)), make_plan(make_parameter(lr=0.1 + 2**-56))
    (change,) = json.loads(diff_json(diff_plans(a, b)))["changed"]
    assert (change["lr"]["a"], change["lr"]["b"]) == (0.1, 0.1 + 2**-56)


def test_words_say_where_lr_is_lower_and_where_higher():
    a = make_plan(*(make_parameter(f"b.{i}", layer_id=i, lr=1.0) for i in range(4)))
    b = make_plan(*(make_parameter(f"b.{i}", layer_id=i, lr=2.0 ** (i - 2)) for i in range(4)))
    assert in_words(diff_plans(a, b)) == [
        "lr is lower in 2 layers: from ×0.250 in layer 0 to ×0.500 in layer 1",
        "lr is higher in 1 layer: ×2.00",
    ]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0.05, 0.0, "weight decay no longer applies to 1 parameter, 0.05 → 0: LayerNorm.bias ×1"),
        (0.0, 0.05, "weight decay now applies to 1 parameter, 0 → 0.05: LayerNorm.bias ×1"),
        (0.05, 0.1, "weight decay changes for 1 parameter, 0.05 → 0.1: LayerNorm.bias ×1"),
    ],
)
def test_words_say_what_becomes_of_weight_decay(before, after, words):
    a, b = (make_plan(make_parameter("a.bias", weight_decay=d)) for d in (before, after))
    assert in_words(diff_plans(a, b)) == [words]


def test_entries_without_effect_are_said_to_have_none():
    a, b = make_plan(), make_plan(optimizer=Optimizer("AdamW", 2e-3, 0.5))
    assert summary(diff_plans(a, b)) == [
        "identical lr, lr_scale, weight decay and layer of 1 parameter",
        "1 config entry without effect on them",
    ]  # fmt: skip

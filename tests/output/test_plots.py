"""Pictures, from hand-written plans and schedules."""

import math
import re
import struct
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from conftest import SAMPLES, lldtool_process, make_parameter, make_plan
from hypothesis import given
from hypothesis import strategies as st
from schedules import schedule_of

from lldtool.output.axis import axis_of, points_of
from lldtool.output.comparison import Comparison
from lldtool.output.plots import comparison_picture, plan_picture, schedule_picture

ALARM = "#d55e00"
HOSTILE = "$\\frac{1}$ <script>&\x1b[31m\n\u202e模型 " + "long " * 2000


def plan_of(bases, decays=(0.05, 0.0), **changes):
    parameters = [
        make_parameter(f"backbone.layers.{i}.{j}", layer_id=i, lr=base, weight_decay=decay)
        for i, base in enumerate(bases)
        for j, decay in enumerate(decays)
    ]
    return make_plan(*parameters, **changes)


def comparison_of(*plans, titles="ABCDEFGHIJ", legend=()):
    return Comparison(plans, tuple(titles[: len(plans)]), legend)


def texts(svg):
    """What is written in a picture: matplotlib puts it in a comment before its outlines."""
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", svg.decode(), re.DOTALL)]


def lines_in(svg, color):
    return len(re.findall(rf"<path d=[^>]*stroke: {color}", svg.decode(), re.IGNORECASE))


def test_a_plan_has_labels_and_a_bar_for_each_layer():
    svg = plan_picture(plan_of([1e-5, 1e-4, 1e-3]), "svg")
    assert {"learning rate", "tensors", "decayed", "not decayed"} <= set(texts(svg))
    assert {"layer, 0 is the stem", "config.py"} <= set(texts(svg))
    assert svg.decode().lower().count("fill: #0072b2") == 3 + 1  # and one in the legend


def test_rising_layers_are_set_apart_and_named():
    svg = schedule_picture(schedule_of([2e-5, 5e-5, 3e-4, 1e-3]), "svg")
    assert lines_in(svg, ALARM) == 2
    assert "layers 0, 1 rise to eta_min 0.0001" in texts(svg)
    assert {"warm-up", "epoch", "learning rate"} <= set(texts(svg))


def test_where_no_layer_rises_none_is_set_apart_and_the_floor_is_named():
    svg = schedule_picture(schedule_of([3e-4, 1e-3]), "svg")
    assert lines_in(svg, ALARM) == 0
    assert "eta_min 0.0001" in texts(svg)


def test_without_layers_a_legend_names_the_modules():
    svg = schedule_picture(schedule_of([1e-3, 1e-2], [None] * 2), "svg")
    assert {"layers.0", "layers.1"} <= set(texts(svg))


def test_variants_are_over_each_other_and_weight_decay_below():
    plans = plan_of([1e-5, 1e-3]), plan_of([1e-4, 1e-3], decays=(0.05, 0.05))
    svg = comparison_picture(comparison_of(*plans, legend=(("A", "a.py"), ("B", "b.py"))), "svg")
    assert {"A  a.py", "B  b.py", "tensors decayed", "not as in A"} <= set(texts(svg))
    same = comparison_picture(comparison_of(plans[0], plans[0]), "svg")
    assert "tensors decayed" not in texts(same)


def test_long_names_keep_the_end_that_tells_them_apart():
    names = [f"mmpretrain::{'long/' * 20}vit-{size}.py" for size in ("base", "large")]
    plan = plan_of([1e-5, 1e-3])
    legend = tuple(zip("AB", names, strict=True))
    written = texts(comparison_picture(comparison_of(plan, plan, legend=legend), "svg"))
    assert [text[:14] for text in written if "…" in text] == ["A  mmpretrain:", "B  mmpretrain:"]
    assert [text.split("-")[-1] for text in written if "…" in text] == ["base.py", "large.py"]


def test_plans_of_other_depths_are_drawn_over_the_numbers_of_their_layers():
    shallow, deep = plan_of([1e-4, 1e-3]), plan_of([1e-5, 1e-4, 5e-4, 1e-3])
    written = texts(comparison_picture(comparison_of(shallow, deep), "svg"))
    assert [text for text in written if text.isdecimal()] == ["0", "1", "2", "3"]


def vit(depth, blocks="layers"):
    """Stem, blocks and head."""
    names = ["patch_embed.w", *(f"{blocks}.{i}.w" for i in range(depth)), "head.w"]
    return make_plan(*(
        make_parameter(f"backbone.{name}", layer_id=i, lr=1e-3 * 0.5 ** (depth + 1 - i))
        for i, name in enumerate(names)
    ))  # fmt: skip


def test_blocks_of_other_depths_are_drawn_by_number_and_the_heads_last():
    several = comparison_of(vit(2), vit(4))
    written = texts(comparison_picture(several, "svg"))
    labels = ["stem", "1", "2", "3", "4", "head", "stem, blocks by number, head"]
    assert [text for text in written if text in labels] == labels
    axis = axis_of(several)
    line, others = points_of(axis.places[0], [row[0] for row in several.rows], axis.gaps)
    assert [place for place, lr in line if math.isnan(lr)] == [3, 4]
    assert (line[-1][1], others) == (1e-3, [])


def test_models_with_other_blocks_are_drawn_by_relative_depth():
    several = comparison_of(vit(2), vit(4, "blocks"))
    assert "relative depth: 0 % is the stem, 100 % the last layer" in texts(
        comparison_picture(several, "svg")
    )
    places = [sorted(place for place in own if not math.isnan(place))
              for own in axis_of(several).places]  # fmt: skip
    assert places == [[0, 1 / 3, 2 / 3, 1], [0, 1 / 5, 2 / 5, 3 / 5, 4 / 5, 1]]


def test_of_two_lrs_in_a_layer_the_line_goes_through_the_larger_part():
    plan = plan_of([1e-5, 1e-3], decays=(0.05,) * 3)
    last = [replace(p, lr=2 * p.lr) if p.name.endswith("2") else p for p in plan.parameters]
    several = comparison_of(plan, replace(plan, parameters=tuple(last)))
    axis = axis_of(several)
    line, others = points_of(axis.places[1], [row[1] for row in several.rows], axis.gaps)
    assert line == [(0, 1e-5), (1, 1e-3)]
    assert others == [(0, 2e-5), (1, 2e-3)]


def test_the_last_layer_has_a_label_also_where_there_are_many():
    written = texts(plan_picture(plan_of([1e-3] * 34), "svg"))
    assert [text for text in written if text.isdecimal()][:2] == ["0", "2"]
    assert "33" in written


def test_many_variants_make_the_picture_higher():
    names = tuple((title, f"{'long ' * 12}{title}") for title in "ABCDEFGHIJ")
    plans = [plan_of([1e-5, 1e-3])] * 10
    few = comparison_picture(comparison_of(*plans[:2], legend=names[:2]), "png")
    many = comparison_picture(comparison_of(*plans, legend=names), "png")
    heights = [struct.unpack(">I", picture[20:24])[0] for picture in (few, many)]
    assert heights[0] == 900 < heights[1]


def test_a_diff_with_itself_names_the_change(cli, tmp_path):
    change = "optim_wrapper.optimizer.lr=0.1"
    cli("diff", SAMPLES / "resnet50.py", "--with", change, "--plot", tmp_path / "x.svg")
    assert f"B  with {change}" in texts((tmp_path / "x.svg").read_bytes())


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
@pytest.mark.parametrize("dark", [False, True])
def test_every_form_is_what_its_name_says_and_the_same_each_time(form, dark):
    plan = plan_of([1e-5, 1e-3])
    picture = plan_picture(plan, form, dark=dark)
    assert picture == plan_picture(plan, form, dark=dark)
    if form == "png":
        assert picture.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", picture[16:24])
        assert (width, height) == (1440, 900)
    elif form == "pdf":
        assert picture.startswith(b"%PDF")
    else:
        assert ElementTree.fromstring(picture).tag.endswith("svg")
        assert ("#14171c" in picture.decode()) is dark


def test_names_are_data():
    plan = plan_of([1e-5, 1e-3], config=HOSTILE)
    nameless = make_plan(
        make_parameter(f"{HOSTILE}.weight", layer_id=None), make_parameter("$b$", layer_id=None)
    )
    for svg in (
        plan_picture(plan, "svg"),
        plan_picture(nameless, "svg"),
        comparison_picture(comparison_of(plan, plan, titles=[HOSTILE, "$"]), "svg"),
    ):
        assert ElementTree.fromstring(svg) is not None
        assert "<script>" not in svg.decode()
    assert any(text.startswith("$\\frac{1}$") for text in texts(plan_picture(plan, "svg")))


lrs = st.none() | st.floats(width=64) | st.sampled_from([0.0, -1.0, math.inf, math.nan, 5e-324])


@given(st.lists(lrs, max_size=4))
def test_any_lr_can_be_drawn(values):
    plan = plan_of(values)
    assert plan_picture(plan, "svg")
    assert comparison_picture(comparison_of(plan, plan), "svg")


def test_many_layers_fit():
    plans = [plan_of([1e-3 * 0.9**i for i in range(200)]) for _ in range(10)]
    assert len(texts(plan_picture(plans[0], "svg"))) < 60
    assert comparison_picture(comparison_of(*plans), "svg")


def test_a_long_training_is_a_small_picture():
    schedule = schedule_of([1e-4 * 2**i for i in range(24)])
    long = type(schedule.curves[0])
    curves = [
        long(c.layer_id, c.parameters, c.configured, list(c.lrs) * 500) for c in schedule.curves
    ]
    svg = schedule_picture(
        type(schedule)(schedule.plan, "iteration", 50_000, 50, 1000, tuple(curves)), "svg"
    )
    assert len(svg) < 1_000_000


@pytest.mark.slow
def test_commands_draw_without_a_display(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    sample = SAMPLES / "vit-base_layer-decay.py"
    variant = "optim_wrapper.paramwise_cfg.layer_decay_rate=0.7"
    for arguments in (
        ("inspect", sample),
        ("schedule", sample, "--epoch-length", 2),
        ("diff", sample, "--with", variant),
        ("compare", sample, "--sweep", f"{variant},0.8"),
    ):
        file = tmp_path / f"{arguments[0]}.png"
        result = lldtool_process(*arguments, "--plot", file, "--dark", MPLBACKEND="TkAgg")
        assert (result.code, result.err) == (int(arguments[0] == "diff"), "")
        assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--plot", "x.gif"], "--plot x.gif: the name must end in .png, .svg or .pdf"),
        (["--plot", "no/such/x.png"], "no such directory"),
        (["--dark"], "--dark needs --plot FILE"),
        (["--plot", "x.svg", "-o", "x.svg"], "--output and --plot name the same file"),
        (["--save-svg", "."], "--save-svg .: is a directory"),
    ],
)
def test_what_is_wrong_is_one_line(cli, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = cli("inspect", SAMPLES / "vit-base_layer-decay.py", *arguments)
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert message in result.err
    assert not list(tmp_path.iterdir())


def test_the_terminal_as_a_picture_holds_the_table(cli, tmp_path):
    name = "tests/output/plans/vit-base_layer-decay.json"
    result = cli("inspect", name, "--save-svg", tmp_path / "x.svg")
    root = ElementTree.parse(tmp_path / "x.svg").getroot()
    drawn = "".join("".join(root.itertext()).split())
    assert "".join(result.out.split()) in drawn
    assert "http" not in re.sub(r"xmlns=\S+|<!--.*?-->", "", (tmp_path / "x.svg").read_text())


def test_help_does_not_import_matplotlib():
    code = "import sys, lldtool.cli; sys.exit('matplotlib' in sys.modules or 'rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

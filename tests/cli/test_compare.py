"""`lldtool compare` as a user meets it."""

import json

import pytest
from conftest import PLANS, SAMPLES

import lldtool
from lldtool.cli.commands.compare import swept
from lldtool.errors import LldtoolError
from lldtool.output.comparison import letters

VIT = PLANS / "vit-base_layer-decay.json"
TRAPS = VIT.with_name("traps.json")
SAMPLE = SAMPLES / "vit-base_layer-decay.py"
RATE = "optim_wrapper.paramwise_cfg.layer_decay_rate"


def test_a_sweep_is_what_each_value_comes_to(cli):
    result = cli("compare", SAMPLE, "--sweep", f"{RATE}=0.6,0.65,0.75", "--format", "json")
    assert result.code == 0
    content = json.loads(result.out)
    assert [v["title"] for v in content["variants"]] == ["0.6", "0.65", "0.75"]
    for number, rate in enumerate((0.6, 0.65, 0.75)):
        plan = lldtool.dry_run(SAMPLE, cfg_options={RATE: rate})
        assert [layer["lr"][number] for layer in content["layers"]] == [x.lr for x in plan.layers]


def test_two_sweeps_are_a_grid(cli):
    decay = "optim_wrapper.optimizer.weight_decay"
    sweeps = ("--sweep", f"{RATE}=0.6,0.75", "--sweep", f"{decay}=0.05,0.1,0.3")
    content = json.loads(cli("compare", SAMPLE, *sweeps, "--format", "json").out)
    assert [v["title"] for v in content["variants"]] == [
        "0.6 · 0.05", "0.6 · 0.1", "0.6 · 0.3", "0.75 · 0.05", "0.75 · 0.1", "0.75 · 0.3",
    ]  # fmt: skip
    pairs = [(rate, decayed) for rate in (0.6, 0.75) for decayed in (0.05, 0.1, 0.3)]
    for variant, (rate, decayed) in zip(content["variants"], pairs, strict=True):
        assert variant["constructor"]["paramwise_cfg"]["layer_decay_rate"] == rate
        assert variant["optimizer"]["weight_decay"] == decayed
    words = cli("compare", SAMPLE, *sweeps).out.split()
    start = words.index("columns")
    assert words[start : start + 4] == ["columns", RATE, "·", decay]


def test_saved_plans_and_configs_side_by_side(cli):
    result = cli("compare", VIT, SAMPLE, TRAPS)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == f"A  {VIT}" or lines[0].startswith("A  ")
    last = next(line for line in lines if "weight decay differs" in line)
    assert last.split()[-3:] == ["0", "0", "100"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([VIT], "two CONFIGs or more"),
        ([VIT, TRAPS, "--sweep", "a=1"], "--sweep takes one CONFIG"),
        ([SAMPLE, "--sweep", "a"], "expected KEY=V1,V2"),
        ([SAMPLE, "--sweep", "a=1,,2"], "expected KEY=V1,V2"),
        ([SAMPLE, "--sweep", "a=1,2", "--sweep", "b"], "--sweep b: expected KEY=V1,V2"),
        ([SAMPLE, "--sweep", "a=1", "--sweep", "a=2"], "--sweep a is given twice (write all"),
        (
            [SAMPLE, *["--sweep", f"a={'1,' * 10}1", "--sweep", f"b={'1,' * 9}1"]],
            "--sweep: 11 × 10 values; compare shows at most 100 columns",
        ),
        ([VIT, "--sweep", "a=1,2"], "a saved plan can't be overridden"),
        ([VIT, "nowhere.py"], "nowhere.py: no such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(cli, arguments, message):
    result = cli("compare", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in " ".join(result.err.replace("│", " ").split())


def test_commas_in_brackets_part_nothing():
    assert swept("a.b=(0.9,0.95),[1,(2,3)],{'x': 1, 'y': 2},DELETE") == [
        "a.b=(0.9,0.95)", "a.b=[1,(2,3)]", "a.b={'x': 1, 'y': 2}", "a.b=DELETE"
    ]  # fmt: skip
    with pytest.raises(LldtoolError):
        swept("=1,2")


def test_every_column_has_a_letter_of_its_own():
    titles = letters(60)
    assert titles[:2] == ["A", "B"]
    assert len(set(titles)) == 60


def test_to_a_file(cli, tmp_path):
    path = tmp_path / "table.csv"
    assert cli("compare", VIT, TRAPS, "--format", "csv", "-o", path).out == ""
    assert path.read_text().startswith("layer_id,contents,A,B\n0,")


def test_as_markdown(cli):
    assert cli("compare", VIT, TRAPS, "--format", "markdown").out.count("| layer |") == 1

"""`lldtool schedule`: of saved plans, of several configs, and what it can't do in one line."""

import csv
import io
import json
import subprocess
import sys

import pytest
from conftest import PLANS, SAMPLES, TINY_VIT

SCHEDULE = """
train_cfg = dict(by_epoch=True, max_epochs={epochs})
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=4, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=4, end=40, T_max=36, eta_min_ratio=0.02),
    dict(type='LinearMomentum', start_factor=0.5, end=4)]
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (PLANS / "resnet50.json",),
            "there is no schedule: the length of the training is not known",
        ),
        (
            (SAMPLES / "resnet50.py", "--at", "0,x"),
            "--at 0,x: expected numbers separated by commas",
        ),
        ((SAMPLES / "resnet50.py", "--at", "9" * 5000), "expected numbers separated by commas"),
        (
            (SAMPLES / "resnet50.py", "--epoch-length", "2", "--dataset-size", "3"),
            "--epoch-length and --dataset-size exclude each other",
        ),
    ],
)
def test_what_it_cannot_do_is_said(cli, arguments, message):
    result = cli("schedule", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


@pytest.fixture
def configs(tmp_path):
    """Two configs that differ in the length of the training, and the saved plan of the first."""
    paths = [tmp_path / "a.py", tmp_path / "b.py"]
    for path, epochs in zip(paths, (40, 22), strict=True):
        path.write_text(TINY_VIT + SCHEDULE.format(epochs=epochs))
    return paths


def test_a_saved_plan_shows_what_its_config_does(cli, configs, tmp_path):
    plan = tmp_path / "plan.json"
    assert cli("inspect", configs[0], "--format", "json", "-o", plan).code == 0
    live, saved = (
        cli("schedule", one).out.partition("schedule  ")[2] for one in (configs[0], plan)
    )
    assert live.partition("note")[0] == saved.partition("note")[0]
    assert "\nmomentum " in live
    options = ("--epoch-length", "10", "--format", "json")
    assert cli("inspect", configs[0], *options, "-o", plan).code == 0
    exact = json.loads(cli("schedule", configs[0], *options).out)
    near = json.loads(cli("schedule", plan, "--format", "json").out)
    assert near["points"] == exact["points"]
    for one, other in zip(near["layers"], exact["layers"], strict=True):
        assert one["lr"] == pytest.approx(other["lr"], rel=0.03)
        assert one["lr"]["end"] == pytest.approx(other["lr"]["end"], rel=1e-9)


def test_a_saved_plan_needs_no_torch(cli, configs, tmp_path):
    plan = tmp_path / "plan.json"
    cli("inspect", configs[0], "--format", "json", "-o", plan)
    code = (
        "import sys; from lldtool.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print([m for m in ('torch', 'mmengine', 'numpy') if m in sys.modules],"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "schedule", plan], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, "[]")
    assert "warm-up 4 epochs" in done.stdout


def test_several_schedules_share_a_table(cli, configs, snapshot, monkeypatch):
    monkeypatch.chdir(configs[0].parent)
    result = cli("schedule", "a.py", "b.py")
    assert result.code == 0
    assert result.out.partition("note ")[0] == snapshot


def test_several_schedules_are_told_apart_in_every_format(cli, configs, tmp_path):
    content = json.loads(cli("schedule", *configs, "--format", "json").out)
    assert [one["epochs"] for one in content["schedules"]] == [40, 22]
    rows = list(csv.DictReader(io.StringIO(cli("schedule", *configs, "--format", "csv").out)))
    assert {row["config"] for row in rows} == set(map(str, configs))
    assert cli("schedule", *configs, "--plot", tmp_path / "x.png").code == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_diff_says_where_schedules_part(cli, configs, tmp_path):
    result = cli("diff", *configs)
    assert result.code == 1
    assert "the schedule differs · lr first differs after epoch 21" in result.out
    assert "train_cfg.max_epochs 40 → 22" in result.out
    content = json.loads(cli("diff", *configs, "--format", "json").out)["schedule"]
    assert (content["identical"], content["first"]["at"]) == (False, 21)
    assert len(content["ends"]) == 14
    assert cli("diff", *configs, "--ignore", "schedule").code == 0
    assert cli("diff", *configs, "--plot", tmp_path / "x.png").code == 1
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    assert cli("diff", configs[0], "--with", "optim_wrapper.optimizer.lr=0.1").code == 1


def test_compare_has_the_lr_at_the_end(cli, configs):
    out = cli("compare", *configs).out
    assert "A end" in out
    rows = list(csv.DictReader(io.StringIO(cli("compare", *configs, "--format", "csv").out)))
    assert float(rows[0]["A end"]) < float(rows[0]["B end"]) < float(rows[0]["B"])

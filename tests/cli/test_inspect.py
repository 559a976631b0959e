"""`lldtool inspect` as a user meets it."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PLANS, SAMPLES, TINY_VIT

from lldtool.plan import load_plan

VIT = PLANS / "vit-base_layer-decay.json"


def names(result):
    return [row["name"] for row in csv.DictReader(io.StringIO(result.out))]


def test_the_table_leads_with_the_config_and_has_a_row_for_each_layer(cli):
    result = cli("inspect", VIT)
    lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    assert lines[0].endswith("vit-base_layer-decay.py")
    rows = [line for line in lines if re.match(r" +\d+ \S.*(×|0 )", line)]
    assert [int(row.split()[0]) for row in rows] == list(range(14))


def test_json_is_the_plan(cli, tmp_path):
    path = tmp_path / "again.json"
    assert cli("inspect", VIT, "--format", "json", "--output", path).out == ""
    assert load_plan(path) == load_plan(VIT)


def test_csv_has_a_row_for_each_parameter(cli):
    assert len(names(cli("inspect", VIT, "--format", "csv"))) == 152


def test_layer_is_repeatable(cli):
    found = names(cli("inspect", VIT, "--layer", 0, "--layer", 13, "--format", "csv"))
    assert len(found) == 8
    assert "head.layers.head.weight" in found


def test_match_is_a_glob_over_the_whole_name(cli):
    found = names(cli("inspect", VIT, "--match", "*.ln1.weight", "--format", "csv"))
    assert len(found) == 13


def test_match_takes_classes_of_modules(cli):
    every = names(cli("inspect", VIT, "--format", "csv"))
    norms = names(cli("inspect", VIT, "--match", "type:LayerNorm", "--format", "csv"))
    assert norms == [name for name in every if ".ln" in name]
    result = cli("inspect", VIT, "--match", "type:LayerNrm")
    assert (result.code, "did you mean type:LayerNorm?" in result.err) == (2, True)


def test_decayed_and_undecayed_share_out_the_parameters(cli):
    decayed = names(cli("inspect", VIT, "--decayed", "--format", "csv"))
    undecayed = names(cli("inspect", VIT, "--undecayed", "--format", "csv"))
    assert (len(decayed), len(undecayed)) == (50, 102)


def test_filters_narrow_together_and_say_so(cli):
    result = cli("inspect", VIT, "--layer", 1, "--undecayed", "--match", "*bias")
    assert "note  only layer 1 and names like *bias and not decayed: 6 of 152 tensors" in result.out


def test_a_narrowed_table_still_says_how_large_the_model_is_and_where_layers_end(cli):
    out = cli("inspect", VIT, "--layer", 1).out
    assert "ImageClassifier · 86.6 M parameters" in out
    assert "    1 layers.0 " in out


def test_filters_that_leave_nothing_are_an_error(cli):
    result = cli("inspect", VIT, "--layer", 1, "--match", "head.*")
    assert result.code == 2
    assert "no parameter is layer 1 and names like head.*" in result.err


def test_params_lists_layers_and_refers_to_like_ones(cli):
    out = cli("inspect", VIT, "--params").out
    assert "layer 2  backbone.layers.1  lr 0.000169 = base × 0.0422  as layer 1" in out


def test_cfg_options_take_several_pairs_as_in_openmmlab(cli):
    result = cli(
        "inspect", SAMPLES / "vit-base_layer-decay.py", "--format", "json", "--cfg-options",
        "optim_wrapper.optimizer.lr=1e-3", "optim_wrapper.paramwise_cfg.layer_decay_rate=0.5",
    )  # fmt: skip
    plan = json.loads(result.out)
    assert plan["optimizer"]["lr"] == 1e-3
    assert plan["constructor"]["paramwise_cfg"]["layer_decay_rate"] == 0.5


def test_the_api_gives_the_plan_of_the_command(cli):
    import lldtool

    path = SAMPLES / "resnet50.py"
    result = cli("inspect", path, "--format", "json")
    assert lldtool.plan.plan_from_json(result.out) == lldtool.dry_run(path, curves=True)


@pytest.mark.parametrize(
    ("arguments", "environment", "colored"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        ([], {"FORCE_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
    ],
)
def test_colour(arguments, environment, colored, cli, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in cli("inspect", VIT, *arguments).out) is colored


def test_columns_sets_the_width(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert max(map(len, cli("inspect", VIT).out.splitlines())) > 80


def test_output_is_replaced_whole_and_keeps_its_mode(cli, tmp_path):
    path = tmp_path / "plan.txt"
    path.write_text("old")
    path.chmod(0o640)
    cli("inspect", VIT, "-o", path)
    assert path.read_text().startswith(str(load_plan(VIT).config))
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["plan.txt"]


def test_output_of_a_failed_run_leaves_the_file_alone(cli, tmp_path):
    path = tmp_path / "plan.txt"
    path.write_text("old")
    assert cli("inspect", VIT, "--layer", 99, "-o", path).code == 2
    assert path.read_text() == "old"


def test_output_to_a_device(cli):
    assert cli("inspect", VIT, "-o", "/dev/null").code == 0


@pytest.mark.parametrize(
    "arguments", [["--help"], ["inspect", "--help"], ["--version"], ["inspect", str(VIT)]]
)
def test_torch_is_not_imported(arguments):
    code = (
        "import sys; from lldtool.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print([m for m in ('torch', 'mmengine', 'numpy') if m in sys.modules],"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, "[]")


def test_version_names_what_is_installed(cli):
    import mmengine
    import mmpretrain
    import torch

    out = cli("--version").out
    assert f"torch {torch.__version__}\n" in out
    assert f"mmengine {mmengine.__version__}\n" in out
    assert f"mmpretrain {mmpretrain.__version__}\n" in out
    assert "mmcv 2." in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell):
    done = subprocess.run(
        [Path(sys.executable).parent / "lldtool", "--show-completion", shell],
        capture_output=True, text=True, check=False,
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )  # fmt: skip
    assert "lldtool" in done.stdout


def test_without_a_command_help_is_shown(cli):
    result = cli()
    assert "[OPTIONS] COMMAND" in result.out + result.err


def test_a_plan_without_layers_has_none_to_choose(cli):
    result = cli("inspect", PLANS / "resnet50_lr-mult.json", "--layer", "3")
    assert (result.code, result.out) == (2, "")
    assert "no layer 3: the constructor knows no layers" in result.err


def test_match_knows_the_names_of_frozen_parameters(cli):
    plan = PLANS / "resnet50.json"
    result = cli("inspect", plan, "--match", "backbone.conv1.weight")
    assert (result.code, result.err) == (0, "")
    assert "backbone.conv1.weight" in result.out


def test_load_from_says_what_a_checkpoint_fills(cli, tmp_path):
    import torch

    config, checkpoint = tmp_path / "config.py", tmp_path / "head.pth"
    config.write_text(TINY_VIT)
    torch.save({"head.fc.bias": torch.zeros(10), "fc.bias": torch.zeros(10)}, checkpoint)
    result = cli("inspect", config, "--load-from", checkpoint, "--format", "json")
    plan = json.loads(result.out)
    assert [p["name"] for p in plan["parameters"] if p["start"] == "pretrained"] == ["head.fc.bias"]
    assert plan["loaded"] == [
        {"checkpoint": str(checkpoint), "by": "load_from", "module": "", "prefix": None,
         "tensors": 1, "buffers": 0, "unexpected": ["fc.bias"], "classes": None,
         "other_classes": None}
    ]  # fmt: skip
    saved = tmp_path / "plan.json"
    saved.write_text(result.out)
    assert cli("inspect", saved, "--load-from", checkpoint).code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"not a checkpoint", "checkpoint")],
)
def test_load_from_needs_a_checkpoint(cli, tmp_path, content, message):
    config, checkpoint = tmp_path / "config.py", tmp_path / "a.pth"
    config.write_text(TINY_VIT)
    if content is not None:
        checkpoint.write_bytes(content)
    result = cli("inspect", config, "--load-from", checkpoint)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert message in result.err

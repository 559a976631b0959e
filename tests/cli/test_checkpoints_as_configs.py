"""A checkpoint as CONFIG: what a real Runner saved is what each command shows."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from loading import resnet, swin
from mmengine.config import Config
from runners import runner_of
from trained import LAYER_DECAY, SCHEDULERS, settings_of, small_vit, trained

import lldtool
from lldtool.plan import Step, load_plan

SGD = {"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}}
DECAYED_NORMS = {**SGD, "paramwise_cfg": {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0}}
EMA = {"type": "EMAHook", "momentum": 0.1}
BY_ITERATION = {"by_epoch": False, "max_iters": 6, "val_interval": 6}
POLY = [{"type": "PolyLR", "power": 0.9, "eta_min": 1e-6, "by_epoch": False, "end": 6}]
#: Model, optimizer wrapper and what else is another; the names of the parameters are from where.
TRAININGS = {
    "vit": (small_vit(), LAYER_DECAY, {}, "those in the param groups"),
    "vit with ema": (small_vit(), LAYER_DECAY, {"hooks": [EMA]}, "those in the param groups"),
    "resnet": (resnet(), SGD, {}, "a dry run of the"),
    "resnet options": (resnet(), DECAYED_NORMS, {}, "a dry run of the"),
    "resnet frozen": (resnet(frozen_stages=1), SGD, {}, "a dry run of the"),
    "swin by iteration": (
        swin(), LAYER_DECAY, {"train": BY_ITERATION, "schedulers": POLY}, "those in the"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Name of a training -> its config's file, beside `work` with its checkpoints."""
    made = {}

    def run(name):
        if name not in made:
            model, wrapper, changes, _ = TRAININGS[name]
            made[name] = trained(tmp_path_factory.mktemp("run"), model, wrapper, **changes)
        return made[name]

    return run


def checkpoint_of(config, step=2):
    found = sorted((config.parent / "work").glob(f"*_{step}.pth"))
    assert len(found) == 1
    return found[0]


def resumed(config, checkpoint, monkeypatch, tmp_path):
    """The real Runner, about to go on."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    content = Config.fromfile(config)
    hooks = content.get("custom_hooks", [])
    runner = runner_of(
        content, tmp_path / "resumed", load_from=str(checkpoint), resume=True, custom_hooks=hooks
    )
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    runner.call_hook("before_run")
    runner.load_or_resume()
    return runner


def plan_by(cli, *arguments):
    result = cli("inspect", *arguments, "--format", "json")
    assert result.code == 0, result.err
    return json.loads(result.out)


@pytest.mark.parametrize("name", TRAININGS)
def test_settings_are_those_of_the_resumed_optimizer(name, runs, cli, monkeypatch, tmp_path):
    config = runs(name)
    checkpoint = checkpoint_of(config)
    plan = plan_by(cli, checkpoint)
    expected = settings_of(resumed(config, checkpoint, monkeypatch, tmp_path))
    found = {p["name"]: (p["lr"], p["weight_decay"]) for p in plan["parameters"]}
    assert found == {n: (lr, decay) for n, (lr, decay, _) in expected.items()}
    scales = {n: scale for n, (_, _, scale) in expected.items() if scale is not None}
    assert {p["name"]: p["lr_scale"] for p in plan["parameters"] if p["name"] in scales} == scales
    assert any(TRAININGS[name][3] in note for note in plan["notes"])
    content = torch.load(checkpoint, weights_only=False)
    assert plan["step"] == {"epoch": content["meta"]["epoch"], "iteration": content["meta"]["iter"]}
    weights = content["state_dict"]
    everything = [*plan["parameters"], *plan["frozen"], *plan["buffers"]]
    assert {p["name"]: tuple(p["shape"]) for p in everything} == {
        n: tuple(t.shape) for n, t in weights.items()
    }


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("step", [1, 3])
def test_diff_with_the_config_compares_at_the_step(name, step, runs, cli):
    config = runs(name)
    result = cli("diff", checkpoint_of(config, step), config)
    assert result.code == 0, result.out + result.err
    assert f"those after {step}" in result.out.replace("\n      ", " ")


def test_diff_shows_what_the_config_would_have_now(runs, cli, tmp_path):
    config = runs("vit")
    text = config.read_text().replace("lr=0.001", "lr=0.002")
    other = config.with_name("other.py")
    other.write_text(text)
    result = cli("diff", checkpoint_of(config), other, "--format", "json")
    content = json.loads(result.out)
    assert result.code == 1
    assert content["a"]["step"] == content["b"]["step"] == {"epoch": 2, "iteration": 4}
    assert len(content["changed"]) == len(load_json_plan(cli, config, tmp_path).parameters)
    head = next(c for c in content["changed"] if c["name"] == "head.fc.weight")
    floor = 1e-6  # of the cosine, the same for both
    assert head["lr"]["b"] - floor == pytest.approx(
        (head["lr"]["a"] - floor) * (2e-3 - floor) / (1e-3 - floor)
    )


def load_json_plan(cli, config, folder):
    path = folder / "plan.json"
    path.write_text(cli("inspect", config, "--format", "json").out)
    return load_plan(path)


def test_two_checkpoints_are_each_at_their_step(runs, cli):
    config = runs("vit")
    result = cli("diff", checkpoint_of(config, 1), checkpoint_of(config, 3))
    assert result.code == 1
    assert "A after 1 epoch (2 iterations)" in result.out
    assert "B after 3 epochs (6" in result.out.replace("\n      ", " ")


def test_a_saved_plan_has_no_such_step(runs, cli, tmp_path):
    config = runs("vit")
    load_json_plan(cli, config, tmp_path)
    result = cli("diff", checkpoint_of(config), tmp_path / "plan.json")
    assert result.code == 2
    assert "does not have the settings of the checkpoint's step" in result.err


def test_a_plan_saved_of_a_checkpoint_is_that_of_the_checkpoint(runs, cli, tmp_path):
    checkpoint = checkpoint_of(runs("vit"))
    plan = load_json_plan(cli, checkpoint, tmp_path)
    assert plan.step == Step(2, 4)
    assert cli("diff", checkpoint, tmp_path / "plan.json").code == 0


def test_the_directory_of_a_training_is_its_last_checkpoint(runs, cli, tmp_path):
    config = runs("vit")
    work = config.parent / "work"
    parameters = plan_by(cli, checkpoint_of(config, 3))["parameters"]
    assert plan_by(cli, work)["parameters"] == parameters
    assert plan_by(cli, work / "last_checkpoint")["parameters"] == parameters
    moved = tmp_path / "moved"
    shutil.copytree(work, moved)
    shutil.rmtree(work)
    try:
        assert plan_by(cli, moved)["parameters"] == parameters
    finally:
        shutil.copytree(moved, work)


def test_a_last_checkpoint_that_is_gone(cli, tmp_path):
    (tmp_path / "last_checkpoint").write_text("/nowhere/epoch_3.pth")
    result = cli("inspect", tmp_path)
    assert result.code == 2
    assert "last_checkpoint: names '/nowhere/epoch_3.pth', which is not there" in result.err


def test_schedule_is_that_of_the_config(runs, cli):
    config = runs("vit")
    own = json.loads(cli("schedule", checkpoint_of(config), "--format", "json").out)
    other = json.loads(cli("schedule", config, "--epoch-length", 2, "--format", "json").out)
    assert own["layers"] == other["layers"]
    assert "the checkpoint is after 2 epochs" in cli("schedule", checkpoint_of(config)).out


def test_explain_tells_the_lr_now_and_how_it_began(runs, cli):
    checkpoint = checkpoint_of(runs("vit"))
    result = cli("explain", checkpoint, "cls_token")
    lr = next(p["lr"] for p in plan_by(cli, checkpoint)["parameters"] if "cls_token" in p["name"])
    assert f"{lr:.3g}".replace("e-0", "e-") in result.out
    assert "at first 0.000275 = 0.001 × 0.65^(4−0−1)" in result.out
    assert "custom key '.cls_token'" in result.out


def test_a_reason_is_shown_only_for_what_the_config_gives(runs, cli, tmp_path):
    """A training that was resumed with another config keeps the settings of its checkpoint."""
    content = torch.load(checkpoint_of(runs("vit")), weights_only=False)
    for group in content["optimizer"]["param_groups"]:
        group["weight_decay"], group["initial_lr"] = 0.3, 0.5
    torch.save(content, tmp_path / "epoch_2.pth")
    result = cli("explain", tmp_path / "epoch_2.pth", "cls_token")
    assert "0.3   as the checkpoint has it" in result.out
    assert "×" not in result.out.partition("\n  lr")[2]


def test_check_judges_the_settings_that_training_began_with(runs, cli):
    config = runs("vit")
    found, expected = (
        {f["code"] for f in json.loads(cli("check", x, "--format", "json").out)["configs"][0][
            "findings"]}
        for x in (checkpoint_of(config, 3), config)
    )  # fmt: skip
    assert found >= {code for code in expected if code.startswith("LLD1")} != set()
    assert "LLD301" not in found


def test_weights_alone(runs, cli, tmp_path):
    weights = torch.load(checkpoint_of(runs("resnet")), weights_only=False)["state_dict"]
    torch.save(weights, tmp_path / "weights.pt")
    plan = plan_by(cli, tmp_path / "weights.pt")
    assert plan["parameters"] == []
    assert {p["name"] for p in (*plan["left_out"], *plan["buffers"])} == set(weights)
    assert any("no optimizer state" in note for note in plan["notes"])
    assert cli("inspect", tmp_path / "weights.pt").code == 0
    checked = cli("check", tmp_path / "weights.pt")
    assert (checked.code, "no optimizer state" in checked.out + checked.err) == (2, True)


def without_config(content):
    content["meta"].pop("cfg")


def with_a_call(content):
    content["meta"]["cfg"] = "import os\nos.system('touch ran')\n" + content["meta"]["cfg"]


def with_another_model(content):
    content["meta"]["cfg"] = content["meta"]["cfg"].replace("depth=18", "depth=34")


def with_a_broken_model(content):
    content["meta"]["cfg"] = content["meta"]["cfg"].replace("type='ResNet'", "type='NoSuchNet'")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without_config, "it holds no config"),
        (with_a_call, "its config is more than plain values"),
        (with_another_model, None),
        (with_a_broken_model, "NoSuchNet"),
    ],
)
@pytest.mark.parametrize("name", ["resnet", "resnet options", "resnet frozen"])
def test_names_by_order_and_shape(name, change, why, runs, cli, tmp_path, monkeypatch):
    """Where a dry run can't tell the names."""
    monkeypatch.chdir(tmp_path)
    checkpoint = checkpoint_of(runs(name))
    content = torch.load(checkpoint, weights_only=False)
    change(content)
    torch.save(content, tmp_path / "changed.pth")
    plan, expected = plan_by(cli, "changed.pth"), plan_by(cli, checkpoint)
    keys = ("name", "lr", "weight_decay", "shape")
    assert [[p[k] for k in keys] for p in plan["parameters"]] == [
        [p[k] for k in keys] for p in expected["parameters"]
    ]
    assert any("by order and shape" in note for note in plan["notes"])
    assert why is None or any(why in note for note in plan["notes"])
    assert not (tmp_path / "ran").exists()


def test_parameters_that_cannot_be_told_apart(runs, cli, tmp_path):
    content = torch.load(checkpoint_of(runs("resnet")), weights_only=False)
    without_config(content)
    content["state_dict"] = dict(list(content["state_dict"].items())[:5])
    torch.save(content, tmp_path / "changed.pth")
    result = cli("inspect", tmp_path / "changed.pth")
    assert result.code == 2
    assert "without the names of parameters" in result.err


def test_a_name_of_another_parameter_is_reported(runs, cli, tmp_path):
    content = torch.load(checkpoint_of(runs("vit")), weights_only=False)
    first, other = content["optimizer"]["param_groups"][0:2]
    first["param_name"], other["param_name"] = other["param_name"], first["param_name"]
    torch.save(content, tmp_path / "changed.pth")
    notes = plan_by(cli, tmp_path / "changed.pth")["notes"]
    assert any("the name in its param group is another parameter's" in note for note in notes)


def test_frozen_parameters_have_no_state(runs, cli, tmp_path):
    content = torch.load(checkpoint_of(runs("resnet frozen")), weights_only=False)
    without_config(content)
    torch.save(content, tmp_path / "changed.pth")
    states = {p["name"]: p["state"] for p in plan_by(cli, tmp_path / "changed.pth")["parameters"]}
    assert states["backbone.conv1.weight"] == states["backbone.layer1.0.bn1.bias"] == "frozen"
    assert states["backbone.layer2.0.conv1.weight"] == "trained"


@pytest.mark.parametrize(
    "state",
    [
        {"param_groups": [{"params": [0], "lr": "x"}], "state": 3},
        {"param_groups": [{"lr": 0.1}], "state": {}},
        {"param_groups": 7, "state": {}},
        {"param_groups": [{"params": [[1]], "lr": 0.1}], "state": {}},
        {"param_groups": [{"params": [0, "a", None], "lr": 10**400}], "state": {}},
        {"a": {"param_groups": [None]}},
        [1, 2],
    ],
    ids=range(7),
)
def test_damaged_optimizer_states_are_one_clear_line(state, runs, cli, tmp_path):
    content = torch.load(checkpoint_of(runs("resnet")), weights_only=False)
    without_config(content)
    torch.save({**content, "optimizer": state}, tmp_path / "changed.pth")
    result = cli("inspect", tmp_path / "changed.pth")
    assert result.code in (0, 2)
    assert len(result.err.splitlines()) <= 1
    assert "Traceback" not in result.err


def test_options_do_not_apply_to_checkpoints(runs, cli):
    checkpoint = checkpoint_of(runs("vit"))
    for command in (["inspect"], ["schedule"], ["explain"], ["diff", "--with", "a=1"]):
        options = [] if "diff" in command else ["--cfg-options", "optim_wrapper.optimizer.lr=1"]
        result = cli(*command, checkpoint, *options)
        assert (result.code, "can't be overridden" in result.err) == (2, True), command


def test_checkpoints_with_names_need_no_torch(runs, tmp_path):
    checkpoint = checkpoint_of(runs("vit"))
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['torch', 'mmengine', 'numpy']))\n"
        "from lldtool.cli import main\n"
        "main(sys.argv[1:])"
    )
    for arguments in (["inspect"], ["inspect", "--params"], ["inspect", "--format", "json"]):
        command = [sys.executable, "-c", code, *arguments, str(checkpoint)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_python_api(runs):
    config = runs("vit")
    checkpoint = checkpoint_of(config)
    plan = lldtool.dry_run(checkpoint)
    assert plan.step == Step(2, 4)
    assert plan.schedule.epoch_length == 2
    assert {d.code for d in lldtool.check(checkpoint)} >= {"LLD102"}


def test_a_training_with_other_schedulers_than_its_config(runs, cli, tmp_path):
    """The states of schedulers tell their options, and the config their classes."""
    config = runs("vit")
    text = cli("inspect", checkpoint_of(config)).out
    assert "warm-up 3 iterations linear from 0.1 ×" in text
    assert f"cosine to 1.00e-6 in {SCHEDULERS[1]['T_max']} epochs, until epoch 3" in text


@pytest.mark.parametrize("named", ["load_from", "work_dir", "default work_dir"])
def test_inspect_says_that_a_config_resumes(named, runs, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    work = runs("vit").parent / "work"
    options = ["--cfg-options", "resume=True"]
    if named == "load_from":
        options += ["--cfg-options", f"load_from={work / 'epoch_2.pth'}"]
    elif named == "work_dir":
        options += ["--cfg-options", f"work_dir={work}"]
    else:
        shutil.copytree(work, tmp_path / "work_dirs" / "config")
    text = " ".join(cli("inspect", runs("vit"), *options).out.split())
    step = "after 2 epochs (4" if named == "load_from" else "after 3 epochs (6"
    assert "training is resumed from" in text
    assert step in text
    assert "training is resumed" not in cli("inspect", runs("vit")).out


def test_resume_takes_the_directory_of_a_training(runs, cli):
    config = runs("vit")
    longer = ["--cfg-options", "train_cfg.max_epochs=5", "--format", "json"]
    by_file = cli("resume", config, checkpoint_of(config, 3), *longer)
    by_folder = cli("resume", config, config.parent / "work", *longer)
    assert by_folder.code == by_file.code
    assert json.loads(by_folder.out)["plan"] == json.loads(by_file.out)["plan"]


def test_a_checkpoint_is_not_what_is_resumed(runs, cli):
    checkpoint = checkpoint_of(runs("vit"))
    result = cli("resume", checkpoint, checkpoint)
    assert (result.code, "a checkpoint can't be resumed" in result.err) == (2, True)

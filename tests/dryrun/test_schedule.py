"""Schedules against a Runner that trains, its schedulers stepped by its own hooks."""

import json
import os
import pty
import subprocess
import sys

import pytest
from captures import dry_run_schedule
from conftest import ROOT, TINY_VIT, slow
from mmengine.config import Config
from mmengine.hooks import Hook
from runners import runner_of, two_optimizers

import lldtool
from lldtool.config.request import Length, Request
from lldtool.dryrun import capture
from lldtool.plan import plan_from_json, plan_to_json

COSINE = """
train_cfg = dict(by_epoch=True, max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-4, begin=2)]
"""
OTHERS = {
    "step": "dict(type='MultiStepLR', milestones=[2, 4], gamma=0.1)",
    "poly by iteration": "dict(type='PolyLR', eta_min=1e-5, power=0.9, by_epoch=False)",
    "exponential": "dict(type='ExponentialLR', gamma=0.9)",
    "one cycle": "dict(type='OneCycleLR', eta_max=1e-3, total_steps=18, by_epoch=False)",
    "one cycle, a list": "dict(type='OneCycleLR', eta_max=[1e-5 * i for i in range(1, 154)],"
    " total_steps=18, by_epoch=False)",
    "restarts": "dict(type='CosineRestartLR', periods=[2, 4], restart_weights=[1, 0.5],"
    " eta_min_ratio=0.1)",
    "momentum": "[dict(type='StepLR', step_size=2), dict(type='CosineAnnealingMomentum', T_max=6)]",
    "overlapping": "[dict(type='ConstantLR', factor=0.5, end=3), dict(type='StepLR', step_size=2)]",
    "on a plateau": "dict(type='ReduceOnPlateauLR', patience=0)",
    "of a setting": "[dict(type='StepLR', step_size=2),"
    " dict(type='LinearParamScheduler', param_name='weight_decay', start_factor=0.1, end=4)]",
    "up to a float": "[dict(type='LinearLR', start_factor=0.1, end=2.5),"
    " dict(type='StepLR', step_size=2, begin=2.5)]",
    "none": "None",
    "rising to the end": "dict(type='LinearLR', start_factor=0.2)",
    "constant": "dict(type='ConstantLR', factor=0.3, end=2)",
    "waves": "dict(type='CosineAnnealingLR', T_max=2, eta_min_ratio=0.1)",
    "cut": "dict(type='CosineAnnealingLR', T_max=12, begin=1)",
    "converted steps": "dict(type='StepLR', step_size=2, convert_to_iter_based=True)",
    "converted milestones": "dict(type='MultiStepLR', milestones=[1, 5],"
    " convert_to_iter_based=True)",
    "converted cosine": "dict(type='CosineAnnealingLR', T_max=5, begin=1, end=6,"
    " convert_to_iter_based=True)",
    "milestones by iteration": "dict(type='MultiStepLR', milestones=[4, 100], by_epoch=False)",
    "exponential by iteration": "dict(type='ExponentialLR', gamma=0.99, by_epoch=False, begin=3)",
    "warm-up by iteration": "[dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=4),"
    " dict(type='MultiStepLR', milestones=[3], gamma=0.1)]",
    "beyond the end": "[dict(type='LinearLR', start_factor=0.1, end=20),"
    " dict(type='CosineAnnealingLR', begin=20, end=40)]",
    "a dict of one": "dict(type='PolyLR', power=2, eta_min=1e-6, end=5)",
    "weight decay and momentum": "[dict(type='CosineAnnealingParamScheduler', eta_min=0.3,"
    " param_name='weight_decay'), dict(type='LinearMomentum', start_factor=0.5, end=3)]",
}
SCHEDULES = {"cosine": COSINE} | {
    name: f"\ntrain_cfg = dict(by_epoch=True, max_epochs=6)\nparam_scheduler = {text}"
    for name, text in OTHERS.items()
}
SCHEDULES["scaled"] = COSINE + (
    "auto_scale_lr = dict(base_batch_size=64, enable=True)\ntrain_dataloader = dict(batch_size=2)"
)
BY_ITERATION = "\ntrain_cfg = dict(by_epoch=False, max_iters=12)\nparam_scheduler = "
SCHEDULES["by iteration"] = f"{BY_ITERATION}{OTHERS['poly by iteration']}"
SCHEDULES["by iteration, said otherwise"] = SCHEDULES["by iteration"].replace("False,", "0,")
SCHEDULES["by epoch in a training by iteration"] = f"{BY_ITERATION}{OTHERS['step']}"


class Seen(Hook):
    """Keeps the settings of every parameter in every step."""

    def __init__(self):
        self.steps = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        groups = runner.optim_wrapper.optimizer.param_groups
        settings = ({k: v for k, v in group.items() if k != "params"} for group in groups)
        self.steps.append({own["param_name"]: own for own in settings})


def _config(tmp_path, text):
    path = tmp_path / "config.py"
    path.write_text(TINY_VIT + text)
    return path


def _made(path, epoch_length=None, **options):
    request = Request(path, str(path), world_size=1)
    return dry_run_schedule(request, Length(epoch_length), **options)


def _plan(path, epoch_length=3, **options):
    length = Length(epoch_length)
    request = Request(path, str(path), length=length, curves="all", **options)
    return capture(request).required_plan


def _curves(schedule):
    return [(c.layer_id, c.parameters, list(c.lrs)) for c in schedule.curves]


def _schedule(cli, *arguments):
    result = cli("schedule", *arguments, "--format", "json")
    assert result.code == 0, result.err
    return json.loads(result.out)


#: The others take as long again, each.
QUICK = {"cosine", "one cycle", "restarts", "by iteration"}


@pytest.mark.parametrize("kind", [kind if kind in QUICK else slow(kind) for kind in SCHEDULES])
def test_every_lr_is_that_of_a_training_runner(tmp_path, kind):
    path = _config(tmp_path, SCHEDULES[kind])
    made, seen = _made(path, 3), Seen()
    config = Config.fromfile(path)
    runner_of(config, tmp_path / "work", epoch_length=3, custom_hooks=[seen]).train()
    mine = {name: curve.lrs for curve in made.curves for name in curve.parameters}
    assert len(seen.steps) == made.steps
    for step, expected in enumerate(seen.steps):
        lrs = {name: own["lr"] for name, own in expected.items()}
        assert {name: lrs[step] for name, lrs in mine.items()} == lrs


@pytest.mark.parametrize("kind", [kind if kind in QUICK else slow(kind) for kind in SCHEDULES])
def test_the_curves_of_a_plan_are_those_of_a_training_runner(tmp_path, kind):
    """Also once saved, in every step, of each setting that a scheduler changes."""
    path = _config(tmp_path, SCHEDULES[kind])
    plan = plan_from_json(plan_to_json(lldtool.dry_run(path, epoch_length=3, curves=True)))
    seen, config = Seen(), Config.fromfile(path)
    if kind == "scaled":
        plan = plan_from_json(plan_to_json(_plan(path, world_size=1)))
    runner_of(config, tmp_path / "work", epoch_length=3, custom_hooks=[seen]).train()
    assert len(seen.steps) == plan.schedule.iterations
    assert {curve.setting for curve in plan.schedule.curves} >= {"lr"}
    for p in plan.trained:
        for curve in plan.schedule.curves:
            if p.group in curve.groups:
                mine = [curve.value_at(i) * curve.factor(p.group) for i in range(len(seen.steps))]
                theirs = [step[p.name][curve.setting] for step in seen.steps]
                assert mine == pytest.approx(theirs, rel=1e-9, abs=0)


def test_the_lr_that_a_runner_logs_is_that_of_its_first_group(tmp_path):
    path = _config(tmp_path, COSINE)
    config = Config.fromfile(path)
    runner_of(config, tmp_path / "work", epoch_length=3, logged=True).train()
    (log,) = (tmp_path / "work").glob("*/vis_data/scalars.json")
    logged = [json.loads(line)["lr"] for line in log.read_text().splitlines()]
    assert logged == list(_made(path, 3).curves[0].lrs)


@pytest.mark.parametrize("kind", ["cosine", "one cycle", "restarts"])
def test_distinct_groups_come_to_what_all_groups_come_to(tmp_path, kind):
    path = _config(tmp_path, SCHEDULES[kind])
    assert _curves(_made(path, 3)) == _curves(_made(path, 3, all_groups=True))


def test_a_scheduler_of_the_users_own_is_given_all_groups(tmp_path, monkeypatch):
    (tmp_path / "own_scheduler.py").write_text(
        "from mmengine.optim import StepLR\n"
        "from mmengine.registry import PARAM_SCHEDULERS\n"
        "@PARAM_SCHEDULERS.register_module(force=True)\n"
        "class FirstGroupLR(StepLR):\n"
        "    def _get_value(self):\n"
        "        first, *others = super()._get_value()\n"
        "        return [7.0, *others]\n"
    )
    monkeypatch.chdir(tmp_path)
    path = _config(
        tmp_path,
        "custom_imports = dict(imports=['own_scheduler'])\n"
        "train_cfg = dict(by_epoch=True, max_epochs=3)\n"
        "param_scheduler = dict(type='FirstGroupLR', step_size=2)",
    )
    made = _made(path)
    assert [c.parameters for c in made.curves if c.highest == 7.0] == [("backbone.cls_token",)]


def test_a_scheduler_that_goes_by_iterations_unsaid_needs_an_epoch_length(tmp_path, monkeypatch):
    (tmp_path / "own_iterating.py").write_text(
        "from mmengine.optim import CosineAnnealingLR\n"
        "from mmengine.registry import PARAM_SCHEDULERS\n"
        "@PARAM_SCHEDULERS.register_module(force=True)\n"
        "class IterCosine(CosineAnnealingLR):\n"
        "    def __init__(self, optimizer, *args, by_epoch=False, **more):\n"
        "        super().__init__(optimizer, *args, by_epoch=by_epoch, **more)\n"
    )
    monkeypatch.chdir(tmp_path)
    path = _config(
        tmp_path,
        "custom_imports = dict(imports=['own_iterating'])\n"
        "train_cfg = dict(by_epoch=True, max_epochs=3)\n"
        "param_scheduler = dict(type='IterCosine', T_max=9)",
    )
    with pytest.raises(lldtool.LldtoolError, match="IterCosine, which counts iterations, needs"):
        _made(path)
    assert _made(path, 3).curves[0].lrs[2] < _made(path, 3).curves[0].lrs[1]


def test_what_may_step_the_schedulers_otherwise_is_named(tmp_path):
    text = SCHEDULES["step"].replace("by_epoch=True", "type='OwnLoop'")
    text += "\ndefault_hooks = dict(param_scheduler=dict(type='OwnHook'))"
    assert _made(_config(tmp_path, text)).notes[:2] == (
        "OwnLoop may step the schedulers differently than shown",
        "OwnHook may step the schedulers differently than shown",
    )
    assert not any("otherwise" in note for note in _made(_config(tmp_path, COSINE), 3).notes)


def test_a_scheduler_that_begins_too_late_is_named_and_blamed_for_nothing(tmp_path):
    late = "dict(type='CosineAnnealingLR', eta_min=1.0, begin=50, end=100)"
    made = _made(_config(tmp_path, COSINE.replace("= [", f"= [{late}, ")), 3)
    assert "CosineAnnealingLR begins after the end of the training: it does nothing" in made.notes
    assert made.why_rising().target == 1e-4


def test_the_failure_of_a_progress_bar_is_none_of_the_training(tmp_path):
    def broken(steps, total):
        yield from steps
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        _made(_config(tmp_path, COSINE), 3, progress=broken)


def test_layers_below_the_floor_are_marked_as_rising(tmp_path, cli):
    content = _schedule(cli, _config(tmp_path, COSINE), "--epoch-length", 5)
    rising = [layer for layer in content["layers"] if layer["rises"]]
    assert rising
    assert all(layer["configured_lr"] < 1e-4 for layer in rising)
    assert any("eta_min 1.00e-4 of CosineAnnealingLR is above" in r for r in content["remarks"])


def test_layers_that_end_at_the_floor_are_marked_as_one(tmp_path, cli):
    path = _config(tmp_path, COSINE)
    content = _schedule(cli, path, "--epoch-length", 5, "--epochs", 60)
    assert all(layer["converges"] for layer in content["layers"])
    assert content["remarks"][-1].endswith(
        "eta_min 1.00e-4 of CosineAnnealingLR is the same for all"
    )
    ratio = COSINE.replace("eta_min=1e-4", "eta_min_ratio=0.1")
    content = _schedule(cli, _config(tmp_path, ratio), "--epoch-length", 5, "--epochs", 60)
    assert not any(layer["converges"] or layer["rises"] for layer in content["layers"])
    assert not content["remarks"]


ALL_BELOW = """
train_cfg = dict(by_epoch=True, max_epochs=10)
param_scheduler = [dict(type='CosineAnnealingLR', begin=%d, eta_min=1e-2)]
"""


@pytest.mark.parametrize("warm_up", [0, 3])
def test_all_layers_below_the_floor_rise(tmp_path, warm_up):
    text = ALL_BELOW % warm_up
    if warm_up:
        text += "param_scheduler.insert(0, dict(type='LinearLR', start_factor=0.01, end=3))"
    made = _made(_config(tmp_path, text))
    assert made.warm_up == max(0, warm_up - 1)
    assert len(made.rising) == len(made.curves) == 14
    assert made.why_rising().option == "eta_min"


def test_each_of_several_optimizers_has_its_own_schedule(tmp_path, monkeypatch):
    more = (
        "train_cfg = dict(by_epoch=True, max_epochs=6)\n"
        "param_scheduler = dict(gen=dict(type='LinearLR', end=3), dis=[])\n"
    )
    path = two_optimizers(tmp_path, monkeypatch, more)
    made = _made(path)
    lrs = {curve.optimizer: list(curve.lrs) for curve in made.curves}
    assert lrs["dis"] == [0.1] * 6
    assert lrs["gen"][0] == pytest.approx(1e-3 / 3)
    assert lrs["gen"][2:] == [pytest.approx(1e-3)] * 4
    assert made.warmed_up == {"gen": 2, "dis": 0}
    assert not made.rising
    path.write_text(path.read_text().replace("dis=[]", "other=[]"))
    with pytest.raises(lldtool.LldtoolError, match="no entry for the optimizer 'dis'"):
        _made(path)


def test_a_one_cycle_makes_one_of_all_layers(tmp_path, cli):
    content = _schedule(cli, _config(tmp_path, SCHEDULES["one cycle"]), "--epoch-length", 3)
    assert all(layer["converges"] for layer in content["layers"])
    (remark,) = content["remarks"]
    assert remark.endswith("eta_max 1.00e-3 of OneCycleLR is the same for all")


def test_by_epoch_schedules_need_no_epoch_length_and_others_say_so(tmp_path, cli):
    by_epoch = COSINE.replace(", convert_to_iter_based=True", "")
    assert _schedule(cli, _config(tmp_path, by_epoch))["unit"] == "epoch"
    result = cli("schedule", _config(tmp_path, SCHEDULES["warm-up by iteration"]))
    assert result.code == 2
    assert "LinearLR, which counts iterations, needs the length of an epoch" in result.err
    assert "use --epoch-length N" in result.err


def test_a_converted_warm_up_is_as_with_long_epochs_where_their_length_is_not_known(tmp_path, cli):
    path = _config(tmp_path, COSINE)
    shown = _schedule(cli, path, "--at", "0,1,2,5")["layers"][-1]["lr"]
    exact = _schedule(cli, path, "--at", "0,1,2,5", "--epoch-length", 1000)["layers"][-1]["lr"]
    assert list(shown.values()) == pytest.approx(list(exact.values()), rel=0.01)
    schedule = _plan(path, None).schedule
    assert (schedule.exact, schedule.epoch_length) == (False, None)
    assert "how long an epoch is" in schedule.unknown[0]


def test_dataset_size_counts_batches_on_each_gpu(tmp_path, cli):
    loader = "\ntrain_dataloader = dict(batch_size=8, sampler=dict(type='OddSampler'))"
    path = _config(tmp_path, COSINE + loader)
    content = _schedule(cli, path, "--dataset-size", 100, "--world-size", 2)
    assert content["epoch_length"] == 7
    assert content["notes"][0].startswith("OddSampler may make epochs of a different length")


@pytest.mark.parametrize(
    ("loader", "length", "noted"),
    [
        ("batch_size=8", 7, False),
        ("batch_size=8, drop_last=True", 6, False),
        ("batch_size=8, sampler=dict(type='DefaultSampler')", 7, False),
        ("batch_size=8, sampler=dict(type='RepeatAugSampler')", 7, False),
        ("batch_size=8, batch_sampler=dict(type='OddSampler')", 7, True),
    ],
)
def test_an_epoch_is_as_long_as_the_data_loader_makes_it(tmp_path, cli, loader, length, noted):
    path = _config(tmp_path, f"{COSINE}\ntrain_dataloader = dict({loader})")
    content = _schedule(cli, path, "--dataset-size", 100, "--world-size", 2)
    assert content["epoch_length"] == length
    assert any("epochs of a different length" in note for note in content["notes"]) is noted


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("on a plateau", "ReduceOnPlateauLR waits for a metric to get worse"),
        ("by epoch in a training by iteration", "MultiStepLR is stepped by epoch"),
        ("none", "no param_scheduler: every lr stays as it is"),
    ],
)
def test_what_the_numbers_do_not_show_is_noted(tmp_path, kind, note):
    assert any(one.startswith(note) for one in _made(_config(tmp_path, SCHEDULES[kind]), 3).notes)


def test_a_train_cfg_that_training_refuses_is_noted(tmp_path):
    text = SCHEDULES["step"].replace("by_epoch=True", "by_epoch=True, type='EpochBasedTrainLoop'")
    assert "train_cfg needs either type or by_epoch" in _made(_config(tmp_path, text)).notes[0]


def test_the_bounds_of_each_course_are_those_of_its_lrs(tmp_path, cli):
    path = _config(tmp_path, COSINE)
    content, made = _schedule(cli, path, "--epoch-length", 5), _made(path, 5)
    for layer, curve in zip(content["layers"], made.curves, strict=True):
        assert (layer["min"], layer["max"]) == (min(curve.lrs), max(curve.lrs))


def test_the_config_may_say_how_long_an_epoch_is(tmp_path, cli):
    loader = "\ntrain_dataloader = dict(batch_size=8, num_batch_per_epoch=4)"
    path = _config(tmp_path, COSINE + loader)
    assert _schedule(cli, path)["epoch_length"] == 4
    assert _schedule(cli, path, "--dataset-size", 800)["epoch_length"] == 4
    assert _schedule(cli, path, "--epoch-length", 3)["epoch_length"] == 3
    path = _config(tmp_path, COSINE + loader.replace("4", "'four'"))
    assert "num_batch_per_epoch is 'four', not a whole number" in cli("schedule", path).err


def test_an_epoch_length_in_samples_is_refused(tmp_path, cli):
    result = cli("schedule", _config(tmp_path, COSINE), "--epoch-length", 12_811_670)
    assert result.code == 2
    assert "are too many (is the epoch length in samples?)" in result.err


def test_epochs_overrides_iterations_too(tmp_path, cli):
    path = _config(tmp_path, SCHEDULES["by iteration"])
    assert _schedule(cli, path, "--epochs", 4, "--epoch-length", 5)["steps"] == 20
    assert "needs the length of an epoch" in cli("schedule", path, "--epochs", 4).err


def test_without_the_hook_nothing_is_stepped(tmp_path, cli):
    text = SCHEDULES["exponential"] + "\ndefault_hooks = dict(param_scheduler=None)"
    content = _schedule(cli, _config(tmp_path, text))
    assert all(layer["min"] == layer["max"] for layer in content["layers"])
    assert "nothing steps the schedulers" in content["notes"][0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dict(type='CosineLR')", "unknown type 'CosineLR'"),
        ("dict(type='StepLR', step=2)", "training would crash with TypeError"),
        ("['StepLR']", "has a str where a dict is expected"),
        ("dict(type='StepLR', step_size=2)\ntrain_cfg = {}", "train_cfg has no max_epochs"),
        ("dict(step_size=2)", "has a dict without a type"),
        ("{}", "has a dict without a type"),
        ("0", "has a int where a dict is expected"),
        ("None\ntrain_cfg = dict(max_epochs=float('inf'))", "max_epochs is inf, not a whole"),
        (
            "dict(type='StepLR', step_size=2, gamma=float('nan'))",
            "the lr of layer 0 is nan in epoch 2",
        ),
        ("None\ntrain_cfg = dict(max_epochs=10**400)", "max_epochs is inf, not a whole number"),
        (
            "None\ntrain_dataloader = dict(batch_size=2)\n"
            "auto_scale_lr = dict(enable=True, base_batch_size=float('nan'))",
            "auto_scale_lr.base_batch_size is nan",
        ),
        ("dict(type='ExponentialLR', gamma=1e200)", "the lr of layer 0 is inf in epoch 2"),
        (
            "dict(type='ExitLR')\ncustom_imports = dict(imports=['exit_lr'])",
            "would crash with SystemExit",
        ),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, cli, monkeypatch, text, message):
    (tmp_path / "exit_lr.py").write_text(
        "import sys\nfrom mmengine.optim import StepLR\n"
        "from mmengine.registry import PARAM_SCHEDULERS\n"
        "@PARAM_SCHEDULERS.register_module(force=True)\nclass ExitLR(StepLR):\n"
        "    def __init__(self, **kwargs): sys.exit(3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    path = _config(tmp_path, f"\ntrain_cfg = dict(max_epochs=3)\nparam_scheduler = {text}")
    result = cli("schedule", path, "--world-size", 1)
    assert (result.code, len(result.err.splitlines())) == (2, 1)
    assert message in result.err


def test_at_picks_epochs_and_knows_the_end(tmp_path, cli):
    path = _config(tmp_path, COSINE)
    content = _schedule(cli, path, "--epoch-length", 5, "--at", "0,3,6")
    assert content["points"] == {"epoch 0": 0, "epoch 3": 15, "end": 29}
    result = cli("schedule", path, "--epoch-length", 5, "--at", "7")
    assert (result.code, "the training has 6 epochs" in result.err) == (2, True)


@pytest.mark.parametrize("form", ["table", "csv", "markdown"])
def test_other_formats_show_every_layer(tmp_path, cli, form):
    path = _config(tmp_path, COSINE)
    result = cli("schedule", path, "--epoch-length", 5, "--format", form)
    assert result.code == 0
    if form == "table":
        assert max(map(len, result.out.splitlines())) <= 80
        assert "↑" in result.out
    if form == "csv":
        assert len(result.out.splitlines()) == 1 + 14 * 30
        few = cli("schedule", path, "--epoch-length", 5, "--format", form, "--at", "0,6")
        assert len(few.out.splitlines()) == 1 + 14 * 2
    if form == "markdown":
        rows = [line.split(" | ") for line in result.out.splitlines() if line.startswith("| ")]
        assert [row[0].split()[-1] for row in rows[2:]] == [str(layer) for layer in range(14)]


@pytest.mark.slow
def test_long_work_shows_a_bar_on_a_terminal_only(tmp_path):
    path = _config(tmp_path, COSINE)
    command = [sys.executable, "-m", "lldtool", "schedule", str(path), "--epoch-length", "60000"]
    mine, theirs = pty.openpty()
    streams = {"stdout": subprocess.PIPE, "stderr": theirs, "env": {**os.environ, "TERM": "xterm"}}
    with subprocess.Popen(command, cwd=ROOT, **streams) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(mine, 4096):
                shown += part
        except OSError:  # the other end is closed
            pass
        table = process.stdout.read()
    os.close(mine)
    assert process.returncode == 0
    assert b"stepping the schedulers" in shown
    assert b"stepping" not in table
    piped = subprocess.run(command, capture_output=True, cwd=ROOT, check=True)
    assert (piped.stdout, piped.stderr) == (table, b"")

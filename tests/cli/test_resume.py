"""`lldtool resume`: its exit codes, its formats, and what it can't do in one line."""

import json

import pytest
from conftest import PLANS, SAMPLES, TINY_VIT

from lldtool.plan import plan_from_json

CONFIG = SAMPLES / "vit-base_layer-decay.py"
CHECKPOINT = SAMPLES / "checkpoints" / "vit-base_epoch_100.pth"
LR = ("--cfg-options", "optim_wrapper.optimizer.lr=2e-3")


def test_a_training_that_goes_on_as_it_was_exits_with_0(cli):
    result = cli("resume", CONFIG, CHECKPOINT)
    assert (result.code, result.err) == (0, "")
    assert "fix:" not in result.out


def test_the_document_fits_a_terminal(cli, monkeypatch, snapshot):
    monkeypatch.chdir(SAMPLES.parent)
    names = (CONFIG.relative_to(SAMPLES.parent), CHECKPOINT.relative_to(SAMPLES.parent))
    result = cli("resume", *names, *LR, "train_cfg.max_epochs=400")
    assert result.code == 1
    assert max(map(len, result.out.splitlines())) <= 80
    assert result.out.partition("note ")[0] == snapshot
    markdown = cli("resume", *names, *LR, "--format", "markdown")
    assert "#### changes without effect" in markdown.out


def test_the_json_has_a_plan_and_what_has_no_effect(cli, tmp_path):
    output = tmp_path / "x.json"
    result = cli("resume", CONFIG, CHECKPOINT, *LR, "--format", "json", "-o", output)
    assert (result.code, result.out) == (1, "")
    content = json.loads(output.read_text())
    assert content["without_effect"] == ["optim_wrapper.optimizer.lr"]
    plan = plan_from_json(json.dumps(content["plan"]))
    assert (plan.step.epoch, plan.step.iteration) == (100, 125_200)
    assert {p.start for p in plan.parameters} == {"resumed"}
    assert {p.reason.lr.rule for p in plan.parameters} == {"checkpoint"}
    assert plan.schedule.curves[0].at[0] == 125_200
    assert plan.parameters[-1].lr == plan.schedule.curves[0].value[0]
    assert content["problems"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CONFIG, "gone.pth"), "error: gone.pth: no such file"),
        ((CONFIG, CONFIG), "vit-base_layer-decay.py: not a checkpoint: torch.save did not"),
        ((PLANS / "resnet50.json", CHECKPOINT), "a saved plan can't be resumed"),
        ((CONFIG, CHECKPOINT, "--load-from", CHECKPOINT), "--load-from exclude each other"),
        (
            (CONFIG, SAMPLES / "checkpoints" / "vit-base_backbone.pth"),
            "it has no meta and no message_hub, which a training saves with its weights",
        ),
        (
            (CONFIG, CHECKPOINT, "--cfg-options", "model.head.num_classes=10"),
            "shapes differ: head.layers.head.weight 10×768, checkpoint 1000×768",
        ),
    ],
)
def test_what_it_cannot_do_is_one_line(cli, arguments, message):
    result = cli("resume", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1 or "Usage" in result.err


def test_a_checkpoint_is_not_overwritten(cli, tmp_path):
    config, checkpoint = tmp_path / "config.py", tmp_path / "x.pth"
    config.write_text(TINY_VIT)
    checkpoint.write_bytes(CHECKPOINT.read_bytes())
    result = cli("resume", config, checkpoint, "-o", checkpoint)
    assert result.code == 2
    assert checkpoint.read_bytes() == CHECKPOINT.read_bytes()


def test_check_reports_what_is_lost_when_training_is_resumed(cli, tmp_path):
    names = ("check", CONFIG, "--select", "LLD7", "--resume")
    assert cli(*names, CHECKPOINT).code == 0
    result = cli(*names, CHECKPOINT, *LR)
    assert result.code == 1
    assert "LLD702" in result.out
    assert "from 0.004 to 0.002 has no effect" in " ".join(result.out.split())
    result = cli(*names, CHECKPOINT, "--cfg-options", "model.head.num_classes=10")
    assert result.code == 1
    assert "LLD701" in result.out
    assert cli(*names, tmp_path / "gone.pth").code == 2
    saved = cli("check", PLANS / "vit-base_layer-decay.json", "--resume", CHECKPOINT)
    assert saved.code == 2
    assert "a saved plan can't be resumed" in " ".join(saved.out.split())

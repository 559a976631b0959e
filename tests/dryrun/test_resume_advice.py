"""What is silently accepted when a training is resumed, and that the advice helps."""

import json

import pytest
import torch
from conftest import TINY_VIT, slow
from mmengine.config import Config
from mmengine.runner import Runner
from resuming import (
    COSINE,
    Seen,
    announced,
    assert_announced,
    changed,
    save,
    train_resumed,
    written,
)
from runners import BATCH_SIZE, runner_of

import lldtool
from lldtool.errors import LldtoolError
from lldtool.hooks import PlanGuardHook
from lldtool.output.resume_document import resume_json
from lldtool.plan import plan_from_json, plan_to_json

OLD = TINY_VIT + COSINE
#: A new lr and another schedule, which resuming leaves without effect.
NEW = OLD.replace("lr=1e-3", "lr=5e-4").replace("eta_min=1e-6", "eta_min=1e-5")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resumed")
    return save(written(folder, "old.py", OLD), folder)


@pytest.fixture(autouse=True)
def _torch_loads_checkpoints(monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")


def problems(found):
    return {problem.code: problem.message for problem in found.problems}


def trained(path, folder, **changes):
    seen = Seen()
    config = Config.fromfile(path)
    hooks = [*changes.pop("custom_hooks", []), seen]
    runner_of(config, folder / "again", epoch_length=3, custom_hooks=hooks, **changes).train()
    return seen.steps


def test_load_from_takes_the_weights_and_gives_changes_their_effect(checkpoint, tmp_path):
    path = written(tmp_path, "new.py", NEW)
    found = announced(path, checkpoint)
    assert len(found.without_effect) == 2
    plan = lldtool.dry_run(
        path, cfg_options={"load_from": str(checkpoint)}, epoch_length=3, curves=True
    )
    assert {p.start for p in plan.parameters} == {"pretrained"}
    steps = trained(path, tmp_path, load_from=str(checkpoint))
    assert sorted(steps) == list(range(18))
    for p in plan.trained:
        curve = plan.schedule.curve_of(p.group, "lr")
        for step in (0, 6, 17):
            lr = steps[step][p.name]["lr"]
            assert curve.value_at(step) * curve.factor(p.group) == pytest.approx(lr, rel=1e-9)
    assert steps[6]["head.fc.bias"]["initial_lr"] == 5e-4


def test_a_copy_without_its_state_keeps_the_epoch_and_gives_changes_their_effect(
    checkpoint, tmp_path
):
    path = written(tmp_path, "new.py", NEW.replace("max_epochs=6", "max_epochs=9"))
    bare = changed(checkpoint, lambda c: [c.pop("optimizer"), c.pop("param_schedulers")])
    found = announced(path, bare)
    steps = train_resumed(path, bare, tmp_path)
    assert_announced(found, steps)
    assert not found.without_effect
    assert steps[9]["head.fc.bias"]["initial_lr"] == 5e-4
    assert steps[9]["head.fc.bias"]["lr"] == pytest.approx(5e-4 * 1e-3)


#: Changes of the config -> what is said of them.
PROBLEMS = {
    "a removed warm-up": (
        "dict(type='LinearLR', start_factor=1e-3, end=2, convert_to_iter_based=True),", "",
        "other-schedulers", "CosineAnnealingLR takes over the state of LinearLR, "
        "the state of CosineAnnealingLR is dropped",
    ),
    "steps for a cosine": (
        "CosineAnnealingLR', eta_min=1e-6", "MultiStepLR', milestones=[5]",
        "other-schedulers", "MultiStepLR takes over the state of CosineAnnealingLR",
    ),
    "a scheduler more": (
        "begin=2)]", "begin=2), dict(type='StepLR', step_size=2)]",
        "other-schedulers", "StepLR is new and counts from 0 now",
    ),
    "more epochs": (
        "max_epochs=6", "max_epochs=9",
        "schedule-is-over", "the checkpoint's schedule ends at epoch 6 of 9",
    ),
    "no epoch": ("max_epochs=6", "max_epochs=3", "nothing-left", "is past 3 epochs"),
    "Adam for AdamW": (
        "'AdamW'", "'Adam'", "other-optimizer", "Adam takes over the param groups and the state of",
    ),
    "a scaled lr": (
        "train_cfg =", "auto_scale_lr = dict(enable=True, base_batch_size=1)\n"
        f"train_dataloader = dict(batch_size={BATCH_SIZE})\ntrain_cfg =",
        "auto-scale-lr", "has no effect",
    ),
}  # fmt: skip
QUICK = {"steps for a cosine", "no epoch", "a scaled lr"}


@pytest.mark.parametrize("name", [name if name in QUICK else slow(name) for name in PROBLEMS])
def test_what_is_accepted_without_a_word_is_named(name, checkpoint, tmp_path):
    old, new, code, said = PROBLEMS[name]
    assert old in OLD
    path = written(tmp_path, "new.py", OLD.replace(old, new))
    found = announced(path, checkpoint, world_size=1 if name == "a scaled lr" else None)
    assert said in problems(found)[code]
    steps = train_resumed(path, checkpoint, tmp_path)  # it is accepted
    if name == "no epoch":
        assert (steps, found.left, found.curves) == ({}, 0, None)
    else:
        assert_announced(found, steps)


def test_nothing_is_said_of_a_training_that_goes_on_as_it_was(checkpoint, tmp_path):
    found = announced(written(tmp_path, "same.py", OLD), checkpoint)
    assert (found.changes, found.problems) == ((), ())


def test_groups_in_another_order_are_named(checkpoint, tmp_path):
    def swap(content):
        groups = content["optimizer"]["param_groups"]
        names = [groups[i]["param_name"] for i in (-1, -2)]
        for i, name in zip((-2, -1), names, strict=True):
            groups[i]["param_name"] = name

    found = announced(written(tmp_path, "new.py", OLD), changed(checkpoint, swap))
    assert problems(found)["other-order"].endswith(
        "head.fc.weight gets those of head.fc.bias, head.fc.bias gets those of head.fc.weight"
    )


def test_a_checkpoint_without_its_config_is_compared_by_its_groups(checkpoint, tmp_path):
    bare = changed(checkpoint, lambda content: content["meta"].pop("cfg"))
    found = announced(written(tmp_path, "new.py", NEW), bare)
    assert [(c.key, *c.values) for c in found.without_effect] == [
        ("optim_wrapper.optimizer.lr", 1e-3, 5e-4)
    ]


def test_nothing_of_a_config_in_a_checkpoint_is_executed(checkpoint, tmp_path):
    text = f"optim_wrapper = dict(x=__import__('pathlib').Path({str(tmp_path / 'x')!r}).touch())\n"
    for hostile in (text, "(" * 100_000, 7):
        bad = changed(checkpoint, lambda content, cfg=hostile: content["meta"].update(cfg=cfg))
        found = announced(written(tmp_path, "new.py", NEW), bad)
        assert [c.key for c in found.changes] == ["optim_wrapper.optimizer.lr"]
    assert not (tmp_path / "x").exists()

    marker = f"import pathlib\npathlib.Path({str(tmp_path / 'x')!r}).touch()\n"
    bad = changed(checkpoint, lambda content: content["meta"].update(config=marker))
    assert announced(written(tmp_path, "new.py", NEW), bad).changes
    assert not (tmp_path / "x").exists()


def test_an_lr_that_is_a_tensor_is_refused(checkpoint, tmp_path):
    def to_tensor(content):
        content["optimizer"]["param_groups"][3]["lr"] = torch.tensor(1e-3)

    with pytest.raises(LldtoolError, match="the lr in the checkpoint is a tensor"):
        announced(written(tmp_path, "new.py", OLD), changed(checkpoint, to_tensor))


def test_another_mmengine_is_not_taken_for_a_failing_training(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, "resume", lambda runner, *_, **__: runner.of_another_version)
    with pytest.raises(LldtoolError, match="needs 'of_another_version' of a runner"):
        announced(written(tmp_path, "new.py", OLD), checkpoint)


def test_without_the_length_of_an_epoch_it_is_that_of_the_checkpoint(checkpoint, tmp_path):
    path = written(tmp_path, "new.py", OLD)
    found = announced(path, checkpoint, epoch_length=None)
    assert_announced(found, train_resumed(path, checkpoint, tmp_path))
    assert found.plan.schedule.epoch_length_from == "the checkpoint"
    old = changed(checkpoint, lambda content: content["message_hub"].pop("runtime_info"))
    assert announced(path, old, epoch_length=None).plan.schedule == found.plan.schedule


def test_other_classes_are_accepted_where_there_is_no_state(tmp_path):
    plain = OLD.replace("type='AdamW', lr=1e-3", "type='SGD', lr=1e-3")
    checkpoint = save(written(tmp_path, "old.py", plain), tmp_path)
    path = written(tmp_path, "new.py", plain.replace("num_classes=10", "num_classes=7"))
    found = announced(path, checkpoint)
    assert_announced(found, train_resumed(path, checkpoint, tmp_path))
    assert "2 parameters, head.fc.weight, head.fc.bias" in problems(found)["weights-not-resumed"]


# PlanGuardHook


def guard(plan, folder):
    file = folder / "plan.json"
    file.write_text(plan_to_json(plan))
    return {"custom_hooks": [PlanGuardHook(file)]}


def test_a_guard_compares_after_resuming(checkpoint, tmp_path):
    """A resumed training has the lr of its checkpoint, not the one that its config's plan has."""
    path = written(tmp_path, "new.py", NEW)
    plan = lldtool.dry_run(path, epoch_length=3, curves=True)
    with pytest.raises(LldtoolError, match="not that of the plan: lr differs in 14 of 14 layers"):
        train_resumed(path, checkpoint, tmp_path, **guard(plan, tmp_path))
    same = written(tmp_path, "same.py", OLD)
    plan = lldtool.dry_run(same, epoch_length=3, curves=True)
    assert train_resumed(same, checkpoint, tmp_path, **guard(plan, tmp_path))


def test_a_guard_of_the_resumed_plan_lets_the_resumed_training_go_on(checkpoint, tmp_path):
    path = written(tmp_path, "new.py", NEW)
    content = json.loads(resume_json(announced(path, checkpoint)))
    plan = plan_from_json(json.dumps(content["plan"]))
    assert plan.step.epoch == 3
    assert train_resumed(path, checkpoint, tmp_path, **guard(plan, tmp_path))
    with pytest.raises(LldtoolError, match="the optimizer is not that of the plan"):
        trained(path, tmp_path, **guard(plan, tmp_path))
    assert torch.load(checkpoint, weights_only=False)["meta"]["epoch"] == 3

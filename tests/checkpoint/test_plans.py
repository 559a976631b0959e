"""The plan of a checkpoint, from what it holds alone."""

import pytest
import torch
from checkpoints import of_runner, saved
from torch import nn

from lldtool.checkpoint import read_checkpoint
from lldtool.checkpoint.plans import has_parameter_names, plan_of_checkpoint, step_of
from lldtool.plan import Step


def read(content, path):
    path.write_bytes(saved(content))
    return read_checkpoint(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "epoch_2.pth"


def test_merged_groups_name_their_parameters_and_layers(path):
    """As mmdet, mmseg and mmpose merge them."""
    content = of_runner()
    first, second, *others = content["optimizer"]["param_groups"]
    merged = {
        **first,
        "params": [*first["params"], *second["params"]],
        "param_names": [first.pop("param_name"), second.pop("param_name")],
        "group_name": "layer_7_no_decay",
    }
    for key in ("param_name", "layer_id"):
        merged.pop(key, None)
    content["optimizer"]["param_groups"] = [merged, *others]
    plan = plan_of_checkpoint(read(content, path))
    assert [(p.name, p.layer_id, p.group) for p in plan.parameters[:2]] == [
        ("0.weight", 7, 0), ("0.bias", 7, 0)
    ]  # fmt: skip
    assert plan.parameters[0].extras == {}


def test_several_optimizers(path):
    gen, dis = nn.Linear(2, 3), nn.Linear(4, 2)
    weights = {f"gen.{n}": t for n, t in gen.state_dict().items()}
    weights |= {f"dis.{n}": t for n, t in dis.state_dict().items()}
    optimizers = {
        "dis": torch.optim.SGD(dis.parameters(), lr=0.1, momentum=0.9),
        "gen": torch.optim.AdamW(gen.parameters(), lr=1e-3, weight_decay=0.05),
    }
    for part, sizes in (("gen", 2), ("dis", 4)):
        module = gen if part == "gen" else dis
        module(torch.ones(1, sizes)).sum().backward()
        optimizers[part].step()
    content = {
        "meta": {"epoch": 1, "iter": 1},
        "state_dict": weights,
        "optimizer": {name: one.state_dict() for name, one in optimizers.items()},
    }
    plan = plan_of_checkpoint(read(content, path))
    assert {(p.name, p.optimizer, p.lr, p.weight_decay, p.group) for p in plan.parameters} == {
        ("gen.weight", "gen", 1e-3, 0.05, 1), ("gen.bias", "gen", 1e-3, 0.05, 1),
        ("dis.weight", "dis", 0.1, 0, 0), ("dis.bias", "dis", 0.1, 0, 0),
    }  # fmt: skip


def test_what_the_config_and_meta_say(path):
    checkpoint = read(of_runner(), path)
    plan = plan_of_checkpoint(checkpoint)
    assert has_parameter_names(checkpoint)
    assert (plan.model.type, plan.model.backbone) == ("Net", "ResNet")
    assert (plan.optimizer.type, plan.optimizer.lr) == ("AdamW", 0.1)
    assert (plan.step, plan.versions) == (Step(2, 6), {"mmengine": "0.10.7"})
    schedule = plan.schedule
    assert (schedule.by, schedule.length, schedule.epoch_length) == ("epoch", 3, 3)
    assert schedule.schedulers == (
        {"type": "MultiStepLR", "milestones": [1, 2], "begin": 0, "end": 3, "by_epoch": True},
    )
    assert {b.name for b in plan.buffers} == {
        "1.running_mean", "1.running_var", "1.num_batches_tracked"
    }  # fmt: skip


def test_at_the_start_settings_are_the_initial_ones(path):
    content = of_runner()
    for group in content["optimizer"]["param_groups"]:
        group["initial_weight_decay"] = 0.5
    plan = plan_of_checkpoint(read(content, path), at_start=True)
    assert plan.step is None
    initial = [group["initial_lr"] for group in content["optimizer"]["param_groups"]]
    assert [(p.lr, p.weight_decay) for p in plan.parameters] == [(lr, 0.5) for lr in initial]


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"epoch": 0, "iter": 7}, Step(0, 7)),
        ({"epoch": 1}, None),
        ({"epoch": -1, "iter": 7}, None),
        ({"epoch": True, "iter": 7}, None),
        ({"epoch": "1", "iter": 7}, None),
    ],
)
def test_step(meta, expected, path):
    assert step_of(read({**of_runner(), "meta": meta}, path)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optim_wrapper = dict(optimizer=dict(type='SGD', lr=-1, **{}))", ""),
        ("optim_wrapper = dict({'optimizer': dict(type='SGD')})", "SGD"),
        ("optim_wrapper = dict(optimizer=dict(type=f()))", ""),
        ("x = (", ""),
        ("x = " + "-" * 100_000 + "1", ""),
        ("a" * 10, ""),
    ],
)
def test_only_plain_values_of_the_config_are_taken(text, expected, path):
    content = of_runner()
    content["meta"]["cfg"] = text
    assert plan_of_checkpoint(read(content, path)).optimizer.type == expected

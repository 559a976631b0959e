"""What happens over a training, in words."""

import pytest
from conftest import make_parameter, make_plan

from lldtool.output.schedule_words import length, logged_lr, schedule_facts, scheduler_words
from lldtool.plan import Schedule

WORDS = {
    "warm-up 5 epochs linear from 0.01 ×": {"type": "LinearLR", "start_factor": 0.01, "end": 5},
    "warm-up 500 iterations linear from 0.1 × to 0.5 ×": {
        "type": "LinearLR", "start_factor": 0.1, "end_factor": 0.5, "end": 500, "by_epoch": False,
    },
    "linear from 1 × to 0.01 × at epoch 40": {
        "type": "LinearLR", "start_factor": 1.0, "end_factor": 0.01, "end": 40,
    },
    "cosine to 1.00e-6 at epoch 100": {
        "type": "CosineAnnealingLR", "eta_min": 1e-6, "begin": 5, "end": 100, "T_max": 95,
    },
    "cosine to 0.02 × at epoch 50": {
        "type": "CosineAnnealingLR", "eta_min_ratio": 0.02, "end": 50, "T_max": None,
    },
    "cosine to 0 in 200 epochs, until epoch 100": {
        "type": "CosineAnnealingLR", "end": 100, "T_max": 200,
    },
    "× 0.1 at epochs 24, 33": {"type": "MultiStepLR", "milestones": [24, 33], "gamma": 0.1},
    "× 0.5 every 30 epochs": {"type": "StepLR", "step_size": 30, "gamma": 0.5},
    "× 0.99 every iteration": {"type": "ExponentialLR", "gamma": 0.99, "by_epoch": False},
    "polynomial (power 0.9) to 0 at iteration 160,000": {
        "type": "PolyLR", "power": 0.9, "eta_min": 0, "end": 160000, "by_epoch": False,
    },
    "0.3 × until epoch 2": {"type": "ConstantLR", "factor": 0.3, "end": 2},
    "one cycle up to 1.00e-1": {"type": "OneCycleLR", "eta_max": 0.1},
    "× 0.1 on a plateau of acc": {"type": "ReduceOnPlateauLR", "factor": 0.1, "monitor": "acc"},
    "momentum warm-up 4 epochs linear from 0.9 ×": {
        "type": "LinearMomentum", "param_name": "momentum", "start_factor": 0.9, "end": 4,
    },
    "weight_decay cosine to 0.2 at the end": {
        "type": "CosineAnnealingParamScheduler", "param_name": "weight_decay", "eta_min": 0.2,
    },
    "gen: MineLR from epoch 3": {"type": "MineLR", "begin": 3, "optimizer": "gen"},
}  # fmt: skip


@pytest.mark.parametrize("words", WORDS)
def test_a_scheduler_in_words(words):
    assert scheduler_words(WORDS[words]) == words


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (Schedule("epoch", 1), ["1 epoch", "epoch length not known"]),
        (Schedule("epoch", 90, 5005, epoch_length_from="ImageNet-1k, assumed"),
         ["90 epochs of 5,005 iterations (ImageNet-1k, assumed)"]),
        (Schedule("iteration", 160_000), ["160,000 iterations"]),
        (Schedule("epoch", 9, unknown=("why",)), ["9 epochs", "not known: why"]),
    ],
)  # fmt: skip
def test_the_length_of_a_training_in_words(schedule, words):
    assert length(schedule) == words


def test_the_facts_name_what_acts_on_the_steps():
    schedule = Schedule(
        "epoch", 10, batch_size=32, world_size=8, accumulative_counts=4,
        ema={"type": "EMAHook", "momentum": 1e-4}, error="training would crash",
    )  # fmt: skip
    facts = dict(schedule_facts(make_plan(schedule=schedule)))
    training = str(facts["training"])
    assert "batch 32 × 8 GPUs × 4 = 1,024" in training
    assert "an optimizer step every 4 iterations" in training
    assert "EMAHook momentum 0.0001" in training
    assert str(facts["error"]) == "training would crash"
    assert schedule_facts(make_plan()) == []


def test_the_lr_in_the_log_is_that_of_the_first_group():
    lrs = [make_parameter(f"layers.{i}.weight", layer_id=i, lr=0.1**i, group=i) for i in (1, 0)]
    assert logged_lr(make_plan(*lrs)) == "lr is that of layer 0"
    assert logged_lr(make_plan(lrs[0])) is None

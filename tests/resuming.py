"""Checkpoints that a real Runner saves, and the settings that a real Runner resumes with."""

import contextlib
from dataclasses import replace
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from runners import runner_of

from lldtool.config.request import Length, Request
from lldtool.dryrun import resume

#: Iterations of an epoch.
LENGTH = 3
#: Two epochs of warm-up and a cosine, in a training of six.
COSINE = """
train_cfg = dict(by_epoch=True, max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=2)]
"""


class Stop(Hook):
    """Ends a training after an epoch or an iteration, as if it was killed."""

    priority = "LOWEST"

    def __init__(self, *, epoch=None, iteration=None):
        self._epoch, self._iteration = epoch, iteration

    def after_train_epoch(self, runner):
        if runner.epoch + 1 == self._epoch:
            raise StoppedError

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self._iteration:
            raise StoppedError


class StoppedError(Exception):
    """A training was stopped."""


class Seen(Hook):
    """Keeps the settings of every parameter in every step, by its iteration."""

    priority = "VERY_LOW"

    def __init__(self):
        self.steps = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        names = {id(p): name for name, p in runner.model.named_parameters()}
        wrapper = runner.optim_wrapper
        wrappers = wrapper.values() if hasattr(wrapper, "values") else [wrapper]
        groups = [group for one in wrappers for group in one.optimizer.param_groups]
        assert runner.iter not in self.steps
        self.steps[runner.iter] = {
            names[id(p)]: {key: value for key, value in group.items() if key != "params"}
            for group in groups
            for p in group["params"]
        }


def written(folder, name, text):
    """Write a config; return its path."""
    path = folder / name
    path.write_text(text)
    return path


def save(path, folder, *, epochs=3, iterations=None, epoch_length=LENGTH, **changes):
    """Train a config's model for some epochs or iterations, and save a checkpoint then.

    The file.
    """
    by_epoch = iterations is None
    checkpoint = {"type": "CheckpointHook", "interval": epochs if by_epoch else iterations}
    hooks = {
        "checkpoint": {**checkpoint, "by_epoch": by_epoch},
        "logger": None,
        "sampler_seed": None,
    }
    stop = Stop(epoch=epochs) if by_epoch else Stop(iteration=iterations)
    hooks_of_user = [*changes.pop("custom_hooks", []), stop]
    config = Config.fromfile(path)
    work = folder / "saved"
    runner = runner_of(
        Config.fromfile(path), work, epoch_length=epoch_length, default_hooks=hooks,
        custom_hooks=hooks_of_user, cfg=config, **changes,
    )  # fmt: skip
    with contextlib.suppress(StoppedError):
        runner.train()
    name = f"epoch_{epochs}.pth" if by_epoch else f"iter_{iterations}.pth"
    return work / name


def train_resumed(path, checkpoint, folder, *, epoch_length=LENGTH, **changes):
    """Resume a config's training from a checkpoint; return the settings in each step."""
    seen = Seen()
    hooks = [*changes.pop("custom_hooks", []), seen]
    runner = runner_of(
        Config.fromfile(path), folder / "resumed", epoch_length=epoch_length, custom_hooks=hooks,
        load_from=str(checkpoint), resume=True, cfg=Config.fromfile(path), **changes,
    )  # fmt: skip
    runner.train()
    return seen.steps


def changed(checkpoint, change):
    """Change a checkpoint, and save it beside it; return the new file."""
    content = torch.load(checkpoint, weights_only=False)
    change(content)
    path = checkpoint.with_name(f"changed_{len([*checkpoint.parent.iterdir()])}.pth")
    torch.save(content, path)
    return path


def announced(path, checkpoint, *, epoch_length=LENGTH, **changes):
    """What lldtool says of the resumed training."""
    request = Request(Path(path), str(path), resume=str(checkpoint), length=Length(epoch_length))
    return resume(replace(request, **changes))


def assert_announced(found, steps):
    """What was announced is what the training has in every step, bit for bit."""
    plan = found.plan
    assert steps
    first, last = min(steps), max(steps)
    assert sorted(steps) == list(range(first, last + 1))
    assert plan.step.iteration == first
    for p in plan.parameters:
        group = steps[first][p.name]
        assert (p.lr, p.weight_decay) == (group["lr"], group.get("weight_decay"))
    trained = {p.name for p in plan.trained}
    mine = {name: curve.lrs for curve in found.curves.curves for name in curve.parameters}
    assert set(mine) == trained
    assert found.curves.steps == len(steps)
    for step, settings in steps.items():
        expected = {name: own["lr"] for name, own in settings.items() if name in trained}
        assert {name: lrs[step - first] for name, lrs in mine.items()} == expected
    for p in plan.trained:
        for curve in plan.schedule.curves:
            if p.group in curve.groups:
                assert (curve.at[0], curve.at[-1]) == (first, last)
                for at, value in zip(curve.at, curve.value, strict=True):
                    own = steps[at][p.name][curve.setting]
                    assert abs(value * curve.factor(p.group) - own) <= 1e-9 * abs(own)

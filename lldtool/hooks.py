"""Hooks for the training itself: the lr of each layer in the log, and a guard of a reviewed plan.

In a config:

    custom_imports = dict(imports=['lldtool.hooks'])
    custom_hooks = [
        dict(type='LayerLrHook'),
        dict(type='PlanGuardHook', plan='plans/x.json'),
    ]
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from lldtool.diff import PlanDiff, diff_plans
from lldtool.dryrun.running import lrs_of_layers, plan_of_runner, replaced_lrs
from lldtool.errors import LldtoolError
from lldtool.plan import Plan, load_plan
from lldtool.render.diff import diff_text
from lldtool.render.words import summary
from lldtool.text import plural, setting

#: Columns of the diff in the log.
_WIDTH = 100


@HOOKS.register_module()
class LayerLrHook(Hook):  # type: ignore[misc]  # mmengine has no types
    """Logs the lr of each layer beside that of the first param group, the only one logged else.

    They are scalars of the runner's message hub, `stem_lr`, `middle_lr`, `last_block_lr` and
    `head_lr`, so that they stand in the log line and come to TensorBoard, wandb and whatever else
    the visualizer writes to. Where the constructor knows no layers they are called by modules.

    Args:
        layers: `few` for these four, `all` for `layer_00_lr`, `layer_01_lr`, …
    """

    priority = "NORMAL"

    def __init__(self, layers: str = "few") -> None:
        if layers not in ("few", "all"):
            raise ValueError(f"layers is {layers!r}, and neither 'few' nor 'all'")
        self._layers = layers
        self._groups: dict[str, int] = {}

    def before_train(self, runner: Any) -> None:
        """Find a param group for each layer."""
        plan = plan_of_runner(runner)
        groups = dict(lrs_of_layers(plan))
        if self._layers == "few" and plan.has_layers:
            groups = _few(list(groups.values()))
        self._groups = groups

    def before_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
    ) -> None:
        """Note the lrs that the step will be taken with."""
        lrs = _lrs(runner.optim_wrapper)
        for name, group in self._groups.items():
            runner.message_hub.update_scalar(f"train/{name}_lr", lrs[group])


def _few(groups: list[int]) -> dict[str, int]:
    """The stem, the middle, the last block and the head, of a param group for each layer."""
    last = len(groups) - 1
    places = {"stem": 0, "middle": last // 2, "last_block": max(0, last - 1), "head": last}
    return {name: groups[place] for name, place in places.items()}


def _lrs(wrapper: Any) -> list[float]:
    """The lr of each param group, those of several optimizers one after the other."""
    several = wrapper.values() if hasattr(wrapper, "values") else [wrapper]
    return [float(g.get("lr", math.nan)) for one in several for g in one.optimizer.param_groups]


@HOOKS.register_module()
class PlanGuardHook(Hook):  # type: ignore[misc]  # mmengine has no types
    """Compares the optimizer with a reviewed plan before the first step.

    `lldtool inspect config.py --format json -o plans/x.json` saves one. Compared are lr, weight
    decay and layer of every parameter, which of them are trained, and the optimizer with its other
    options; lr as it was before the schedulers.

    Args:
        plan: the file of the saved plan.
        action: what to do where they differ: `stop` the training, or `warn`.

    Raises:
        LldtoolError: there is no such plan; and, with `stop`, before the first step, that they
            differ, or that they can't be compared.
    """

    priority = "LOWEST"  # what other hooks change before the training is seen

    def __init__(self, plan: str | Path, action: str = "stop") -> None:
        if action not in ("stop", "warn"):
            raise ValueError(f"action is {action!r}, and neither 'stop' nor 'warn'")
        self._file = str(plan)
        self._plan = load_plan(plan)
        self._action = action

    def before_train(self, runner: Any) -> None:
        """Compare, on every rank, so that all of them stop; one of them says what differs."""
        try:
            diff = self._compared(runner)
        except LldtoolError as error:
            self._act(runner, f"can't be compared with the training: {error.message}", "")
            return
        if diff.identical:
            number = plural(diff.compared, "parameter")
            runner.logger.info(f"{self._file}: the optimizer is that of the plan, {number}")
            return
        reason = _scaling(self._plan, diff)
        text = diff_text(diff, width=_WIDTH, color=False)
        said = f"the optimizer is not that of the plan: {' · '.join(summary(diff))}"
        self._act(runner, f"{said}{reason}", text)

    def _compared(self, runner: Any) -> PlanDiff:
        running = plan_of_runner(runner)
        ignored = ["lr_scale", "extras"]
        if replaced_lrs(runner):
            runner.logger.warning(
                f"{self._file}: lr is not compared, a scheduler gave every param group its own"
            )
            ignored.append("lr")
        return diff_plans(_comparable(self._plan, running), running, ignore=ignored)

    def _act(self, runner: Any, message: str, text: str) -> None:
        say = runner.logger.error if self._action == "stop" else runner.logger.warning
        say(f"{self._file}: {message}\n{text}")
        if self._action == "stop":
            raise LldtoolError(message, config=self._file)


def _comparable(plan: Plan, running: Plan) -> Plan:
    """The saved plan, with what a training can't tell as if it were the same there."""
    wrapper = replace(running.optim_wrapper, type=plan.optim_wrapper.type)
    return replace(plan, constructor=running.constructor, optim_wrapper=wrapper)


def _scaling(plan: Plan, diff: PlanDiff) -> str:
    """What explains the difference, where `auto_scale_lr` and the number of GPUs do."""
    factor = diff.b.auto_scale_lr / plan.auto_scale_lr
    lrs: Mapping[str, tuple[float | None, float | None]] = {
        change.a.name: (change.a.lr, change.b.lr) for change in diff.with_changed("lr")
    }
    explained = factor != 1 and all(
        a is not None and b is not None and math.isclose(b, a * factor) for a, b in lrs.values()
    )
    if not lrs or not explained:
        return ""
    return (
        f". auto_scale_lr explains it: every lr is × {setting(factor)}, as training multiplies by "
        f"{setting(diff.b.auto_scale_lr)} and the plan was made for "
        f"{setting(plan.auto_scale_lr)} (lldtool inspect --auto-scale-lr --world-size N)"
    )

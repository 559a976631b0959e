"""Hooks for the training itself: the lr of each layer in the log, and a check of a saved plan.

In a config:

    custom_imports = dict(imports=['lldtool.hooks'])
    custom_hooks = [
        dict(type='LayerLrHook'),
        dict(type='PlanGuardHook', plan='plans/x.json'),
    ]
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS, OPTIMIZERS

from lldtool.analysis.diff import PlanDiff, diff_plans
from lldtool.dryrun.runner_plan import plan_of_runner, replaced_lrs
from lldtool.dryrun.runner_schedule import lr_differences, schedule_differences
from lldtool.errors import LldtoolError
from lldtool.output.diff_document import diff_document
from lldtool.output.diff_words import summary
from lldtool.output.formats import written
from lldtool.plan import LayerId, Plan, load_plan
from lldtool.text import plural, printable, setting

#: Columns of the diff in the log.
_WIDTH = 100
#: Scalars that mmengine's LogProcessor logs the mean of, or that it logs by itself.
_OTHER_SCALARS = re.compile(r"loss|time|grad_norm|^base$")


@HOOKS.register_module()
class LayerLrHook(Hook):  # type: ignore[misc]  # mmengine has no types
    """Logs the lr of each layer; mmengine logs that of the first param group, and `base_lr`.

    They are scalars of the runner's message hub, which go to the log line and to TensorBoard, wandb
    and whatever else the visualizer writes to: `stem_lr`, of layer 0, `middle_lr`, `last_block_lr`
    and `head_lr`, of the last layer. Where the constructor knows no layers there is one for each
    module of the model, `backbone_lr`. A layer or module with several lrs has one for each:
    `backbone_part2_lr`.

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
        self._groups = _groups(plan_of_runner(runner), few=self._layers == "few")

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Log the lrs of the step that follows."""
        wrapper = runner.optim_wrapper
        wrappers = wrapper.values() if hasattr(wrapper, "values") else [wrapper]
        groups = [group for one in wrappers for group in one.optimizer.param_groups]
        for name, i in self._groups.items():
            lr = float(groups[i].get("lr", math.nan))
            runner.message_hub.update_scalar(f"train/{name}_lr", lr)


def _groups(plan: Plan, *, few: bool) -> dict[str, int]:
    """Return the name of each lr to log -> the index of a param group that has it, stem first."""
    layers: dict[LayerId | None, str] = {
        layer_id: _layer_scalar(layer_id, i) for i, layer_id in enumerate(plan.layer_ids)
    }
    modules: dict[str, str] = {}
    if few and layers:
        layers = _few(layers)
    else:
        found = dict.fromkeys(p.top_level_module for p in plan.parameters)
        for i, module in enumerate(found):
            modules[module] = f"module_{i}" if _OTHER_SCALARS.search(module) else module
    groups: dict[str, list[int]] = defaultdict(list)
    for first in (layer.trained[0] for layer in plan.layers if layer.trained):
        is_layer = first.layer_id is not None
        name = layers.get(first.layer_id) if is_layer else modules.get(first.top_level_module)
        if name is not None:
            groups[name].append(first.group)
    return {
        f"{name}_part{i + 1}" if i else name: group
        for name, parts in groups.items()
        for i, group in enumerate(parts)
    }


def _layer_scalar(layer_id: LayerId, i: int) -> str:
    """Return the name of a layer, the `i`th, in a log."""
    if isinstance(layer_id, int):
        return f"layer_{layer_id:02}"
    return f"layer_{i}" if _OTHER_SCALARS.search(str(layer_id)) else f"layer_{layer_id}"


def _few(layers: Mapping[LayerId | None, str]) -> dict[LayerId | None, str]:
    """Return the names of the first, the middle and the last two layers."""
    first, *rest = layers
    names = {first: "stem" if first == 0 else layers[first]}
    if len(rest) > 2:
        names[rest[len(rest) // 2 - 1]] = "middle"
    if len(rest) > 1:
        names[rest[-2]] = "last_block"
    return names | {[first, *rest][-1]: "head"}


@HOOKS.register_module()
class PlanGuardHook(Hook):  # type: ignore[misc]  # mmengine has no types
    """Compares the optimizer and the schedule with a saved plan.

    `lldtool inspect config.py --format json -o plans/x.json` saves one. Before the first step the
    hook compares lr, weight decay and layer of every parameter, which of them are trained, the
    optimizer with its other options, the lr as it was before the schedulers; and the length of the
    training with its schedulers. At the start of each epoch it compares the lr of every param group
    with the plan's curve; in a training without epochs at each step that the plan has. All that is
    after a training was resumed: a checkpoint brings its own settings. The plan to expect then is
    the `plan` of `lldtool resume config.py CHECKPOINT --format json`.

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
        self._groups: dict[int, int] = {}

    def before_train(self, runner: Any) -> None:
        """Compare on every rank, so that all of them stop; one of them logs what differs."""
        try:
            diff = self._diff(runner)
        except LldtoolError as error:
            self._report(runner, f"can't be compared with the training: {error.message}", "")
            return
        scheduled = self._schedule_differences(runner)
        if diff.identical and not scheduled:
            number = plural(diff.compared, "parameter")
            also = ", and so is the schedule" if self._plan.schedule else ""
            runner.logger.info(f"{self._file}: the optimizer is that of the plan, {number}{also}")
            self._groups = _groups_of_plan(self._plan, diff.b)
            return
        if not diff.identical:
            differences = printable(" · ".join(summary(diff)))
            message = f"the optimizer is not that of the plan: {differences}{_scaling(diff)}"
            self._report(runner, message, written(diff_document(diff), "table", width=_WIDTH))
        if scheduled:
            differences = printable(" · ".join(scheduled))
            self._report(runner, f"the schedule is not that of the plan: {differences}", "")

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Compare the lrs with the plan's, once in an epoch."""
        schedule = self._plan.schedule
        if schedule is None or not self._groups:
            return
        if schedule.by == "epoch" and batch_idx:
            return
        if schedule.by == "iteration" and all(runner.iter not in c.at for c in schedule.curves):
            return
        found = list(lr_differences(runner, self._plan, self._groups))
        if found:
            more = f" and {len(found) - 1} other param groups" if len(found) > 1 else ""
            self._groups = {}  # said once
            unit = "epoch" if schedule.by == "epoch" else "iteration"
            at = f"{unit} {getattr(runner, 'epoch' if unit == 'epoch' else 'iter'):,}"
            message = f"the lr is not that of the plan in {at}: {printable(found[0])}{more}"
            self._report(runner, message, "")

    def _schedule_differences(self, runner: Any) -> list[str]:
        if self._plan.schedule is None:
            return []
        return list(schedule_differences(runner, self._plan.schedule))

    def _diff(self, runner: Any) -> PlanDiff:
        plan = self._plan
        running = plan_of_runner(runner, is_resumed=plan.step is not None)
        ignored = ["lr_scale", "extras"]
        if replaced_lrs(runner):
            runner.logger.warning(
                f"{self._file}: lr is not compared, a scheduler gave every param group its own"
            )
            ignored.append("lr")
        # A training does not tell all that a plan does; the rest counts as the same. A constructor
        # of the user's own may choose the optimizers itself; the config names none then.
        optimizers = _class_names(plan.optimizer.type or running.optimizer.type)
        saved = replace(
            _with_lr_zero_trained(plan),
            constructor=running.constructor,
            optim_wrapper=replace(running.optim_wrapper, type=plan.optim_wrapper.type),
            optimizer=replace(plan.optimizer, type=optimizers),
        )
        return diff_plans(saved, _with_lr_zero_trained(running), ignore=[*ignored, "schedule"])

    def _report(self, runner: Any, message: str, text: str) -> None:
        # A warning, as mmengine logs errors on every rank.
        runner.logger.warning(f"{self._file}: {message}\n{text}")
        if self._action == "stop":
            raise LldtoolError(message, config=self._file)


def _groups_of_plan(plan: Plan, running: Plan) -> dict[int, int]:
    """Return param group of the plan -> that of the training, of which a parameter is trained."""
    groups = {(p.name, p.optimizer): p.group for p in running.trained}
    return {
        p.group: groups[p.name, p.optimizer]
        for p in plan.trained
        if (p.name, p.optimizer) in groups
    }


def _with_lr_zero_trained(plan: Plan) -> Plan:
    """Return the plan with lr 0 as a setting like any other, as schedulers are not compared."""
    parameters = (
        replace(p, state="trained") if p.state == "zero_lr" else p for p in plan.parameters
    )
    return replace(plan, parameters=tuple(parameters))


def _class_names(optimizers: str) -> str:
    """Replace names of the registry by those of the classes: `gen: SGD, disc: Alias`."""
    parts = [part.rpartition(": ") for part in optimizers.split(", ")]
    kinds = [(name + colon, kind, OPTIMIZERS.get(kind)) for name, colon, kind in parts]
    return ", ".join(name + (kind if cls is None else cls.__name__) for name, kind, cls in kinds)


def _scaling(diff: PlanDiff) -> str:
    """Return the explanation of the difference by `auto_scale_lr` and the number of GPUs, if so."""
    saved, running = diff.a.auto_scale_lr, diff.b.auto_scale_lr
    factor = running / saved
    lrs = [(change.a.lr, change.b.lr) for change in diff.with_changed("lr")]
    if not lrs or factor == 1:
        return ""
    if not all(a is not None and b is not None and math.isclose(b, a * factor) for a, b in lrs):
        return ""
    return (
        f". auto_scale_lr explains it: every lr is × {setting(factor)}, as training multiplies by "
        f"{setting(running)} and the plan was made for {setting(saved)} "
        f"(lldtool inspect --auto-scale-lr --world-size N)"
    )

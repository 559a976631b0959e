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
from lldtool.errors import LldtoolError
from lldtool.output.diff_document import diff_document
from lldtool.output.diff_words import summary
from lldtool.output.formats import written
from lldtool.plan import LayerId, Plan, load_plan
from lldtool.text import plural, setting

#: Columns of the diff in the log.
_WIDTH = 100
#: Scalars that mmengine's LogProcessor logs the mean of, or that it logs by itself.
_OTHER_SCALARS = re.compile(r"loss|time|grad_norm|^base$")


@HOOKS.register_module()
class LayerLrHook(Hook):  # type: ignore[misc]  # mmengine has no types
    """Logs the lr of each layer; mmengine logs that of the first param group, and `base_lr`.

    They are scalars of the runner's message hub, so that they stand in the log line and come to
    TensorBoard, wandb and whatever else the visualizer writes to: `stem_lr`, of layer 0,
    `middle_lr`, `last_block_lr` and `head_lr`, of the last layer. Where the constructor knows no
    layers it is one for each module of the model, `backbone_lr`. A layer with several lrs, or a
    module, has one for each: `backbone_part2_lr`.

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


def _groups(plan: Plan, *, few: bool) -> dict[str, int]:
    """What to log the lr of -> the index of a param group that has it, stem first."""
    layers = {layer_id: _scalar(layer_id, i) for i, layer_id in enumerate(plan.layer_ids)}
    modules: dict[str, str] = {}
    if few and layers:
        layers = _few(layers)
    else:
        found = dict.fromkeys(p.top_level_module for p in plan.parameters)
        for i, module in enumerate(found):
            modules[module] = f"module_{i}" if _OTHER_SCALARS.search(module) else module
    groups: dict[str, list[int]] = defaultdict(list)
    for layer in plan.layers:
        if not layer.trained:
            continue
        first = layer.trained[0]
        layer_id, module = layer.layer_id, first.top_level_module
        name = modules.get(module) if layer_id is None else layers.get(layer_id)
        if name is not None:
            groups[name].append(first.group)
    return {
        f"{name}_part{i + 1}" if i else name: group
        for name, parts in groups.items()
        for i, group in enumerate(parts)
    }


def _scalar(layer_id: LayerId, i: int) -> str:
    """The name of a layer, the `i`th, in a log."""
    if isinstance(layer_id, int):
        return f"layer_{layer_id:02}"
    return f"layer_{i}" if _OTHER_SCALARS.search(str(layer_id)) else f"layer_{layer_id}"


def _few(layers: Mapping[LayerId, str]) -> dict[LayerId, str]:
    """The names of the layers that tell most, of those that are trained."""
    first, *rest = layers
    names = {first: "stem" if first == 0 else layers[first]}
    if len(rest) > 2:
        names[rest[len(rest) // 2 - 1]] = "middle"
    if len(rest) > 1:
        names[rest[-2]] = "last_block"
    return names | {[first, *rest][-1]: "head"}


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
        text = written(diff_document(diff), "table", width=_WIDTH)
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
        saved = _comparable(self._plan, running)
        return diff_plans(saved, _with_lr_zero_trained(running), ignore=ignored)

    def _act(self, runner: Any, message: str, text: str) -> None:
        # A warning, as mmengine logs what is more than that on every rank.
        runner.logger.warning(f"{self._file}: {message}\n{text}")
        if self._action == "stop":
            raise LldtoolError(message, config=self._file)


def _comparable(plan: Plan, running: Plan) -> Plan:
    """The saved plan, with what a training can't tell as if it were the same there."""
    wrapper = replace(running.optim_wrapper, type=plan.optim_wrapper.type)
    # A constructor of the user's own may choose the optimizers itself; the config names none then.
    kinds = _class_names(plan.optimizer.type or running.optimizer.type)
    optimizer = replace(plan.optimizer, type=kinds)
    return replace(
        _with_lr_zero_trained(plan),
        constructor=running.constructor,
        optim_wrapper=wrapper,
        optimizer=optimizer,
    )


def _with_lr_zero_trained(plan: Plan) -> Plan:
    """The plan with lr 0 as a setting like any other, as schedulers are not compared."""
    parameters = (
        replace(p, state="trained") if p.state == "zero_lr" else p for p in plan.parameters
    )
    return replace(plan, parameters=tuple(parameters))


def _class_names(optimizers: str) -> str:
    """The optimizers' names in a plan, those of the registry replaced by those of the classes."""
    parts = [part.rpartition(": ") for part in optimizers.split(", ")]
    kinds = [(name + colon, kind, OPTIMIZERS.get(kind)) for name, colon, kind in parts]
    return ", ".join(name + (kind if cls is None else cls.__name__) for name, kind, cls in kinds)


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

"""LLD504 lr-jumps."""

from __future__ import annotations

from collections.abc import Iterator

from lldtool.lint.rules._lr_curves import main_lr_curves
from lldtool.lint.rules._timelines import Span, Timeline, timelines
from lldtool.lint.rules.base import Diagnostic, Rule, Subject
from lldtool.lint.rules.examples import SGD, Example
from lldtool.plan import Curve
from lldtool.text import lr

#: How many times the lr may become more or less where a scheduler begins.
_MOST = 2.0
#: A jump below this part of the highest lr does little.
_LEAST = 0.05
#: Schedulers that go on from the lr that they find, and those that are to change it in steps.
_SMOOTH = (
    "CosineAnnealing", "Poly", "Exponential", "Step", "MultiStep", "Constant", "ReduceOnPlateau",
)  # fmt: skip
_WARM_UP = {"type": "LinearLR", "start_factor": 0.1, "begin": 0, "end": 4}
_COSINE = {"type": "CosineAnnealingLR", "T_max": 36, "begin": 4, "end": 40}


class LrJumps(Rule):
    """The lr jumps where a scheduler begins.

    A `LinearLR` multiplies the lr that it finds by its `start_factor`, also in the middle of the
    training: a warm-up that begins at epoch 5, with a cosine from epoch 0, lets the lr drop to a
    tenth there. `OneCycleLR` and `CosineRestartLR` set an lr of their own, whatever others did
    before.

    What a scheduler is for is not reported: the milestones of `MultiStepLR`, the restarts of
    `CosineRestartLR`, the factor of a `ConstantLR`, as where mmpose's RTMO raises the lr once by
    `factor=2.5`. Nor is an lr that stays the same between the warm-up and the scheduler that
    follows.

    Let each scheduler begin with the lr with which the one before it ends.
    """

    passes = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 40},
                "param_scheduler": [_WARM_UP, _COSINE],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 40},
                "param_scheduler": [
                    _WARM_UP,
                    {
                        "type": "CosineRestartLR",
                        "periods": [18, 18],
                        "restart_weights": [1, 1],
                        "begin": 4,
                        "eta_min": 0,
                    },
                ],
            },
        ),
    )
    finds = (
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 40},
                "param_scheduler": [
                    {**_COSINE, "begin": 0, "T_max": 40},
                    {**_WARM_UP, "begin": 5, "end": 9},
                ],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 40},
                "param_scheduler": [
                    {**_COSINE, "begin": 0, "T_max": 20, "end": 20},
                    {"type": "CosineRestartLR", "periods": [20], "begin": 20, "eta_min": 0},
                ],
            },
        ),
        Example(
            SGD,
            config={
                "train_cfg": {"by_epoch": True, "max_epochs": 40},
                "param_scheduler": [
                    _WARM_UP,
                    {
                        "type": "CosineRestartLR",
                        "periods": [40],
                        "restart_weights": [1],
                        "begin": 0,
                        "eta_min": 0,
                    },
                ],
            },
        ),
    )

    def check(self, subject: Subject) -> Iterator[Diagnostic]:
        """Yield a finding for each scheduler that begins with another lr than it finds."""
        curves = main_lr_curves(subject.plan)
        for training in timelines(subject.plan):
            for span in training.of_lr:
                _, curve = curves.get(span.optimizer, (0.0, None))
                if curve is None or span.begin >= span.stop or span.type.startswith(_SMOOTH):
                    continue
                warm_up = _raising(training, span)
                if span.begin > 0:
                    yield from self._jump(training, span, curve)
                elif warm_up is not None:
                    yield self.diagnostic(
                        f"{span.type} begins with the base lr, and {warm_up.type}, which warms up "
                        f"at the same time, raises it to {lr(max(curve.value))}",
                        span.entry("begin"),
                        see=warm_up.path,
                    )

    def _jump(self, training: Timeline, span: Span, curve: Curve) -> Iterator[Diagnostic]:
        before, after = _around(training, span, curve)
        low, high = sorted((before, after))
        if high > _LEAST * max(curve.value) and high > _MOST * max(low, 0.0):
            verb = "falls" if after < before else "rises"
            yield self.diagnostic(
                f"the lr {verb} from {lr(before)} to {lr(after)} at once where {span.type} begins, "
                f"at {training.at(span.begin)}",
                span.entry("begin"),
            )


def _raising(training: Timeline, span: Span) -> Span | None:
    """Return a warm-up that raises what a `CosineRestartLR` sets at the training's start.

    That is one that comes before it in the config, and so is built before.
    """
    own = training.of_lr
    before = own[: own.index(span)] if span.type.startswith("CosineRestart") else []
    raised = (s for s in before if s.begin == 0 and s.number("start_factor", 1.0) * _MOST < 1)
    return next(raised, None)


def _around(training: Timeline, span: Span, curve: Curve) -> tuple[float, float]:
    """Return the lr that a scheduler finds when it begins, and the one that it makes of it."""
    schedule = training.schedule
    begin = round(span.begin * (schedule.length_of(schedule.by, curve.unit) or 1))
    after, before = curve.value_at(begin), curve.value_at(begin - 1)
    if not schedule.exact and _is_moved_within_epoch(training, span):
        # Where the curve is one of epochs: a line through the two before.
        before = 2 * before - curve.value_at(begin - 2) if begin > 1 else after
    return before, after


def _is_moved_within_epoch(training: Timeline, span: Span) -> bool:
    """Whether another scheduler changes the lr in each iteration until this one begins."""
    return any(
        other is not span and not other.by_epoch and other.begin < span.begin <= other.end
        for other in training.of_lr
    )

"""Several schedules -> one picture."""

from __future__ import annotations

from collections.abc import Sequence

from lldtool.analysis.lr_curves import LrCurves
from lldtool.output.comparison import letters
from lldtool.output.figures import (
    DARK,
    LIGHT,
    LONGEST_NAME,
    drawable,
    figure_of,
    fitted,
    legend_outside,
    lr_axis,
    saved,
)
from lldtool.output.plots import telling

_LINES = ("-", "--", "-.", ":")


def schedules_picture(schedules: Sequence[LrCurves], form: str, *, dark: bool = False) -> bytes:
    """Return a plot of the lrs of all layers of several configs, with a colour for each config."""
    theme = DARK if dark else LIGHT
    in_epochs = all(schedule.steps_per_epoch is not None for schedule in schedules)
    with figure_of(theme) as figure:
        axes = figure.subplots()
        curves = [curve for schedule in schedules for curve in schedule.curves]
        lr_axis(axes, [*(c.lrs[-1] for c in curves), *(c.highest for c in curves)])
        for number, (title, schedule) in enumerate(
            zip(letters(len(schedules)), schedules, strict=True)
        ):
            per_epoch = (schedule.steps_per_epoch or 1) if in_epochs else 1
            label = fitted(f"{title}  {schedule.plan.config}", LONGEST_NAME)
            for row in schedule.rows:
                points = telling(row[0].lrs)
                axes.plot(
                    [step / per_epoch for step, _ in points],
                    [drawable(value) for _, value in points],
                    color=theme.variants[number % len(theme.variants)],
                    linestyle=_LINES[number % len(_LINES)],
                    linewidth=1.2,
                    label=label,
                )
                label = "_"  # hides further lines of a config from the legend
        axes.set_xlabel("epoch" if in_epochs else "iteration")
        axes.set_xlim(left=0)
        legend_outside(figure, axes, [])
        return saved(figure, form)

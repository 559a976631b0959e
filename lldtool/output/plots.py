"""Plan, LrCurves, Comparison -> a picture: `png`, `svg` or `pdf`, for a paper, a slide, a report.

Drawn by matplotlib without a display.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lldtool.analysis.lr_curves import LrCurves, SchedulerSpan
from lldtool.output.axis import axis_of, points_of, weight_decay_differs
from lldtool.output.comparison import Comparison
from lldtool.output.contents import layer_contents
from lldtool.output.figures import (
    DARK,
    LIGHT,
    LONGEST_LABEL,
    LONGEST_NAME,
    LONGEST_TITLE,
    Theme,
    depth_colors,
    drawable,
    figure_of,
    fitted,
    legend_above,
    legend_outside,
    lr_axis,
    panels,
    saved,
)
from lldtool.output.schedule_document import row_name, which_layers
from lldtool.plan import Layer, Plan
from lldtool.text import layer_name, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A curve is drawn with the lowest and the highest lr of so many parts of the training.
_PARTS = 400
#: More curves than this are told by a colour bar, not by a legend.
_MOST_IN_LEGEND = 9
_MARKERS, _LINES = "osD^vPX", ("-", "--", "-.", ":")


def plan_picture(plan: Plan, form: str, *, dark: bool = False) -> bytes:
    """lr per layer, and how many tensors of each are decayed and how many not.

    What is not trained is grey. Each of several optimizers has a marker of its own. Where a
    checkpoint is loaded, layers of which it does not fill all tensors are ringed.
    """
    theme = DARK if dark else LIGHT
    layers = plan.layers_and_frozen
    contents = [", ".join(names) for names in layer_contents(plan, plan)]
    ids = [layer_name(layer.layer_id) for layer in layers] if plan.has_layers else contents
    with figure_of(theme, plan.config) as figure:
        above, below = panels(figure, dict(enumerate(ids)), _layers_title(plan))
        own = [layer.lr if layer.trained else None for layer in layers]
        lr_axis(above, own)
        places = range(len(layers))
        lrs = [drawable(lr) for lr in own]
        _shade_untrained(above, layers, theme)
        if plan.has_layers:
            above.plot(places, lrs, color=theme.faint, zorder=1)
        colors = depth_colors(len(layers), theme)
        for number, name in enumerate(dict.fromkeys(x.optimizer for x in layers)):
            own_places = [place for place in places if layers[place].optimizer == name]
            above.scatter(
                own_places, [lrs[place] for place in own_places],
                c=[colors[place] for place in own_places], zorder=2,
                marker=_MARKERS[number % len(_MARKERS)], label=fitted(name or "", LONGEST_LABEL),
            )  # fmt: skip
        scratch = [place for place in places if _starts_from_scratch(plan, layers[place])]
        if scratch:
            above.scatter(
                scratch, [lrs[place] for place in scratch], s=100, facecolors="none",
                edgecolors=theme.alarm, linewidths=1.5, zorder=3, label="not all pretrained",
            )  # fmt: skip
        if plan.optimizers or scratch:
            legend_above(above)
        decayed = [sum(bool(p.weight_decay) for p in layer.trained) for layer in layers]
        others = [layer.num_trained - n for layer, n in zip(layers, decayed, strict=True)]
        untrained = [len(layer.everything) - layer.num_trained for layer in layers]
        bars = {"decayed": (decayed, theme.decayed), "not decayed": (others, theme.undecayed)}
        bars |= {"not trained": (untrained, theme.faint)} if any(untrained) else {}
        bottoms = [0] * len(layers)
        for name, (counts, color) in bars.items():
            below.bar(places, counts, bottom=bottoms, color=color, label=name)
            bottoms = [x + n for x, n in zip(bottoms, counts, strict=True)]
        below.set_ylabel("tensors")
        legend_above(below)
        return saved(figure, form)


def _starts_from_scratch(plan: Plan, layer: Layer) -> bool:
    """Whether some tensor of a layer starts from its initialisation, and others do not."""
    return bool(plan.loaded) and any(p.start in ("missing", "mismatched") for p in layer.everything)


def _shade_untrained(axes: Axes, layers: Sequence[Layer], theme: Theme) -> None:
    """Mark the layers of which nothing is trained."""
    places = [place for place, layer in enumerate(layers) if not layer.trained]
    for place in places:
        axes.axvspan(place - 0.5, place + 0.5, color=theme.faint, alpha=0.5, linewidth=0, zorder=0)
    if places:
        middle = places[len(places) // 2]
        axes.annotate(
            "not trained", (middle, 0.5), xycoords=("data", "axes fraction"), rotation=90,
            ha="center", va="center", fontsize=9,
        )  # fmt: skip


def schedule_picture(schedule: LrCurves, form: str, *, dark: bool = False) -> bytes:
    """Return a curve of the lr for each layer, on a log scale, coloured by depth.

    Layers whose lr rises after the warm-up are set apart. The warm-up is shaded; an absolute lr of
    a scheduler, `eta_min`, is a line.
    """
    theme = DARK if dark else LIGHT
    rows = schedule.rows
    colors = depth_colors(len(rows), theme)
    with figure_of(theme, schedule.plan.config) as figure:
        axes = figure.subplots()
        after = [lr for row in rows for lr in telling(row[0].lrs[schedule.warm_up :])]
        targets = [span.target for span in schedule.acting]
        lr_axis(axes, [*(lr for _, lr in after), *targets])
        _mark_warm_up(axes, schedule, theme)
        _mark_targets(axes, schedule, theme)
        for row, color in zip(rows, colors, strict=True):
            points = telling(row[0].lrs)
            rises = row[0] in schedule.rising
            axes.plot(
                [_time(schedule, step) for step, _ in (*points, (schedule.steps, None))],
                [drawable(lr) for _, lr in (*points, points[-1])],
                drawstyle="steps-post" if schedule.unit == "epoch" else "default",
                color=theme.alarm if rises else color,
                linewidth=2.0 if rises else 1.1,
                zorder=3 if rises else 2,
                label=fitted(row_name(schedule, row), LONGEST_LABEL),
            )
        axes.set_xlim(0, _time(schedule, schedule.steps))
        axes.set_xlabel("iteration" if schedule.steps_per_epoch is None else "epoch")
        if schedule.rising:
            _name_rising(axes, schedule, theme)
        if len(rows) > 1:
            if schedule.plan.has_layers or len(rows) > _MOST_IN_LEGEND:
                _depth_bar(figure, axes, schedule, colors)
            else:
                legend_above(axes)
        return saved(figure, form)


def comparison_picture(comparison: Comparison, form: str, *, dark: bool = False) -> bytes:
    """lr per layer of several plans over each other; where it differs, weight decay below that.

    The panel below counts the tensors whose weight decay is not that of the first plan.
    """
    theme = DARK if dark else LIGHT
    rows, titles, axis = comparison.rows, comparison.titles, axis_of(comparison)
    otherwise, names = weight_decay_differs(comparison), dict(comparison.legend)
    heading = [text for label, text in comparison.legend if label not in titles]
    with figure_of(theme) as figure:
        both = any(any(counts) for counts in otherwise)
        above, below = panels(figure, axis.ticks, axis.title, both=both)
        trained = [layer for row in rows for layer in row if layer and layer.trained]
        lr_axis(above, [layer.lr for layer in trained])
        width = 0.8 / max(1, len(titles) - 1)
        for number, title in enumerate(titles):
            color = theme.variants[number % len(theme.variants)]
            under = 1 - number / max(1, len(titles) - 1)  # thicker, to be seen below the next ones
            style: Any = {
                "color": color, "marker": _MARKERS[number % len(_MARKERS)],
                "linewidth": 1.2 + 1.8 * under, "markersize": 3.5 + 3.0 * under,
            }  # fmt: skip
            layers = [row[number] for row in rows]
            own = zip(layers, comparison.alignment.labels, strict=True)
            # Not from module to module, where a plan knows no layers.
            is_line = all(label or x.layer_id is not None for x, label in own if x)
            line, others = points_of(axis.places[number], layers, axis.gaps)
            above.plot(
                *_drawn(line), label=fitted(f"{title}  {names.get(title, '')}", LONGEST_NAME),
                linestyle=_LINES[number % len(_LINES)] if is_line else "none", **style,
            )  # fmt: skip
            above.plot(*_drawn(others), linestyle="none", **style)
            if both and number:
                shift = -0.4 + (number - 0.5) * width
                counts: Counter[float] = Counter()
                for place, count in zip(axis.places[number], otherwise[number], strict=True):
                    counts.update({place + shift * axis.unit: count} if count else {})
                below.bar(list(counts), list(counts.values()), width * axis.unit, color=color)
        if both:
            below.set_ylabel(
                f"tensors decayed\nnot as in {fitted(titles[0], LONGEST_LABEL)}", fontsize=9
            )
        legend_outside(figure, above, heading)
        return saved(figure, form)


def _drawn(points: Sequence[tuple[float, float | None]]) -> tuple[list[float], list[float]]:
    return [place for place, _ in points], [drawable(lr) for _, lr in points]


def telling(lrs: Sequence[float]) -> list[tuple[int, float]]:
    """Steps and lrs that make the same curve: the ends, and the extremes of each part between."""
    size = max(1, len(lrs) // _PARTS)
    steps = {0, len(lrs) - 1}
    for start in range(0, len(lrs), size):
        part = range(start, min(start + size, len(lrs)))
        steps |= {min(part, key=lrs.__getitem__), max(part, key=lrs.__getitem__)}
    return [(step, lrs[step]) for step in sorted(steps)]


def _time(schedule: LrCurves, step: int) -> float:
    """Return a step in epochs, where there are any."""
    return step / (schedule.steps_per_epoch or 1)


def _mark_warm_up(axes: Axes, schedule: LrCurves, theme: Theme) -> None:
    if schedule.warm_up == 0:
        return
    end = _time(schedule, schedule.warm_up)
    axes.axvspan(0, end, color=theme.faint, alpha=0.4, linewidth=0)
    axes.annotate(
        "warm-up", (0, 1), xycoords="axes fraction", xytext=(0, 3),
        textcoords="offset points", fontsize=9,
    )  # fmt: skip


def _mark_targets(axes: Axes, schedule: LrCurves, theme: Theme) -> None:
    """A line for each absolute lr, with its name below it, or in that of the layers that rise."""
    told = schedule.why_rising() if schedule.rising else None
    for span in dict.fromkeys(schedule.acting):
        if span.target is None:
            continue
        axes.axhline(span.target, color=theme.ink, linewidth=1, linestyle=(0, (4, 3)), zorder=4)
        if span != told:
            axes.annotate(
                _target(span), (1, span.target), xycoords=("axes fraction", "data"),
                xytext=(-4, -3), textcoords="offset points", ha="right", va="top",
            )  # fmt: skip


def _target(span: SchedulerSpan) -> str:
    return f"{span.option} {setting(span.target)}"


def _name_rising(axes: Axes, schedule: LrCurves, theme: Theme) -> None:
    lowest = min(schedule.rising, key=schedule.after_warm_up)
    step = (schedule.warm_up + schedule.steps) // 2
    which, why = which_layers(schedule, schedule.rising), schedule.why_rising()
    text = f"{which} {'rises' if len(schedule.rising) == 1 else 'rise'}"
    text += "" if why is None else f" to {_target(why)}"
    axes.annotate(
        fitted(text, LONGEST_TITLE), (1, lowest.lrs[step]), xycoords=("axes fraction", "data"),
        xytext=(-4, -4), textcoords="offset points", color=theme.alarm, ha="right", va="top",
        weight="bold",
    )  # fmt: skip


def _depth_bar(figure: Figure, axes: Axes, schedule: LrCurves, colors: Sequence[Any]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    number = len(colors)
    norm = BoundaryNorm([i - 0.5 for i in range(number + 1)], number)
    bar = figure.colorbar(ScalarMappable(norm, ListedColormap(colors)), ax=axes, pad=0.01)
    chosen = range(0, number, -(-number // 8))
    names = [fitted(row_name(schedule, schedule.rows[i]), LONGEST_LABEL) for i in chosen]
    bar.set_ticks(chosen, labels=names)
    bar.ax.tick_params(length=0)
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    bar.set_label(_layers_title(schedule.plan))


def _layers_title(plan: Plan) -> str:
    if not plan.has_layers:
        return ""
    return "layer, 0 is the stem" if plan.layer_ids[0] == 0 else "layer"

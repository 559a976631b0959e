"""Plan, Schedule, Comparison -> a picture: `png`, `svg` or `pdf`, for a paper, a slide, a report.

Drawn by matplotlib without a display. Its colours can be told apart by the colour-blind: depths are
of viridis (https://bids.github.io/colormap), the others of Okabe and Ito
(https://jfly.uni-koeln.de/color).
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lldtool.analysis.lr_curves import Schedule, Stage
from lldtool.output.axis import axis_of, decayed_otherwise, points_of
from lldtool.output.comparison import Comparison
from lldtool.output.contents import layer_contents
from lldtool.output.schedule_document import row_name, which_layers
from lldtool.plan import Layer, Plan
from lldtool.text import layer_name, printable, setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches, and dots per inch of a PNG.
_SIZE, _DPI = (7.2, 4.5), 200
#: A legend of more lines than this makes the picture higher, by so many inches for each.
_MOST_LINES, _LINE = 4, 0.22
#: A curve is drawn with the lowest and the highest lr of so many parts of the training.
_PARTS = 400
#: Labels of layers that have more characters together than this are turned.
_MOST_IN_A_ROW = 70
#: More labels of layers than this are thinned out; longer texts than these are cut.
_MOST_LABELS, _LONGEST_LABEL, _LONGEST_NAME, _LONGEST_TITLE = 18, 22, 70, 90
#: How far an axis goes below the lowest lr after the warm-up, and above the highest.
_ROOM = 2.0
#: Numbers that are smaller, or as much larger, are more than matplotlib takes.
_LEAST = 1e-300
#: More curves than this are told by a colour bar, not by a legend.
_MOST_IN_LEGEND = 9
_MARKERS, _LINES = "osD^vPX", ("-", "--", "-.", ":")


@dataclass(frozen=True)
class _Theme:
    paper: str
    ink: str
    faint: str
    #: What is set apart from the rest.
    alarm: str
    decayed: str
    undecayed: str
    variants: tuple[str, ...]
    #: The part of viridis that is seen on the paper.
    depths: tuple[float, float]


_LIGHT = _Theme(
    paper="#ffffff", ink="#222222", faint="#c9ccd1", alarm="#D55E00",
    decayed="#0072B2", undecayed="#E69F00",
    variants=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222"),
    depths=(0.0, 0.85),
)  # fmt: skip
_DARK = _Theme(
    paper="#14171c", ink="#e8e8e8", faint="#4a4f57", alarm="#FF8F4D",
    decayed="#56B4E9", undecayed="#E69F00",
    variants=("#56B4E9", "#FF8F4D", "#2BC596", "#DE9AC1", "#E69F00", "#7FA7FF", "#e8e8e8"),
    depths=(0.25, 1.0),
)  # fmt: skip


def plan_picture(plan: Plan, form: str, *, dark: bool = False) -> bytes:
    """lr per layer, and how many tensors of each are decayed and how many not.

    What is not trained is grey. Each of several optimizers has a marker of its own.
    """
    theme = _DARK if dark else _LIGHT
    layers = plan.layers_and_frozen
    contents = [", ".join(names) for names in layer_contents(plan, plan)]
    ids = [layer_name(layer.layer_id) for layer in layers] if plan.has_layers else contents
    with _figure(theme, plan.config) as figure:
        above, below = _panels(figure, dict(enumerate(ids)), _layers_title(plan))
        own = [layer.lr if layer.trained else None for layer in layers]
        _lr_axis(above, own)
        places = range(len(layers))
        lrs = [_drawable(lr) for lr in own]
        _shade_untrained(above, layers, theme)
        if plan.has_layers:
            above.plot(places, lrs, color=theme.faint, zorder=1)
        colors, names = (
            _depth_colors(len(layers), theme),
            dict.fromkeys(x.optimizer for x in layers),
        )
        for number, name in enumerate(names):
            own_places = [place for place in places if layers[place].optimizer == name]
            above.scatter(
                own_places, [lrs[place] for place in own_places],
                c=[colors[place] for place in own_places], zorder=2,
                marker=_MARKERS[number % len(_MARKERS)], label=_label(name or "", _LONGEST_LABEL),
            )  # fmt: skip
        if plan.optimizers:
            _legend_above(above)
        decayed = [sum(bool(p.weight_decay) for p in layer.trained) for layer in layers]
        others = [layer.num_trained - n for layer, n in zip(layers, decayed, strict=True)]
        untrained = [len(layer.everything) - layer.num_trained for layer in layers]
        trained = [layer.num_trained for layer in layers]
        below.bar(places, decayed, color=theme.decayed, label="decayed")
        below.bar(places, others, bottom=decayed, color=theme.undecayed, label="not decayed")
        if any(untrained):
            below.bar(places, untrained, bottom=trained, color=theme.faint, label="not trained")
        below.set_ylabel("tensors")
        _legend_above(below)
        return _saved(figure, form)


def _shade_untrained(axes: Axes, layers: Sequence[Layer], theme: _Theme) -> None:
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


def schedule_picture(schedule: Schedule, form: str, *, dark: bool = False) -> bytes:
    """A curve of the lr for each layer, on a log scale, coloured by depth.

    Layers whose lr rises after the warm-up are set apart. The warm-up is shaded; an absolute lr of
    a scheduler, `eta_min`, is a line.
    """
    theme = _DARK if dark else _LIGHT
    rows = schedule.rows
    colors = _depth_colors(len(rows), theme)
    with _figure(theme, schedule.plan.config) as figure:
        axes = figure.subplots()
        after = [lr for row in rows for lr in _telling(row[0].lrs[schedule.warm_up :])]
        targets = [stage.target for stage in schedule.acting]
        _lr_axis(axes, [*(lr for _, lr in after), *targets])
        _mark_warm_up(axes, schedule, theme)
        _mark_targets(axes, schedule, theme)
        for row, color in zip(rows, colors, strict=True):
            points = _telling(row[0].lrs)
            rises = row[0] in schedule.rising
            axes.plot(
                [_time(schedule, step) for step, _ in (*points, (schedule.steps, None))],
                [_drawable(lr) for _, lr in (*points, points[-1])],
                drawstyle="steps-post" if schedule.unit == "epoch" else "default",
                color=theme.alarm if rises else color,
                linewidth=2.0 if rises else 1.1,
                zorder=3 if rises else 2,
                label=_label(row_name(schedule, row), _LONGEST_LABEL),
            )
        axes.set_xlim(0, _time(schedule, schedule.steps))
        axes.set_xlabel("iteration" if schedule.steps_per_epoch is None else "epoch")
        if schedule.rising:
            _name_rising(axes, schedule, theme)
        if len(rows) > 1:
            if schedule.plan.has_layers or len(rows) > _MOST_IN_LEGEND:
                _depth_bar(figure, axes, schedule, colors)
            else:
                _legend_above(axes)
        return _saved(figure, form)


def comparison_picture(comparison: Comparison, form: str, *, dark: bool = False) -> bytes:
    """lr per layer of several plans over each other; where it differs, weight decay below that.

    The panel below counts the tensors whose weight decay is not that of the first plan.
    """
    theme = _DARK if dark else _LIGHT
    rows, titles, axis = comparison.rows, comparison.titles, axis_of(comparison)
    otherwise, names = decayed_otherwise(comparison), dict(comparison.legend)
    heading = [text for label, text in comparison.legend if label not in titles]
    with _figure(theme) as figure:
        both = any(any(counts) for counts in otherwise)
        above, below = _panels(figure, axis.ticks, axis.title, both=both)
        trained = [layer for row in rows for layer in row if layer and layer.trained]
        _lr_axis(above, [layer.lr for layer in trained])
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
                *_drawn(line), label=_label(f"{title}  {names.get(title, '')}", _LONGEST_NAME),
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
                f"tensors decayed\nnot as in {_label(titles[0], _LONGEST_LABEL)}", fontsize=9
            )
        _legend_outside(figure, above, heading)
        return _saved(figure, form)


def _drawn(points: Sequence[tuple[float, float | None]]) -> tuple[list[float], list[float]]:
    return [place for place, _ in points], [_drawable(lr) for _, lr in points]


@contextlib.contextmanager
def _figure(theme: _Theme, title: str = "") -> Iterator[Figure]:
    """An empty figure in the theme's colours, to be drawn and saved inside."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # of fonts, and where it keeps a cache
    import matplotlib
    from matplotlib.figure import Figure

    colors: Any = dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), theme.ink)
    colors |= dict.fromkeys(("xtick.color", "ytick.color"), theme.ink)
    colors |= dict.fromkeys(("figure.facecolor", "axes.facecolor"), theme.paper)
    settings: Any = {
        "font.size": 10, "axes.grid": True, "grid.color": theme.faint, "grid.linewidth": 0.5,
        "axes.axisbelow": True, "axes.spines.top": False, "axes.spines.right": False,
        "legend.frameon": False, "svg.hashsalt": "lldtool", "pdf.fonttype": 42,
    }  # fmt: skip
    with (
        matplotlib.rc_context({**matplotlib.rcParamsDefault, **colors, **settings}),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # a sign that the font lacks
        figure = Figure(figsize=_SIZE, layout="constrained")
        figure.suptitle(_label(title, _LONGEST_TITLE), fontsize=10, x=0.01, ha="left")
        yield figure


def _saved(figure: Figure, form: str) -> bytes:
    """The same bytes for the same figure and matplotlib: no date."""
    nothing = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    content = io.BytesIO()
    figure.savefig(content, format=form, dpi=_DPI, metadata=nothing.get(form))
    return content.getvalue()


def _panels(
    figure: Figure, ticks: Mapping[float, str], title: str, *, both: bool = True
) -> tuple[Axes, Axes]:
    """A large panel above a small one, or the large one alone, with labels at some places."""
    if both:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    else:
        above = below = figure.subplots()
    places = list(ticks)
    chosen = places[:: max(1, -(-len(places) // _MOST_LABELS))]
    chosen[1:] = [*chosen[1:-1], *places[-1:]] if len(places) > 1 else []  # the head in any case
    shown = [_label(ticks[place], _LONGEST_LABEL) for place in chosen]
    long = max(map(len, shown), default=0) * len(shown) > _MOST_IN_A_ROW
    below.set_xticks(chosen, shown, rotation=30 if long else 0, ha="right" if long else "center")
    below.set_xlabel(title)
    for axes in (above, below):
        axes.grid(visible=False, axis="x")
    return above, below


def _lr_axis(axes: Axes, lrs: Iterable[float | None]) -> None:
    """A log scale around what can be drawn on one; a plain one where nothing can."""
    shown = [lr for lr in map(_drawable, lrs) if not math.isnan(lr)]
    axes.set_ylabel("learning rate")
    if shown:
        axes.set_yscale("log")
        axes.set_ylim(min(shown) / _ROOM, max(shown) * _ROOM)
    else:
        axes.text(0.5, 0.5, "no lr to draw", transform=axes.transAxes, ha="center")


def _drawable(lr: float | None) -> float:
    """The lr, or NaN for what has no place on a log scale."""
    return lr if lr is not None and _LEAST < lr < 1 / _LEAST else math.nan


def _depth_colors(number: int, theme: _Theme) -> list[Any]:
    from matplotlib import colormaps

    first, last = theme.depths
    viridis = colormaps["viridis"]
    return [viridis(first + (last - first) * i / max(1, number - 1)) for i in range(number)]


def _telling(lrs: Sequence[float]) -> list[tuple[int, float]]:
    """Steps and lrs that make the same curve: the ends, and the extremes of each part between."""
    size = max(1, len(lrs) // _PARTS)
    steps = {0, len(lrs) - 1}
    for start in range(0, len(lrs), size):
        part = range(start, min(start + size, len(lrs)))
        steps |= {min(part, key=lrs.__getitem__), max(part, key=lrs.__getitem__)}
    return [(step, lrs[step]) for step in sorted(steps)]


def _time(schedule: Schedule, step: int) -> float:
    """A step in epochs, where there are any."""
    return step / (schedule.steps_per_epoch or 1)


def _mark_warm_up(axes: Axes, schedule: Schedule, theme: _Theme) -> None:
    if schedule.warm_up == 0:
        return
    end = _time(schedule, schedule.warm_up)
    axes.axvspan(0, end, color=theme.faint, alpha=0.4, linewidth=0)
    axes.annotate(
        "warm-up", (0, 1), xycoords="axes fraction", xytext=(0, 3),
        textcoords="offset points", fontsize=9,
    )  # fmt: skip


def _mark_targets(axes: Axes, schedule: Schedule, theme: _Theme) -> None:
    """A line for each absolute lr, with its name below it, or in that of the layers that rise."""
    told = schedule.why_rising() if schedule.rising else None
    for stage in dict.fromkeys(schedule.acting):
        if stage.target is None:
            continue
        axes.axhline(stage.target, color=theme.ink, linewidth=1, linestyle=(0, (4, 3)), zorder=4)
        if stage != told:
            axes.annotate(
                _target(stage), (1, stage.target), xycoords=("axes fraction", "data"),
                xytext=(-4, -3), textcoords="offset points", ha="right", va="top",
            )  # fmt: skip


def _target(stage: Stage) -> str:
    return f"{stage.option} {setting(stage.target)}"


def _name_rising(axes: Axes, schedule: Schedule, theme: _Theme) -> None:
    lowest = min(schedule.rising, key=schedule.after_warm_up)
    step = (schedule.warm_up + schedule.steps) // 2
    which, why = which_layers(schedule, schedule.rising), schedule.why_rising()
    text = f"{which} {'rises' if len(schedule.rising) == 1 else 'rise'}"
    text += "" if why is None else f" to {_target(why)}"
    axes.annotate(
        _label(text, _LONGEST_TITLE), (1, lowest.lrs[step]), xycoords=("axes fraction", "data"),
        xytext=(-4, -4), textcoords="offset points", color=theme.alarm, ha="right", va="top",
        weight="bold",
    )  # fmt: skip


def _depth_bar(figure: Figure, axes: Axes, schedule: Schedule, colors: Sequence[Any]) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    number = len(colors)
    norm = BoundaryNorm([i - 0.5 for i in range(number + 1)], number)
    bar = figure.colorbar(ScalarMappable(norm, ListedColormap(colors)), ax=axes, pad=0.01)
    chosen = range(0, number, -(-number // 8))
    names = [_label(row_name(schedule, schedule.rows[i]), _LONGEST_LABEL) for i in chosen]
    bar.set_ticks(chosen, labels=names)
    bar.ax.tick_params(length=0)
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    bar.set_label(_layers_title(schedule.plan))


def _layers_title(plan: Plan) -> str:
    if not plan.has_layers:
        return ""
    return "layer, 0 is the stem" if plan.layer_ids[0] == 0 else "layer"


def _legend_outside(figure: Figure, axes: Axes, heading: Sequence[str]) -> None:
    """Lines and a legend that cover no curve: names below each other, short ones in a row."""
    handles, labels = axes.get_legend_handles_labels()
    columns = max(1, _LONGEST_NAME // (max(map(len, labels)) + 5))
    lines = len(heading) + -(-len(labels) // columns)
    figure.set_figheight(_SIZE[1] + _LINE * max(0, lines - _MOST_LINES))
    title = "\n".join(_label(line, _LONGEST_TITLE) for line in heading)
    place: Any = {"loc": "outside upper left", "alignment": "left"}
    figure.legend(handles, labels, ncols=columns, title=title or None, **place)


def _legend_above(axes: Axes) -> None:
    axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, fontsize=9)


def _label(text: str, longest: int) -> str:
    """Text that matplotlib takes as it is: no formulas, no control characters, not too long.

    The end of a name is what it differs by from others, so it is kept.
    """
    text, head = printable(text), longest // 3
    if len(text) > longest:
        text = f"{text[:head]}…{text[head + 1 - longest :]}"
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text  # which a legend would leave out

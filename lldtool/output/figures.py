"""What pictures have in common: colours, a figure, its panels, axes, legends and labels.

Colours can be told apart by the colour-blind: depths are of viridis (https://bids.github.io/colormap),
the others of Okabe and Ito (https://jfly.uni-koeln.de/color).
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lldtool.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Inches, and dots per inch of a PNG.
_SIZE, _DPI = (7.2, 4.5), 200
#: A legend of more lines than this makes the picture higher, by so many inches for each.
_MOST_LINES, _LINE = 4, 0.22
#: Labels of layers that have more characters together than this are turned.
_MOST_IN_A_ROW = 70
#: More labels of layers than this are thinned out; longer texts than these are cut.
_MOST_LABELS, LONGEST_LABEL, LONGEST_NAME, LONGEST_TITLE = 18, 22, 70, 90
#: How far an axis goes below the lowest lr after the warm-up, and above the highest.
_ROOM = 2.0
#: Numbers that are smaller, or as much larger, are more than matplotlib takes.
_LEAST = 1e-300


@dataclass(frozen=True)
class Theme:
    """The colours of a picture; `alarm` is that of what is set apart from the rest."""

    paper: str
    ink: str
    faint: str
    alarm: str
    decayed: str
    undecayed: str
    variants: tuple[str, ...]
    #: The part of viridis that is seen on the paper.
    depths: tuple[float, float]


LIGHT = Theme(
    paper="#ffffff", ink="#222222", faint="#c9ccd1", alarm="#D55E00",
    decayed="#0072B2", undecayed="#E69F00",
    variants=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222"),
    depths=(0.0, 0.85),
)  # fmt: skip
DARK = Theme(
    paper="#14171c", ink="#e8e8e8", faint="#4a4f57", alarm="#FF8F4D",
    decayed="#56B4E9", undecayed="#E69F00",
    variants=("#56B4E9", "#FF8F4D", "#2BC596", "#DE9AC1", "#E69F00", "#7FA7FF", "#e8e8e8"),
    depths=(0.25, 1.0),
)  # fmt: skip


@contextlib.contextmanager
def figure_of(theme: Theme, title: str = "") -> Iterator[Figure]:
    """Yield an empty figure in the theme's colours, to be drawn and saved inside."""
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
        figure.suptitle(fitted(title, LONGEST_TITLE), fontsize=10, x=0.01, ha="left")
        yield figure


def saved(figure: Figure, form: str) -> bytes:
    """Return the same bytes for the same figure and matplotlib: no date."""
    nothing = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    content = io.BytesIO()
    figure.savefig(content, format=form, dpi=_DPI, metadata=nothing.get(form))
    return content.getvalue()


def panels(
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
    shown = [fitted(ticks[place], LONGEST_LABEL) for place in chosen]
    long = max(map(len, shown), default=0) * len(shown) > _MOST_IN_A_ROW
    below.set_xticks(chosen, shown, rotation=30 if long else 0, ha="right" if long else "center")
    below.set_xlabel(title)
    for axes in (above, below):
        axes.grid(visible=False, axis="x")
    return above, below


def lr_axis(axes: Axes, lrs: Iterable[float | None]) -> None:
    """A log scale around what can be drawn on one; a plain one where nothing can."""
    shown = [lr for lr in map(drawable, lrs) if not math.isnan(lr)]
    axes.set_ylabel("learning rate")
    if shown:
        axes.set_yscale("log")
        axes.set_ylim(min(shown) / _ROOM, max(shown) * _ROOM)
    else:
        axes.text(0.5, 0.5, "no lr to draw", transform=axes.transAxes, ha="center")


def drawable(lr: float | None) -> float:
    """Return the lr, or NaN for what has no place on a log scale."""
    return lr if lr is not None and _LEAST < lr < 1 / _LEAST else math.nan


def depth_colors(number: int, theme: Theme) -> list[Any]:
    """Return so many colours, from the stem's to the head's."""
    from matplotlib import colormaps

    first, last = theme.depths
    viridis = colormaps["viridis"]
    return [viridis(first + (last - first) * i / max(1, number - 1)) for i in range(number)]


def legend_outside(figure: Figure, axes: Axes, heading: Sequence[str]) -> None:
    """Lines and a legend that cover no curve: names below each other, short ones in a row."""
    handles, labels = axes.get_legend_handles_labels()
    columns = max(1, LONGEST_NAME // (max(map(len, labels)) + 5))
    lines = len(heading) + -(-len(labels) // columns)
    figure.set_figheight(_SIZE[1] + _LINE * max(0, lines - _MOST_LINES))
    title = "\n".join(fitted(line, LONGEST_TITLE) for line in heading)
    place: Any = {"loc": "outside upper left", "alignment": "left"}
    figure.legend(handles, labels, ncols=columns, title=title or None, **place)


def legend_above(axes: Axes) -> None:
    """Draw a legend in the corner above, three labels a line."""
    axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, fontsize=9)


def fitted(text: str, longest: int) -> str:
    """Return text that matplotlib takes as it is: no formulas, no control characters, not too long.

    The end of a name is what it differs by from others, so it is kept.
    """
    text, head = printable(text), longest // 3
    if len(text) > longest:
        text = f"{text[:head]}…{text[head + 1 - longest :]}"
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text  # which a legend would leave out

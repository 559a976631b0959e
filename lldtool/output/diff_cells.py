"""The cells that show what differs: `a → b`, with as many digits as it takes to see it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from lldtool.analysis.config_changes import ConfigChange
from lldtool.analysis.diff import LayerPair, ParameterChange
from lldtool.output.document import Cell, Pair, Row, styled
from lldtool.output.schedule_words import scheduler_words
from lldtool.output.starts import layer_start
from lldtool.output.states import state_word
from lldtool.plan import Layer, LayerId
from lldtool.text import layer_name, lr, setting, significant, value

#: What a row is about: something of A only, of B only, of both but different, the same.
REMOVED, ADDED, CHANGED, SAME = "−", "+", "~", " "
COLORS = {REMOVED: "red", ADDED: "green", CHANGED: "yellow", SAME: ""}


def marker_of(a: object, b: object) -> str:
    """Return the marker of what differs, where None stands for a side that lacks it."""
    return ADDED if a is None else REMOVED if b is None else CHANGED


def marked(marker: str, *cells: Cell) -> Row:
    """Return a row that begins with its marker; what only one side has is in its colour."""
    style = COLORS[marker] if marker in (ADDED, REMOVED) else None
    return Row((styled((marker, COLORS[marker])), *cells), style)


def entry_cells(change: ConfigChange) -> tuple[str, Cell]:
    """Return the key of an entry of the config, and its value or values."""
    if change.a is None or change.b is None:
        return change.key, _value(change.b if change.a is None else change.a, 6)
    return change.key, distinct(partial(_value, change.a), partial(_value, change.b))


def _value(content: object, digits: int) -> str:
    if isinstance(content, dict) and "param_name" in content:  # a resolved scheduler
        return scheduler_words(content)
    """Return a value of a config, a number with more digits where more than usual are wanted."""
    if isinstance(content, float) and digits > 6:
        return setting(content, digits)
    return value(content)


def distinct(a: Callable[[int], str], b: Callable[[int], str]) -> Pair:
    """Return two numbers with as many digits as it takes to tell them apart, at least three."""
    texts = (Pair(a(digits), b(digits)) for digits in range(3, 18))
    return next((pair for pair in texts if pair.a != pair.b), Pair(a(17), b(17)))


def parameter_cell(change: ParameterChange, name: str) -> Pair:
    """Return a setting of a parameter on both sides."""
    a, b = getattr(change.a, name), getattr(change.b, name)
    if name in _NUMBERS:
        return distinct(partial(_NUMBERS[name], a), partial(_NUMBERS[name], b))
    words: dict[str, Callable[..., str]] = {"layer_id": layer_name, "extras": _extras}
    word = words.get(name, str)
    return Pair(*("–" if x is None else word(x) for x in (a, b)))


def _extras(extras: dict[str, Any]) -> str:
    return ", ".join(f"{k} {value(v)}" for k, v in extras.items()) or "none"


_NUMBERS: dict[str, Callable[..., str]] = {
    "lr": lr,
    "lr_scale": significant,
    "weight_decay": setting,
}


def ratio_text(ratio: float | None) -> str:
    """Return a ratio with as many digits as it takes to tell it from 1."""
    if not ratio:
        return "0"
    return distinct(partial(significant, 1.0), partial(significant, ratio)).b


def differs(pair: LayerPair, name: str) -> bool:
    """Return whether a setting differs between two layers."""
    return any(name in change.settings for change in pair.changes)


@dataclass(frozen=True)
class PairOfLayers:
    """A pair of layers, and the modules that it holds."""

    pair: LayerPair
    modules: tuple[str, ...]

    @property
    def marker(self) -> str:
        """The marker of its row."""
        return marker_of(self.pair.a, self.pair.b) if self.pair.differs else SAME

    @property
    def pattern(self) -> object:
        """What neighbours have in common that are shown as one row."""
        names = [re.sub(r"\d+", "*", name) for name in self.modules]
        a, b = self.pair.a, self.pair.b
        tensors = a and a.num_tensors, b and b.num_tensors
        ratio = self.lr_ratio and significant(self.lr_ratio, 9)
        scales = a and b and a.lr_scale == b.lr_scale
        shift = _shift(a.layer_id if a else None, b.layer_id if b else None)
        row = (self.marker, self.pair.elsewhere, names, tensors, shift, ratio, scales)
        return (*row, self.weight_decay, self.start)

    @cached_property
    def weight_decay(self) -> Cell:
        """`0.05 → 0 ×8`; where nothing differs the counts, `0.05 ×4 · 0 ×8`."""
        changes = [c for c in self.pair.changes if "weight_decay" in c.settings]
        if changes:
            counted = Counter(parameter_cell(c, "weight_decay") for c in changes).most_common()
            return tuple(Pair(cell.a, f"{cell.b} ×{number}") for cell, number in counted)
        a, b = self.pair.a, self.pair.b
        layer = None if a and b and a.weight_decays != b.weight_decays else a or b
        counts = layer.weight_decays.most_common() if layer else []
        return " · ".join(f"{setting(decay)} ×{number}" for decay, number in counts)

    @cached_property
    def start(self) -> Cell:
        """`missing → pretrained`; nothing where it does not differ."""
        a, b = self.pair.a, self.pair.b
        if not a or not b or not differs(self.pair, "start"):
            return ""
        return Pair(layer_start(a), layer_start(b))

    @cached_property
    def lr_ratio(self) -> float | None:
        """B's lr over A's; None where it is no number, or the same."""
        a = self.pair.a.lr if self.pair.a else None
        b = self.pair.b.lr if self.pair.b else None
        if not differs(self.pair, "lr") or not a or b is None or not math.isfinite(b / a):
            return None
        return b / a


def _shift(a: LayerId | None, b: LayerId | None) -> object:
    """Return how far a layer has moved; both names where they differ and are no numbers."""
    if a is None or b is None:
        return None
    if isinstance(a, str) or isinstance(b, str):
        return 0 if a == b else (a, b)
    return b - a


#: Pairs of layers that are shown as one row.
Run = Sequence[PairOfLayers]


def layer_ids(run: Run) -> Cell:
    """Return the layers of a run, of both sides where both know layers and they differ."""
    a, b = ([x.layer_id for x in side if x.layer_id is not None] for side in _sides(run))
    if not a or not b or a == b:
        return _range(a or b or [None], _layer, 0)
    return Pair(_range(a, _layer, 0), _range(b, _layer, 0))


def _layer(layer_id: LayerId | None, digits: int) -> str:
    return layer_name(layer_id)


def _sides(run: Run) -> tuple[list[Layer], list[Layer]]:
    return [x.pair.a for x in run if x.pair.a], [x.pair.b for x in run if x.pair.b]


def lr_cell(run: Run) -> Cell:
    """Return the lrs of a run; `1.27e-4 → frozen` where the other side does not train it."""
    lrs, elsewhere = setting_cell(run, "lr"), run[0].pair.elsewhere
    if elsewhere in (None, "absent"):
        return lrs
    state = state_word(elsewhere or "")
    return Pair(str(lrs), state) if run[0].pair.a else Pair(state, str(lrs))


def setting_cell(run: Run, name: str) -> Cell:
    """Return a setting of a run of layers, from … to; on both sides where it differs."""
    a, b = ([getattr(layer, name) for layer in side] for side in _sides(run))
    if not a or not b or a == b:
        return _range(a or b, _NUMBERS[name], 3)
    return distinct(partial(_range, a, _NUMBERS[name]), partial(_range, b, _NUMBERS[name]))


def _range(values: Sequence[Any], form: Callable[[Any, int], str], digits: int) -> str:
    first, last = form(values[0], digits), form(values[-1], digits)
    return first if first == last else f"{first}–{last}"


def module_names(run: Run) -> Iterable[str]:
    """Return the modules of a run."""
    return (name for line in run for name in line.modules)
